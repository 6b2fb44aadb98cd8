-- A passage that open.lua, fork.lua and append.lua share: it stands in front of each and defines `seenBy` and
-- `epochOf`.
--
-- KEYS, ARGV and answers: those of the script behind it. Entries are told from what others put into the stream by own.lua,
-- which stands in front of this.
--
-- Numbers are never given twice. An epoch starts above everything that is known, and at least at the time of Redis in
-- microseconds: whoever comes first to a Redis that has lost everything still begins above all that was. (Microseconds are
-- whole numbers in Lua and JavaScript until the year 2255.)
--
-- epochOf(meta, journal, fresh).open(seen) returns the state of the current epoch (see `read`). `seen` is what the caller has
-- read or appended: `epoch` and `seq` of the newest entry, 0 for nothing; and whether it `hasAll`: was reading live until it lost
-- Redis. With `looksAtStream`, what `meta` says is compared with the stream too, which somebody's hand may have changed. Where
-- a new epoch is due, it begins one, named `fresh`. A new epoch is due
--   * when there is none: the journal is new, or Redis has lost its data, or what `meta` says makes no sense;
--   * when Redis is another process than the epoch was last seen on (`run` id), or has another history (`replid`): it was
--     restarted or has failed over, and may have lost entries, whose numbers must not be used again;
--   * when the caller has seen more than there is;
--   * when the stream takes no entry of the next number, since it has, or had, an id above that.
--
-- `from` is what the first entry of an epoch tells: whoever has every entry up to this number has lost nothing before it.
--   * Everything that anybody is known to have seen is there: the newest number. So a restart without a loss is told nobody.
--   * The caller has seen more than there is: what it has seen, for nobody can have seen more; or the `start` of the epoch, if
--     somebody can. Nobody can have that, so everybody is notified of a loss.
--   * Nothing is there, and the caller has seen nothing: the `start`, too.
-- With the number goes the epoch that it is of. Until the epoch has an entry, others who have seen more can still raise it. Once it has, they begin another epoch, which
-- tells everybody: its `from` is its `start`, for whoever has read the broken one in between may have missed something.
--
-- Atomic with the script behind it (docs/ordering.md): between the look at the epoch and an entry under that epoch nobody
-- else may begin one.

-- What a script is given of what its caller has seen: an offset, and whether it is all there was.
local function seenBy(offset, hasAll)
  local epoch, seq = string.match(offset, '^(.*):(%d+)$')
  return { epoch = epoch, seq = tonumber(seq), hasAll = hasAll == '1' }
end

-- What can be done with the epochs of a journal. One function, since every append would have to make each of them.
local function epochOf(meta, journal, fresh)
  local stream = streamOf(journal)
  local epochs = {}

  -- The state of the current epoch; `epoch` is false if there is none, or if numbers are missing or are none. Of an epoch that
  -- version 0.1 began, `from` is nil.
  function epochs.read()
    local known = redis.call('HMGET', meta, 'epoch', 'seq', 'run', 'replid', 'start', 'before', 'from', 'lost', 'broken',
      'fromEpoch')
    local from = usable(known[7])
    local seq, start = usable(known[2]), usable(known[5])
    local epoch = known[1]
    if seq and seq > horizon() then seq = nil end
    if not isEpoch(epoch) or not seq or (not start and (known[5] or known[7])) or seq < (start or 0) then epoch = false end
    seq, start = seq or 0, start or 0
    return { epoch = epoch, seq = seq, run = known[3], replid = known[4], start = start, before = usable(known[6]) or 0,
      from = from, fromEpoch = known[10], lost = usable(known[8]), broken = known[9],
      isBlank = epoch and from ~= nil and seq == start }
  end

  local function server()
    local run = string.match(redis.call('INFO', 'server'), 'run_id:(%x+)') or ''
    local replid = string.match(redis.call('INFO', 'replication'), 'master_replid:(%x+)') or ''
    return run, replid
  end

  -- The number of the newest entry, and its epoch; nil if nothing is known of any.
  local function newest(now)
    if now.isBlank then return now.before, now.fromEpoch end
    if now.epoch then return now.seq, now.epoch end
    return stream.newest()
  end

  -- Begins an epoch after the one described by `now`, and returns its state.
  function epochs.begin(now, seen)
    local before, fromEpoch = newest(now)
    local time = redis.call('TIME')
    local known = math.max(time[1] * 1000000 + time[2], (now.epoch and now.seq or before or 0) + 1, seen.seq + 1)
    local last, done = stream.makeRoom(known)
    local start = math.max(known, last + 1)
    -- What an epoch without an entry has told nobody yet, the next one tells in its place.
    local from = now.isBlank and now.from or before or 0
    local tellsAll = before == nil and seen.seq == 0
    if seen.seq > from then
      from, fromEpoch = seen.seq, seen.epoch
      if not seen.hasAll then tellsAll = true end
    end
    if tellsAll then from, fromEpoch = start, fresh end
    local run, replid = server()
    redis.call('HDEL', meta, 'lost', 'broken')
    redis.call('HSET', meta, 'epoch', fresh, 'seq', text(start), 'run', run, 'replid', replid, 'start', text(start),
      'before', text(before or 0), 'from', text(from), 'fromEpoch', fromEpoch)
    now = epochs.read()
    now.done = done
    return now
  end

  -- Compares what `meta` says with the stream. Entries of the current epoch that it does not know of yet count: a script failed
  -- after it had added them. Returns whether the next number would be refused by the stream nevertheless.
  local function isOverrun(now, seen)
    local last = stream.lastId()
    if last > now.seq then
      local seq, epoch = stream.newest()
      if epoch == now.epoch and seq > now.seq and stream.epochAt(now.seq + 1) == epoch
        and seq <= stream.limit(math.max(now.seq, seen.seq)) then
        redis.call('HSET', meta, 'seq', text(seq))
        now.seq, now.isBlank = seq, false
      end
    end
    return last > now.seq
  end

  -- Has everybody told who has read the epoch `broken`, by the first entry of the current one, which has none yet. A pod that
  -- had read up to `lost` before it came to the broken epoch has lost nothing, and can keep its live clients out of it.
  function epochs.tellAll(now, broken, lost)
    now.from, now.fromEpoch, now.lost, now.broken = now.start, now.epoch, lost, broken
    redis.call('HSET', meta, 'from', text(now.from), 'fromEpoch', now.fromEpoch, 'lost', text(now.lost), 'broken', now.broken)
  end

  function epochs.open(seen, looksAtStream)
    local now = epochs.read()
    local overrun = looksAtStream and now.epoch and isOverrun(now, seen)
    local run, replid = server()
    if now.epoch and not now.run and now.replid == replid then
      -- Version 0.1 began it on this very server, and compares `replid` alone.
      redis.call('HSET', meta, 'run', run)
      now.run = run
    end
    if not now.epoch or overrun or now.run ~= run or now.replid ~= replid or seen.seq > now.seq then
      return epochs.begin(now, seen)
    end
    if not now.from or seen.seq <= now.from or seen.seq >= now.start then return now end
    if now.isBlank then
      now.from = seen.hasAll and seen.seq or now.start
      now.fromEpoch = seen.hasAll and seen.epoch or now.epoch
      redis.call('HSET', meta, 'from', text(now.from), 'fromEpoch', now.fromEpoch)
    else
      local broken = now.epoch
      now = epochs.begin(now, { seq = 0, hasAll = false })
      epochs.tellAll(now, broken, seen.hasAll and seen.seq or now.start)
    end
    return now
  end

  -- The fields of the first entry of an epoch in which it tells what was before, redis-entry.ts reads them; none of another one.
  function epochs.told(now)
    if not now or not now.isBlank then return {} end
    local from = (now.fromEpoch or '') .. ':' .. text(now.from)
    if not now.lost then return { 'from', from } end
    return { 'from', from, 'lost', text(now.lost) }
  end

  -- What open.lua and fork.lua answer.
  function epochs.state(now)
    return { now.epoch, text(now.seq), text(now.start), text(now.before), redis.call('XLEN', journal), now.done or '' }
  end

  return epochs
end

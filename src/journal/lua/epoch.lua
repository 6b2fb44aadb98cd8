-- A passage that open.lua, fork.lua and append.lua share: it stands in front of each and defines `text` and `open`.
--
-- KEYS, ARGV and answers: those of the script behind it.
--
-- open(meta, journal, fresh, floor) returns the current epoch and the newest `seq`. Where a new epoch is due it begins one,
-- named `fresh`. A new epoch is due
--   * when there is none: the journal is new, or Redis has lost its data;
--   * when this Redis was a replica and has been promoted: the old primary may have had entries that are lost, and their
--     offsets must not be used again. A promoted replica has the replication id of its former primary as `master_replid2`
--     (Redis documentation, "Replication ID explained"); a primary that was restarted has none there, and its epoch goes on;
--   * when this Redis was restarted, and what it kept on disk ends before `floor`, the newest entry that the caller has seen;
--   * when it was restarted and the caller has seen nothing (`floor` 0): the caller cannot tell whether a tail was lost. The
--     new epoch begins right after the newest entry, so whoever was there misses nothing, and whoever had seen more is told.
--
-- A new epoch starts above `floor`, so that readers that wait for what comes after it are reached. `origin` is the `seq` after
-- which the journal began: a reader that finds nothing it knows can tell whether the oldest entry is the first one. `start` is
-- the `seq` after which the epoch began: a reader that had seen more than the caller can tell.
--
-- Atomic with the script behind it (docs/ordering.md): between the look at the epoch and an entry under that epoch nobody
-- else may begin one.

local NO_REPLID = string.rep('0', 40)

-- All digits: tostring() writes large numbers with an exponent.
local function text(number)
  return string.format('%.0f', number)
end

local function open(meta, journal, fresh, floor)
  local known = redis.call('HMGET', meta, 'epoch', 'seq', 'replid')
  local info = redis.call('INFO', 'replication')
  local replid = string.match(info, 'master_replid:(%x+)') or ''
  local former = string.match(info, 'master_replid2:(%x+)') or NO_REPLID
  local epoch, seq = known[1], tonumber(known[2] or 0)
  if not epoch then
    local last = redis.call('XREVRANGE', journal, '+', '-', 'COUNT', 1)[1]
    seq = last and tonumber(string.match(last[1], '^%d+')) or 0
    if floor > seq then seq = floor end
    epoch = fresh
    redis.call('HSET', meta, 'origin', last and '0' or text(seq))
  elseif known[3] == replid then
    return epoch, seq
  elseif former ~= NO_REPLID or floor > seq or (floor == 0 and seq > 0) then
    if floor > seq then seq = floor end
    epoch = fresh
  end
  redis.call('HSET', meta, 'epoch', epoch, 'seq', text(seq), 'replid', replid)
  if epoch == fresh then redis.call('HSET', meta, 'start', text(seq)) end
  return epoch, seq
end

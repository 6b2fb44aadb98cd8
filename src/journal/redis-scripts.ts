/**
 * The Lua that changes the journal in Redis. Each script is one atomic step: nobody sees it half done.
 */

/**
 * `open(meta, journal, fresh, floor)`: the epoch and the newest `seq`, after making a new epoch where one is due.
 *
 * An epoch is due when there is none (a new journal, or Redis lost its data), and when this Redis was a replica that has
 * been promoted: then the old primary may have had entries that are lost, and their offsets must not be used again. A
 * promoted replica has its former primary's replication id as `master_replid2` (Redis documentation, "Replication ID
 * explained"); a primary that was restarted has none there, and its epoch goes on, unless what it kept on disk ends
 * before the newest entry that the caller has seen. A caller that has seen nothing (`floor` 0) can not tell whether a
 * tail was lost, so it begins a new epoch right after the newest entry: who was there misses nothing by that, and who had
 * seen more is told.
 *
 * A new epoch starts above `floor`, the newest `seq` that the caller has seen, so that readers that wait for what comes
 * after it are reached. Where the journal began is kept as `origin`, so that a reader that finds nothing it knows can
 * tell whether the oldest entry is the first one; where the epoch began as `start`, so that a reader that had seen more than
 * who began it can tell.
 */
const OPEN = `
local NO_REPLID = string.rep('0', 40)
local function text(number) return string.format('%.0f', number) end
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
`;

/**
 * KEYS meta, journal. ARGV fresh epoch, floor.
 *
 * @returns epoch, seq
 */
export const OPEN_SCRIPT = `${OPEN}
local epoch, seq = open(KEYS[1], KEYS[2], ARGV[1], tonumber(ARGV[2]))
return {epoch, text(seq)}
`;

/**
 * Starts a new epoch in place of one that a reader has found broken, unless somebody else has done so. It leaves a number
 * out at least: to those who had not read what was lost that is the sign of it.
 *
 * KEYS meta, journal. ARGV fresh epoch, floor, the broken epoch.
 *
 * @returns the epoch now in force, seq
 */
export const FORK_SCRIPT = `${OPEN}
local epoch, seq = open(KEYS[1], KEYS[2], ARGV[1], tonumber(ARGV[2]))
if epoch == ARGV[3] then
  seq = math.max(tonumber(ARGV[2]), seq + 1)
  epoch = ARGV[1]
  redis.call('HSET', KEYS[1], 'epoch', epoch, 'seq', text(seq), 'start', text(seq))
  if redis.call('XLEN', KEYS[2]) == 0 then redis.call('HSET', KEYS[1], 'origin', text(seq)) end
end
return {epoch, text(seq)}
`;

/** Services whose newest status is kept; a producer that makes up names must not fill Redis. */
const MAX_STATUSES = 1000;

/**
 * Appends a batch.
 *
 * KEYS meta, journal, statuses, lease, the named request. ARGV fresh epoch, floor, maxlen, deadline (ms of Redis's clock), lease token (empty
 * for none), number of the batch under that token, whether to look if a new epoch is due (`1` or `0`: it costs as much
 * as all the rest), fingerprint of the named request (empty for none), how long it is remembered in ms, and for every
 * message: event, json, symbol, timeframe, service, id.
 *
 * @returns `OK`, epoch, seq of the first; or `LATE`: the deadline has passed; `FENCED`: the token is not the holder's;
 *   `DONE`: this batch was appended before; `AGAIN`, epoch, seq of the first: the named request was carried out before;
 *   `OTHER`: its name stands for another request
 */
export const APPEND_SCRIPT = `${OPEN}
local now = redis.call('TIME')
if now[1] * 1000 + now[2] / 1000 > tonumber(ARGV[4]) then return {'LATE'} end
local token = ARGV[5]
if token ~= '' and redis.call('GET', KEYS[4]) ~= token then return {'FENCED'} end
local known = redis.call('HMGET', KEYS[1], 'epoch', 'seq', 'token', 'batch')
if token ~= '' and known[3] == token and tonumber(known[4]) >= tonumber(ARGV[6]) then return {'DONE'} end
if ARGV[8] ~= '' then
  local before = redis.call('HMGET', KEYS[5], 'fingerprint', 'epoch', 'first')
  if before[1] == ARGV[8] then return {'AGAIN', before[2], before[3]} end
  if before[1] then return {'OTHER'} end
end
local epoch, seq = known[1], tonumber(known[2] or 0)
if not epoch or ARGV[7] == '1' then epoch, seq = open(KEYS[1], KEYS[2], ARGV[1], tonumber(ARGV[2])) end
local first = seq + 1
for i = 10, #ARGV, 6 do
  seq = seq + 1
  local id = text(seq)
  redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[3], id .. '-0', 'event', ARGV[i], 'json', ARGV[i + 1], 'symbol', ARGV[i + 2],
    'timeframe', ARGV[i + 3], 'service', ARGV[i + 4], 'id', ARGV[i + 5], 'epoch', epoch)
  local service = ARGV[i + 4]
  if service ~= '' and (redis.call('HEXISTS', KEYS[3], service) == 1 or redis.call('HLEN', KEYS[3]) < ${MAX_STATUSES}) then
    redis.call('HSET', KEYS[3], service, epoch .. ':' .. id .. ' ' .. ARGV[i + 1])
  end
end
if token == '' then redis.call('HSET', KEYS[1], 'seq', text(seq))
else redis.call('HSET', KEYS[1], 'seq', text(seq), 'token', token, 'batch', ARGV[6]) end
if ARGV[8] ~= '' then
  redis.call('HSET', KEYS[5], 'fingerprint', ARGV[8], 'epoch', epoch, 'first', text(first))
  redis.call('PEXPIRE', KEYS[5], ARGV[9])
end
return {'OK', epoch, text(first)}
`;

/** Deletions looked at by each one for whether they are still of use: more than are added, so they do not add up. */
const DELETIONS_LOOKED_AT = 100;
/** How far below the oldest entry a deletion is kept: the oldest entries may have been deleted themselves. */
const DELETIONS_SLACK = 1000;
/** Newest deletions among which a repetition is looked for; two requests for one entry come close to each other. */
const DELETIONS_COMPARED = 1000;

/**
 * Deletes an entry, and notes what is left of it beside the journal, where readers that find the hole look. The note comes
 * first: a Redis that is full refuses it, and the hole must not be there without.
 *
 * KEYS journal, deletions, statuses. ARGV number and id of the entry, reason, whether the caller has it and it is to be noted
 * even where the journal has lost it (`1` or `0`), and of the entry: epoch, event, symbol, timeframe, service, name.
 *
 * @returns `OK`; `AGAIN`: it was deleted before; `GONE`: it is not in the journal
 */
export const DELETE_SCRIPT = `
local place = ARGV[1] .. '-0'
local found = redis.call('XRANGE', KEYS[1], place, place)[1]
local stored = found and found[2][12] == ARGV[2]
if not stored then
  if ARGV[4] ~= '1' then return 'GONE' end
  for _, one in ipairs(redis.call('XREVRANGE', KEYS[2], '+', '-', 'COUNT', ${DELETIONS_COMPARED})) do
    if one[2][6] == ARGV[2] then return 'AGAIN' end
  end
end
local epoch = stored and found[2][14] or ARGV[5]
local oldest = redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', 1)[1]
local floor = oldest and tonumber(string.match(oldest[1], '^%d+')) - ${DELETIONS_SLACK} or 0
for _, one in ipairs(redis.call('XRANGE', KEYS[2], '-', '+', 'COUNT', ${DELETIONS_LOOKED_AT})) do
  if tonumber(one[2][4]) < floor then redis.call('XDEL', KEYS[2], one[1]) end
end
redis.call('XADD', KEYS[2], '*', 'epoch', epoch, 'seq', ARGV[1], 'id', ARGV[2], 'event', ARGV[6], 'symbol', ARGV[7],
  'timeframe', ARGV[8], 'service', ARGV[9], 'name', ARGV[10], 'stored', stored and '1' or '0', 'reason', ARGV[3])
if stored then redis.call('XDEL', KEYS[1], place) end
if ARGV[9] ~= '' then
  local newest = redis.call('HGET', KEYS[3], ARGV[9])
  local mark = epoch .. ':' .. ARGV[1] .. ' '
  if newest and string.sub(newest, 1, #mark) == mark then redis.call('HDEL', KEYS[3], ARGV[9]) end
end
return 'OK'
`;

/**
 * Takes, keeps or asks for the lease of the bridge.
 *
 * A free lease whose holder did not release it goes to a pod that may take over, or to anybody when Redis itself was
 * restarted or has failed over since: then the subscriptions of most pods are new.
 *
 * KEYS lease, bridge, claim. ARGV token, time to live in ms, name of the caller, whether it may take over (`1` or `0`),
 * whether it claims the lease because it heard what the holder did not (`1` or `0`), time to live of a claim in ms.
 *
 * @returns a `LeaseAnswer`, and the time of Redis's clock in ms
 */
export const LEASE_SCRIPT = `
local time = redis.call('TIME')
local now = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))
local holder = redis.call('GET', KEYS[1])
local claim = redis.call('GET', KEYS[3])
if holder == ARGV[1] then
  if claim and claim ~= ARGV[3] then return {'yield', now} end
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
  return {'held', now}
end
if holder then
  if ARGV[5] == '1' then redis.call('SET', KEYS[3], ARGV[3], 'NX', 'PX', ARGV[6]) end
  return {'other', now}
end
local run = string.match(redis.call('INFO', 'server'), 'run_id:(%x+)') or ''
if claim and claim ~= ARGV[3] then return {'wait', now} end
local last = redis.call('HMGET', KEYS[2], 'released', 'run')
if not claim and ARGV[4] ~= '1' and last[1] == '0' and last[2] == run then return {'wait', now} end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
redis.call('HSET', KEYS[2], 'released', '0', 'run', run)
redis.call('DEL', KEYS[3])
if last[1] == '1' and last[2] == run then return {'handed-over', now} end
return {'acquired', now}
`;

/** Time of Redis's clock in ms. KEYS one that is on the Redis meant. */
export const CLOCK_SCRIPT = `
local time = redis.call('TIME')
return string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))
`;

/** Gives the lease back. KEYS lease, bridge. ARGV token, `1` when nothing is left to append, else `0`. */
export const RELEASE_SCRIPT = `
if redis.call('GET', KEYS[1]) == ARGV[1] then
  redis.call('DEL', KEYS[1])
  redis.call('HSET', KEYS[2], 'released', ARGV[2])
end
`;

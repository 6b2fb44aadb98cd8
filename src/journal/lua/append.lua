-- Appends a batch of messages to the journal, whole or not at all.
--
-- KEYS[1]  meta         hash, see JournalKeys
-- KEYS[2]  journal      stream of entries
-- KEYS[3]  statuses     hash of the newest status of each service
-- KEYS[4]  lease        token of the pod that bridges Pub/Sub
-- KEYS[5]  request      hash of the named request; not used where `fingerprint` is empty
-- KEYS[6]  sources      hash: how far each source stream has been read; not used where `source` is empty
-- ARGV[1]  fresh        name of a new epoch, if one is due (epoch.lua says when)
-- ARGV[2]  seen         offset of the newest entry that the caller has read or appended; its `seq` is 0 for none
-- ARGV[3]  hasAll       '1' if nobody can have seen more (see epoch.lua), else '0'
-- ARGV[4]  maxlen       entries kept, about
-- ARGV[5]  deadlineMs   Unix time on the clock of Redis: the batch is refused after it
-- ARGV[6]  token        lease token that the caller holds; empty for a batch that needs no lease
-- ARGV[7]  batch        number of the batch under that token, higher than those before
-- ARGV[8]  looks        '1' to check whether a new epoch is due, '0' not to: a check costs as much as all the rest
-- ARGV[9]  fingerprint  digest of the named request; empty for none
-- ARGV[10] requestMs    how long the named request is remembered
-- ARGV[11] touches      '1' to remember a request that was carried out before for `requestMs` again: `WAIT` covers writes; else '0'
-- ARGV[12] source       name of the source stream that the messages come from; empty for none. Its place takes the part of `batch`
-- ARGV[13] expected     how far it must have been read so far; empty for a stream that nobody has read
-- ARGV[14] place        how far it has been read with this batch, which may have no message
-- ARGV[15…]             six for each message: event, json, symbol, timeframe, service, id
--
-- Answers {'OK', epoch, first, done}: appended; `first` is the `seq` of the first message, the others follow it; `done` is
--         what was done to the stream so that it takes entries again, in words, or nothing;
--         {'LATE'}: the deadline has passed;
--         {'FENCED'}: the token is not the holder's;
--         {'DONE'}: this batch was appended before;
--         {'AGAIN', epoch, first}: the named request was carried out before, and these were its places;
--         {'MOVED', place}: the source stream has been read to another place than `expected`; empty if nobody has read it;
--         {'OTHER'}: the name of the request stands for another request.
--         All but 'OK' have changed nothing, but for what `touches` says.
--
-- Atomic, all of it (docs/ordering.md):
--   * the checks and the append: a pod that lost the lease, or repeats what it has no answer for, appends nothing twice;
--   * the entries and how far their source has been read: each entry of a source is in the journal once, whatever dies;
--   * `seq` and the entries: numbers have no hole within an epoch, and no batch has another's entries inside;
--   * the first entry of an epoch and what it says about those before (`from` and `lost`, see epoch.lua and fork.lua);
--   * the entries, the newest statuses and the memory of the request: nobody finds one without the others. A key that holds
--     something else than it should makes the script fail before it has written anything.

local MAX_STATUSES = 1000 -- a producer that makes up names of services must not fill Redis
local FIRST_MESSAGE, MESSAGE_FIELDS, SERVICE = 15, 6, 4
local NOTHING = {}

local meta, journal, statuses, lease, request = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local fresh = ARGV[1]
local maxlen, deadlineMs = ARGV[4], tonumber(ARGV[5])
local token, batch, looks = ARGV[6], ARGV[7], ARGV[8] == '1'
local fingerprint, requestMs, touches = ARGV[9], ARGV[10], ARGV[11] == '1'
local sources, source, expected, place = KEYS[6], ARGV[12], ARGV[13], ARGV[14]

local time = redis.call('TIME')
if time[1] * 1000 + time[2] / 1000 > deadlineMs then return {'LATE'} end
if token ~= '' and redis.call('GET', lease) ~= token then return {'FENCED'} end
if source ~= '' then
  local kept = redis.call('HGET', sources, source) or ''
  if kept ~= expected then return {'MOVED', kept} end
  if #ARGV < FIRST_MESSAGE then
    -- Entries without a valid message are passed by.
    redis.call('HSET', sources, source, place)
    return {'OK'}
  end
end
local known = redis.call('HMGET', meta, 'epoch', 'seq', 'start', 'token', 'batch')
if source == '' and token ~= '' and known[4] == token and (tonumber(known[5]) or -1) >= tonumber(batch) then
  return {'DONE'}
end
if fingerprint ~= '' then
  local before = redis.call('HMGET', request, 'fingerprint', 'epoch', 'first')
  if before[1] == fingerprint then
    if touches then redis.call('PEXPIRE', request, requestMs) end
    return {'AGAIN', before[2], before[3]}
  end
  if before[1] then return {'OTHER'} end
end

-- Before anything is written, see above.
for i = FIRST_MESSAGE + SERVICE, #ARGV, MESSAGE_FIELDS do
  if ARGV[i] ~= '' then
    redis.call('HLEN', statuses)
    break
  end
end

-- What is usual is done without the rest: each append waits for those before it.
local epoch, seq, now, more = known[1], tonumber(known[2]), nil, NOTHING
-- Numbers have 16 digits, so texts compare as they do. Where the caller has seen another epoch, or more, it is looked closer.
local isSetByHand = seq and seq > time[1] * 1000000 + FAR
local isBehind = string.sub(ARGV[2], 1, -18) ~= epoch or string.sub(ARGV[2], -16) > (known[2] or '')
if looks or not epoch or not seq or isSetByHand or isBehind then
  local epochs = epochOf(meta, journal, fresh)
  now = epochs.open(seenBy(ARGV[2], ARGV[3]))
  epoch, seq, more = now.epoch, now.seq, epochs.told(now)
elseif known[2] == known[3] then
  local epochs = epochOf(meta, journal, fresh)
  more = epochs.told(epochs.read())
end

-- It changes nothing, and fails where the right to do so is missing, before an entry is in the stream.
redis.call('HSET', meta, 'seq', text(seq))

local first = seq + 1
local i, isMended = FIRST_MESSAGE, false
while i <= #ARGV do
  local event, json, symbol, timeframe, service, id = unpack(ARGV, i, i + MESSAGE_FIELDS - 1)
  -- redis-entry.ts reads the fields by their places.
  local fault = redis.pcall('XADD', journal, 'MAXLEN', '~', maxlen, text(seq + 1) .. '-0', 'event', event, 'json', json,
    'symbol', symbol, 'timeframe', timeframe, 'service', service, 'id', id, 'epoch', epoch, unpack(more)).err
  if not fault then
    i, seq, more = i + MESSAGE_FIELDS, seq + 1, NOTHING
    if service ~= '' and (redis.call('HEXISTS', statuses, service) == 1 or redis.call('HLEN', statuses) < MAX_STATUSES) then
      redis.call('HSET', statuses, service, epoch .. ':' .. text(seq) .. ' ' .. json)
    end
  elseif i == FIRST_MESSAGE and not isMended and string.find(fault, ' ID') then
    -- The number is too low: the stream has, or had, ids that no gateway has given. Nothing is written so far.
    local epochs = epochOf(meta, journal, fresh)
    now = epochs.open(seenBy(ARGV[2], ARGV[3]), true)
    epoch, seq, first, more = now.epoch, now.seq, now.seq + 1, epochs.told(now)
    isMended = true
  else
    return { err = fault }
  end
end

if token == '' or source ~= '' then
  redis.call('HSET', meta, 'seq', text(seq))
else
  redis.call('HSET', meta, 'seq', text(seq), 'token', token, 'batch', batch)
end
if source ~= '' then redis.call('HSET', sources, source, place) end
if fingerprint ~= '' then
  redis.call('HSET', request, 'fingerprint', fingerprint, 'epoch', epoch, 'first', text(first))
  redis.call('PEXPIRE', request, requestMs)
end
return {'OK', epoch, text(first), now and now.done or ''}

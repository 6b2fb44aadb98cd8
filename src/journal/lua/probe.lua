-- Finds out whether an append would be carried out now, without one: reads what append.lua reads, and writes of the same kind.
--
-- KEYS[1]  meta      the keys of append.lua, in its order, all of them only read: a slot of a cluster that is being moved
-- KEYS[2]  journal   refuses both alike
-- KEYS[3]  statuses
-- KEYS[4]  lease
-- KEYS[5]  request
-- KEYS[6]  probe     stream of one entry, gone soon after the last probe
-- KEYS[7]  probed    hash, the same
-- ARGV[1]  keptMs    how long the two are kept
-- ARGV[2]  channel   nobody subscribes to it: a pod that may not publish cannot take the bridge over
--
-- Answers 'OK': an append would be carried out. Otherwise Redis says why it is refused.
--
-- Atomic by chance: nothing rests on it.

local meta, journal, statuses, lease, request = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local probe, probed = KEYS[6], KEYS[7]
local keptMs, channel = ARGV[1], ARGV[2]

redis.call('TIME')
redis.call('GET', lease)
redis.call('HMGET', meta, 'epoch', 'seq')
redis.call('HMGET', request, 'fingerprint')
redis.call('HLEN', statuses)
redis.call('XLEN', journal)
redis.call('INFO', 'server')

-- First of the writes: a full Redis refuses only the first one of a script.
local added = redis.pcall('XADD', probe, 'MAXLEN', 1, '*', 'at', '1')
if type(added) == 'table' and added.err then
  if not string.find(added.err, 'WRONGTYPE', 1, true) then return added end
  redis.call('DEL', probe)
end
redis.call('PEXPIRE', probe, keptMs)
local noted = redis.pcall('HSET', probed, 'at', '1')
if type(noted) == 'table' and noted.err then
  if not string.find(noted.err, 'WRONGTYPE', 1, true) then return noted end
  redis.call('DEL', probed)
end
redis.call('PEXPIRE', probed, keptMs)
redis.call('PUBLISH', channel, '')
return 'OK'

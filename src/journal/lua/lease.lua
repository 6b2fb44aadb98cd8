-- Takes, keeps or claims the lease of the bridge.
--
-- KEYS[1]  lease       string with a time to live: token of the holder
-- KEYS[2]  bridge      hash: whether the lease was `released` with nothing left to append, `run` of the Redis it was taken on
-- KEYS[3]  claim       string with a time to live: the pod that asks for the lease because it heard what the holder did not
-- ARGV[1]  token       the caller's token
-- ARGV[2]  ttlMs       time until the lease is free again unless it is kept
-- ARGV[3]  pod         name of the caller
-- ARGV[4]  takesOver   '1' if the caller may take the lease from a holder that ended without releasing it, else '0'
-- ARGV[5]  claims      '1' if the caller has heard what the holder has not, else '0'
-- ARGV[6]  claimTtlMs  time until a claim that nobody has answered is void
--
-- Answers {answer, now}, `now` being Unix time in ms on the clock of Redis, and `answer` one of
--         {'held', now}: the caller held the lease, and keeps it;
--         {'yield', now}: the caller holds it, another pod claims it: the caller is to release it;
--         {'other', now}: another pod holds it;
--         {'wait', now}: it is free, but not for the caller yet;
--         {'handed-over', now}: taken from a holder that released it with nothing left to append;
--         {'acquired', now}: taken otherwise.
--
-- A lease whose holder ended without releasing it goes to a pod that may take over, or to anybody when Redis itself was
-- restarted or has failed over since: then the subscriptions of most pods are new.
--
-- Atomic (docs/ordering.md): two pods that ask for a free lease must not both get it, and a claim is removed by the pod that
-- takes the lease, in that same step.

local lease, bridge, claim = KEYS[1], KEYS[2], KEYS[3]
local token, ttlMs, pod, claimTtlMs = ARGV[1], ARGV[2], ARGV[3], ARGV[6]
local takesOver, claims = ARGV[4] == '1', ARGV[5] == '1'

local time = redis.call('TIME')
local now = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))
-- A lease or a claim that somebody has set by hand would last forever, or for days. LT (Redis 7) leaves all others as they are.
redis.pcall('PEXPIRE', lease, ttlMs, 'LT')
redis.pcall('PEXPIRE', claim, claimTtlMs, 'LT')
local holder = redis.call('GET', lease)
local claimer = redis.call('GET', claim)
if holder == token then
  if claimer and claimer ~= pod then return {'yield', now} end
  redis.call('PEXPIRE', lease, ttlMs)
  return {'held', now}
end
if holder then
  if claims then redis.call('SET', claim, pod, 'NX', 'PX', claimTtlMs) end
  return {'other', now}
end

local run = string.match(redis.call('INFO', 'server'), 'run_id:(%x+)') or ''
if claimer and claimer ~= pod then return {'wait', now} end
local last = redis.call('HMGET', bridge, 'released', 'run')
if not claimer and not takesOver and last[1] == '0' and last[2] == run then return {'wait', now} end
redis.call('SET', lease, token, 'PX', ttlMs)
redis.call('HSET', bridge, 'released', '0', 'run', run)
redis.call('DEL', claim)
if last[1] == '1' and last[2] == run then return {'handed-over', now} end
return {'acquired', now}

-- Removes statuses that no gateway has written.
--
-- KEYS[1]   statuses  hash of the newest status of each service
-- ARGV[1…]  two for each: service, value
--
-- Answers how many were removed.
--
-- Atomic: a service with a new status keeps it.

local removed = 0
for i = 1, #ARGV, 2 do
  if redis.call('HGET', KEYS[1], ARGV[i]) == ARGV[i + 1] then removed = removed + redis.call('HDEL', KEYS[1], ARGV[i]) end
end
return removed

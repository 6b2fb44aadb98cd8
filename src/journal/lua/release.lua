-- Gives the lease of the bridge back, if the caller still holds it.
--
-- KEYS[1]  lease   string with a time to live: token of the holder
-- KEYS[2]  bridge  hash, see lease.lua
-- ARGV[1]  token   the caller's token
-- ARGV[2]  clean   '1' when nothing that the caller has heard is left to append, else '0'
--
-- Answers nothing.
--
-- Atomic (docs/ordering.md): a lease that expired meanwhile may have a new holder, whose lease must not be deleted.

-- A key that holds something else than it should makes the script fail before it has written anything.
redis.call('HLEN', KEYS[2])
if redis.call('GET', KEYS[1]) == ARGV[1] then
  redis.call('DEL', KEYS[1])
  redis.call('HSET', KEYS[2], 'released', ARGV[2])
end

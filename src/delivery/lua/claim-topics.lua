-- Gives the kept topics of a client to its new connection.
--
-- KEYS[1]  kept         string: the generation, then a JSON array of topics
-- ARGV[1]  generations  how many one connection has
-- ARGV[2]  ttlMs        time until they are forgotten
--
-- Answers {generation, topics}: the first generation of the new connection, and the JSON array; false (nil) if none are kept.
--
-- Atomic (docs/ordering.md): reading and raising the generation. From the moment the new connection has the topics, what its
-- predecessor still saves is refused.

local kept = redis.call('GET', KEYS[1])
if not kept then return false end
local generation, topics = string.match(kept, '^(%d*)(.*)$')
local connection = math.floor((tonumber(generation) or 0) / ARGV[1]) + 1
generation = string.format('%.0f', connection * ARGV[1])
redis.call('SET', KEYS[1], generation .. topics, 'PX', ARGV[2])
return {generation, topics}

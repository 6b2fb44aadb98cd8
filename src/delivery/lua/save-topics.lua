-- Keeps the topics that a client has chosen, unless topics of a newer generation are kept.
--
-- KEYS[1]  kept        string: the generation, then a JSON array of topics
-- ARGV[1]  generation  of these topics
-- ARGV[2]  topics      JSON array
-- ARGV[3]  ttlMs       time until they are forgotten
--
-- Answers 1: kept; 0: a greater generation is kept already.
--
-- Atomic (docs/ordering.md): the look at the generation and the write. An old connection and the one that replaced it save on
-- two pods at once.

local kept = redis.call('GET', KEYS[1]) or ''
if tonumber(string.match(kept, '^%d+') or 0) > tonumber(ARGV[1]) then return 0 end
redis.call('SET', KEYS[1], ARGV[1] .. ARGV[2], 'PX', ARGV[3])
return 1

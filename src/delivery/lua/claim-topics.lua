-- Gives the kept topics of a client to its new connection. Comes after kept-topics.lua, which describes the keys.
--
-- ARGV[1]  client
-- ARGV[2]  generations  how many one connection has
-- ARGV[3]  briefTtlMs   the topics are kept for that time at least
-- ARGV[4]  longTtlMs    the longest that topics are kept
--
-- Answers {generation, topics}: the first generation of the new connection, and the JSON array; only {generation} if none are
-- kept, or if they were kept by another run of Redis: it may have lost newer ones.
--
-- Atomic (docs/ordering.md): reading and raising the generation. From the moment the new connection has the topics, what its
-- predecessor still saves is refused.

local now = now_ms()
local former = read(ARGV[1])
if not former or former.ends <= now then return { string.format('%.0f', ARGV[2]) } end
begin()
local generation = (math.floor(former.generation / ARGV[2]) + 1) * ARGV[2]
make_room(ARGV[1])
write(
  ARGV[1],
  former,
  { generation = generation, run = former.run, topics = former.topics },
  now,
  tonumber(ARGV[3]),
  tonumber(ARGV[3])
)
finish(ARGV[4])
local run = current_run()
if run == '' or former.run ~= run then return { string.format('%.0f', generation) } end
return { string.format('%.0f', generation), former.topics }

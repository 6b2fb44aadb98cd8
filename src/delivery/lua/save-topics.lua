-- Keeps the topics that a client has chosen, unless topics of a newer generation are kept. Comes after kept-topics.lua, which
-- describes the keys.
--
-- ARGV[1]  client
-- ARGV[2]  generation  of these topics
-- ARGV[3]  topics      JSON array
-- ARGV[4]  ttlMs       time that they are kept for
-- ARGV[5]  briefTtlMs  the shortest of such times
-- ARGV[6]  longTtlMs   the longest
-- ARGV[7]  maxBytes    for all clients
--
-- Answers 1: kept; 0: a greater generation is kept already.
--
-- Atomic (docs/ordering.md): the look at the generation and the write. An old connection and the one that replaced it save on
-- two pods at once.

begin()
local now = now_ms()
forget(now, tonumber(ARGV[7]))
local former = read(ARGV[1])
local generation = tonumber(ARGV[2])
local is_newest = not former or former.generation <= generation
if is_newest then
  local record = { generation = generation, run = current_run(), topics = ARGV[3] }
  write(ARGV[1], former, record, now, tonumber(ARGV[4]), tonumber(ARGV[5]))
  forget(now, tonumber(ARGV[7]))
end
finish(ARGV[6])
return is_newest and 1 or 0

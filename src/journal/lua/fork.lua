-- Begins a new epoch in place of one that a reader has found broken, unless somebody else has done so already.
--
-- KEYS[1]  meta     hash, see JournalKeys
-- KEYS[2]  journal  stream of entries
-- ARGV[1]  fresh    name of the new epoch
-- ARGV[2]  floor    newest `seq` that the caller has seen
-- ARGV[3]  broken   the epoch to replace
--
-- Answers {epoch, seq}: the current epoch (`fresh`, or what another reader has begun), and the `seq` after which it goes on.
--
-- The new epoch leaves out at least one number: to readers that had not read what was lost, that is the sign of it.
--
-- Atomic (docs/ordering.md): many readers find the same epoch broken at once, and only the first may replace it. No entry may
-- come between the look at the newest `seq` and the new one.

local fresh, floor, broken = ARGV[1], tonumber(ARGV[2]), ARGV[3]
local epoch, seq = open(KEYS[1], KEYS[2], fresh, floor)
if epoch == broken then
  seq = math.max(floor, seq + 1)
  epoch = fresh
  redis.call('HSET', KEYS[1], 'epoch', epoch, 'seq', text(seq), 'start', text(seq))
  if redis.call('XLEN', KEYS[2]) == 0 then redis.call('HSET', KEYS[1], 'origin', text(seq)) end
end
return {epoch, text(seq)}

-- Sees to it that everybody who has read an epoch that a reader has found broken is told: it was begun, and got entries,
-- before that reader could say that it had read more than what is left of the epoch before. (`open` does so too, but looks at
-- the current epoch alone; this one may be older.)
--
-- KEYS[1]  meta     hash, see JournalKeys
-- KEYS[2]  journal  stream of entries
-- ARGV[1]  fresh    name of the new epoch, if one is begun
-- ARGV[2]  lost     newest `seq` that the caller has read and others have lost; 0 if it may have lost something itself
-- ARGV[3]  broken   the broken epoch
--
-- Answers what open.lua does.
--
-- Atomic (docs/ordering.md): many readers find the same epoch broken at once, and only the first may replace it. No entry may
-- come between the look at the newest `seq` and the new one.

local epochs, broken = epochOf(KEYS[1], KEYS[2], ARGV[1]), ARGV[3]
local now = epochs.open({ seq = 0, hasAll = false })
local lost = tonumber(ARGV[2])
local isLast = now.epoch == broken or now.broken == broken
local isTold = now.broken == broken and (now.lost == now.start or (lost > 0 and now.lost >= lost))
if not isTold then
  if not now.isBlank then now = epochs.begin(now, { seq = 0, hasAll = false }) end
  -- Where another epoch came in between, nobody can say what a pod must have read to have lost nothing.
  if lost == 0 or not isLast then lost = now.start end
  epochs.tellAll(now, broken, lost)
end
return epochs.state(now)

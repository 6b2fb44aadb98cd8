-- Says where the journal is, after beginning a new epoch where one is due (epoch.lua says when). What somebody's hand did to
-- the stream is noticed.
--
-- KEYS[1]  meta     hash, see JournalKeys
-- KEYS[2]  journal  stream of entries
-- ARGV[1]  fresh    name of the new epoch, if one is due
-- ARGV[2]  seen     offset of the newest entry that the caller has read or appended; its `seq` is 0 for none
-- ARGV[3]  hasAll   '1' if nobody can have seen more (see epoch.lua), else '0'
--
-- Answers {epoch, seq, start, before, stored, done}: the current epoch; the `seq` of its newest entry, and after which it
--         started; the `seq` of the newest entry before it; how many entries there are; what was done to the stream so that
--         it takes entries again, in words, or nothing.
--
-- Atomic (docs/ordering.md): of two readers that find a new epoch due at the same time, one begins it and the other is
-- answered with it.

local epochs = epochOf(KEYS[1], KEYS[2], ARGV[1])
return epochs.state(epochs.open(seenBy(ARGV[2], ARGV[3]), true))

-- Says where the journal is, after beginning a new epoch where one is due (epoch.lua says when).
--
-- KEYS[1]  meta     hash, see JournalKeys
-- KEYS[2]  journal  stream of entries
-- ARGV[1]  fresh    name of the new epoch, if one is due
-- ARGV[2]  floor    newest `seq` that the caller has seen; 0 for none
--
-- Answers {epoch, seq}: the current epoch, and the `seq` of its newest entry.
--
-- Atomic (docs/ordering.md): of two readers that find a new epoch due at the same time, one begins it and the other is
-- answered with it.

local epoch, seq = open(KEYS[1], KEYS[2], ARGV[1], tonumber(ARGV[2]))
return {epoch, text(seq)}

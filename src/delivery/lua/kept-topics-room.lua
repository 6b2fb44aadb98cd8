-- Says what Redis has room for. Runs where the kept topics are, on a cluster too. Comes after kept-topics.lua.
--
-- Answers {maxmemory, run}: in bytes, 0 if there is no limit; and what names this run of Redis.
--
-- Atomic for no reason: it is a script so that it runs where the keys are, and reads the run as the others do.

return { string.match(redis.call('INFO', 'memory'), 'maxmemory:(%d+)') or '0', current_run() }

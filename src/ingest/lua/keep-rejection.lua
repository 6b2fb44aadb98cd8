-- Keeps a rejected message as a sample, among the newest ones.
--
-- KEYS[1]  rejected  list of samples, newest first
-- ARGV[1]  sample    JSON
-- ARGV[2]  kept      most samples kept
--
-- Answers nothing.
--
-- Atomic: several pods may write at once, and the list never has more than `kept`.

redis.call('LPUSH', KEYS[1], ARGV[1])
redis.call('LTRIM', KEYS[1], 0, ARGV[2] - 1)

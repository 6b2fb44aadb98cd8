-- Tells the time.
--
-- KEYS[1]  any key of the journal (not read): a cluster finds the node by it
-- ARGV     none
--
-- Answers Unix time in ms, on the clock of Redis.
--
-- Atomic for no reason of its own: it changes nothing.

local time = redis.call('TIME')
return string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))

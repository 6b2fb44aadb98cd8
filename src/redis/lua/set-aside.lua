-- Sets keys aside that hold something else than they should: each is renamed, and nothing is lost.
--
-- KEYS[…]  keys of a gateway
-- ARGV[1]  prefix  what all of them begin with, `{prefix}:`
-- ARGV[…]  for each key a command that works on what it should hold, and on nothing else: HLEN, LLEN, STRLEN, XLEN
--
-- Answers an array with three texts for each key that was set aside: its name, its name now, and what it holds if Redis may say.
--
-- Atomic: the look and the renaming. Of two pods that find the same key wrong, the second must not set aside what the first
-- has written there since.

local prefix = ARGV[1]
local done = {}
for i, key in ipairs(KEYS) do
  local answer = redis.pcall(ARGV[i + 1], key)
  if type(answer) == 'table' and answer.err and string.find(answer.err, 'WRONGTYPE') then
    local time = redis.call('TIME')
    local ms = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))
    local aside = prefix .. 'set-aside:' .. ms .. ':' .. string.sub(key, #prefix + 1)
    local held = redis.pcall('TYPE', key)
    redis.call('RENAME', key, aside)
    done[#done + 1] = key
    done[#done + 1] = aside
    done[#done + 1] = held.ok or ''
  end
end
return done

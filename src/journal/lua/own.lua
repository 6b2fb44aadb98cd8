-- A passage that tells entries of the journal from what others put into its stream: by hand, or by another program. It stands
-- in front of epoch.lua and defines `FAR`, `text`, `usable`, `horizon`, `isEpoch` and `streamOf`.
--
-- KEYS, ARGV and answers: those of the script behind it.
--
-- An entry has the id `<seq>-0`, the fields that append.lua writes, in that order, and a message that is JSON (redis-entry.ts
-- tells them the same way). `XADD … *` by hand makes an id with a second part, since numbers are far above the time in ms.
--
-- Atomic with the script behind it: between a look at the newest entry and what follows from it nobody may add one.

-- Whole numbers up to here, and more than an hour of microseconds above, are exact in Lua and JavaScript.
local MAX_SEQ = 9000000000000000

-- Fifty years of microseconds: a number so far ahead of the clock of Redis was set by hand.
local FAR = 1600000000000000

-- All digits: tostring() writes large numbers with an exponent.
local function text(number)
  return string.format('%.0f', number)
end

-- A number that an entry may have, off its text; nil for anything else.
local function usable(value)
  local number = value and string.match(value, '^%d+$') and tonumber(value)
  return number and number <= MAX_SEQ and number or nil
end

-- The highest number that is not too far ahead.
local function horizon()
  local time = redis.call('TIME')
  return time[1] * 1000000 + time[2] + FAR
end

local function isEpoch(value)
  return value and #value <= 40 and string.match(value, '^[%w_-]+$') ~= nil
end

-- What can be asked and done of the stream of the journal. One function, since every append would have to make each of them.
local function streamOf(journal)
  local FIELDS = 'event json symbol timeframe service id epoch'
  local EVENTS = { new_signal = true, status_update = true }
  local PAGE, MAX_PAGES = 100, 1000 -- the search for an own entry ends after so many pages
  -- Microseconds by which ids may be ahead of every number that is known. What is further ahead is no work of a gateway, and
  -- above it whoever comes first to an empty Redis would not begin.
  local AHEAD = 3600 * 1000000
  local stream = {}

  local function isOwn(entry)
    local seq, fields = string.match(entry[1], '^(%d+)%-0$'), entry[2]
    if not usable(seq) or tonumber(seq) > horizon() then return false end
    if not isEpoch(fields[14]) or not EVENTS[fields[2]] then return false end
    local names = {}
    for i = 1, 13, 2 do names[#names + 1] = fields[i] end
    if table.concat(names, ' ') ~= FIELDS then return false end
    local isJson, value = pcall(cjson.decode, fields[4])
    return isJson and type(value) == 'table'
  end

  -- The epoch of the entry of a number; nil if there is none.
  function stream.epochAt(seq)
    local id = text(seq) .. '-0'
    local entry = redis.call('XRANGE', journal, id, id)[1]
    return entry and isOwn(entry) and entry[2][14] or nil
  end

  -- Up to which number ids are taken for what a gateway gave, where `known` is the highest that is known.
  function stream.limit(known)
    local time = redis.call('TIME')
    return math.min(math.max(time[1] * 1000000 + time[2], known) + AHEAD, MAX_SEQ)
  end

  -- The number of the newest entry, and its epoch; nil if there is none.
  function stream.newest()
    local to = '+'
    for _ = 1, MAX_PAGES do
      local page = redis.call('XREVRANGE', journal, to, '-', 'COUNT', PAGE)
      for _, entry in ipairs(page) do
        if isOwn(entry) then return tonumber(string.match(entry[1], '^%d+')), entry[2][14] end
      end
      if #page < PAGE then return nil end
      to = '(' .. page[PAGE][1]
    end
  end

  -- The first part of the last id that the stream has given, or was given; 0 where there is no stream.
  function stream.lastId()
    -- Fails where the key is no stream.
    redis.call('XLEN', journal)
    local info = redis.pcall('XINFO', 'STREAM', journal)
    if info.err then return 0 end
    for i = 1, #info - 1, 2 do
      if info[i] == 'last-generated-id' then return tonumber(string.match(info[i + 1], '^%d+')) end
    end
    return 0
  end

  -- Sees to it that the stream takes an entry above the numbers that are known. Entries with ids far ahead are removed; where
  -- Redis does not let the last id go back behind them, the stream is set aside. Returns the last id, and in words what was done.
  function stream.makeRoom(known)
    local last, limit = stream.lastId(), stream.limit(known)
    if last <= limit then return last end
    local removed = 0
    repeat
      local page = redis.call('XREVRANGE', journal, '+', text(limit + 1) .. '-0', 'COUNT', 1000)
      for _, entry in ipairs(page) do removed = removed + redis.call('XDEL', journal, entry[1]) end
    until #page < 1000
    local top = redis.call('XREVRANGE', journal, '+', '-', 'COUNT', 1)[1]
    if redis.pcall('XSETID', journal, top and top[1] or '0-1').err then
      local prefix, name = string.match(journal, '^(.*):([^:]*)$')
      local aside = prefix .. ':set-aside:' .. text(math.floor(redis.call('TIME')[1] * 1000)) .. ':' .. name
      redis.call('RENAME', journal, aside)
      return 0, 'its ids were used up; it was set aside as ' .. aside
    end
    return top and tonumber(string.match(top[1], '^%d+')) or 0,
      'its last id, ' .. text(last) .. ', was too far ahead; entries removed: ' .. removed
  end

  return stream
end

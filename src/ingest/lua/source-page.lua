-- Reads the next entries of a source stream, bounded by their number and their bytes, and how the stream stands.
--
-- KEYS[1]  stream     a stream that producers add to
-- ARGV[1]  after      id of the last entry read
-- ARGV[2]  count      most entries; 0 only to look
-- ARGV[3]  pageBytes  no more are added once there is as much as this
-- ARGV[4]  maxBytes   of a text that is longer, only the beginning is answered
--
-- Answers {exists, added, length, last, isGone, entries}: whether there is a stream, 1 or 0; how many entries were ever added
--         to it, -1 where Redis does not say (before version 7); how many there are; the id of the last one that was added;
--         where `added` is -1, whether the entry `after` is gone although others are there, 1 or 0; and of each entry {id, how
--         many fields are named json, bytes of the first of them, its text}.
--
-- Atomic, and changes nothing: `added` and `length` belong to the entries that come with them, or entries that were just added
-- would count as lost. It is a script so that the size is known before the text is sent: another application may have put
-- anything into the stream.

local SAMPLE_BYTES = 512
local MAX_STEP = 16 -- entries that are read together: the first of a page alone, then more and more while they are small
local LAST_ID = '18446744073709551615-18446744073709551615'

local stream, after = KEYS[1], ARGV[1]
local count, pageBytes, maxBytes = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])

local info, flat = {}, redis.pcall('XINFO', 'STREAM', stream)
if flat.err then
  if string.find(flat.err, 'no such key') then return {0, -1, 0, '0-0', 0, {}} end
  return { err = flat.err }
end
for i = 1, #flat, 2 do info[flat[i]] = flat[i + 1] end
local added, length, last = info['entries-added'] or -1, info['length'], info['last-generated-id']
local isGone = 0
if added == -1 and length > 0 and after ~= '0-0' and #redis.call('XRANGE', stream, after, after) == 0 then isGone = 1 end

-- The first field named json of an entry, and how many there are.
local function textOf(fields)
  local text, named = '', 0
  for i = 1, #fields, 2 do
    if fields[i] == 'json' then
      named = named + 1
      if named == 1 then text = fields[i + 1] end
    end
  end
  return text, named
end

local entries, bytes, step = {}, 0, 1
if after == LAST_ID then count = 0 end
while #entries < count and bytes < pageBytes do
  local wanted = math.min(step, count - #entries)
  local found = redis.call('XRANGE', stream, '(' .. after, '+', 'COUNT', wanted)
  local largest = 0
  for _, entry in ipairs(found) do
    local text, named = textOf(entry[2])
    local size = #text
    if size > largest then largest = size end
    if size > maxBytes then text = string.sub(text, 1, SAMPLE_BYTES) end
    bytes = bytes + #text
    entries[#entries + 1] = {entry[1], named, size, text}
    after = entry[1]
    if bytes >= pageBytes then break end
  end
  if #found < wanted then break end
  step = largest > maxBytes and 1 or math.min(step * 2, MAX_STEP)
end
return {1, added, length, last, isGone, entries}

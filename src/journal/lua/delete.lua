-- Deletes an entry of the journal and notes what is left of it in the stream of deletions, where readers that find the hole
-- look.
--
-- KEYS[1]   journal    stream of entries
-- KEYS[2]   deletions  stream of what is left of deleted entries
-- KEYS[3]   statuses   hash of the newest status of each service
-- ARGV[1]   seq        number of the entry
-- ARGV[2]   id         its random id
-- ARGV[3]   reason     why it is deleted, for whoever asks later
-- ARGV[4]   isHere     '1' if the caller has the entry: then the deletion is noted even where the journal has lost it; else '0'
-- ARGV[5]   epoch      of the entry, as the caller knows it
-- ARGV[6]   event      of the entry
-- ARGV[7]   symbol     of the entry, or empty
-- ARGV[8]   timeframe  of the entry, or empty
-- ARGV[9]   service    of the entry, or empty
-- ARGV[10]  name       digest of the message, by which pods that heard it on Pub/Sub know it
-- ARGV[11]  from       what the entry tells as the first of its epoch (epoch.lua), or empty
-- ARGV[12]  lost       the same (fork.lua), or empty
--
-- Answers 'OK': deleted; 'AGAIN': deleted before; 'GONE': the journal does not have it. All but 'OK' have changed nothing.
--
-- Atomic (docs/ordering.md): the note, the hole and the newest status. A reader that finds the hole finds the note too, or it
-- would take the entry for lost. The note comes first: a Redis that is full refuses it, and the hole must not be there
-- without it. A key that holds something else than it should makes the script fail before it has written anything.

local LOOKED_AT = 100 -- oldest deletions checked each time for being out of use: more than are added, so they do not add up
local SLACK = 1000 -- how far below the oldest entry a deletion is kept: the oldest entries may have been deleted themselves
local AHEAD_SECONDS = 3600 -- what is further in the future than this, no gateway has written
local COMPARED = 1000 -- newest deletions searched for a repetition: two requests for one entry come close to each other

local journal, deletions, statuses = KEYS[1], KEYS[2], KEYS[3]
local seq, id, reason, isHere = ARGV[1], ARGV[2], ARGV[3], ARGV[4] == '1'
local event, symbol, timeframe, service, name = ARGV[6], ARGV[7], ARGV[8], ARGV[9], ARGV[10]
local from, lost = ARGV[11] or '', ARGV[12] or ''

local newest = service ~= '' and redis.call('HGET', statuses, service)
local place = seq .. '-0'
local found = redis.call('XRANGE', journal, place, place)[1]
local stored = found and found[2][12] == id
if not stored then
  if not isHere then return 'GONE' end
  for _, one in ipairs(redis.call('XREVRANGE', deletions, '+', '-', 'COUNT', COMPARED)) do
    if one[2][6] == id then return 'AGAIN' end
  end
end

local epoch = stored and found[2][14] or ARGV[5]
if stored then from, lost = found[2][16] or '', found[2][18] or '' end
local told = {}
if from ~= '' then told = { 'from', from } end
if from ~= '' and lost ~= '' then told = { 'from', from, 'lost', lost } end
local oldest = redis.call('XRANGE', journal, '-', '+', 'COUNT', 1)[1]
local floor = oldest and tonumber(string.match(oldest[1], '^%d+')) - SLACK or 0
for _, one in ipairs(redis.call('XRANGE', deletions, '-', '+', 'COUNT', LOOKED_AT)) do
  if (tonumber(one[2][4]) or 0) < floor then redis.call('XDEL', deletions, one[1]) end
end
-- redis-entry.ts reads the fields by their places.
local function note()
  return redis.pcall('XADD', deletions, '*', 'epoch', epoch, 'seq', seq, 'id', id, 'event', event, 'symbol', symbol,
    'timeframe', timeframe, 'service', service, 'name', name, 'stored', stored and '1' or '0', 'reason', reason,
    unpack(told)).err
end

local fault = note()
if fault and string.find(fault, ' ID') then
  -- Somebody else has used up the ids.
  local highest = string.format('%.0f', (redis.call('TIME')[1] + AHEAD_SECONDS) * 1000)
  for _, one in ipairs(redis.call('XRANGE', deletions, highest, '+')) do redis.call('XDEL', deletions, one[1]) end
  local top = redis.call('XREVRANGE', deletions, '+', '-', 'COUNT', 1)[1]
  redis.call('XSETID', deletions, top and top[1] or '0-1')
  fault = note()
end
if fault then return { err = fault } end
if stored then redis.call('XDEL', journal, place) end
local mark = epoch .. ':' .. seq .. ' '
if newest and string.sub(newest, 1, #mark) == mark then redis.call('HDEL', statuses, service) end
return 'OK'

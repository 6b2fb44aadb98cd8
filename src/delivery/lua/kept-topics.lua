-- What the scripts of kept topics share. They go in front of it.
--
-- KEYS[1]  kept   hash: for each client `<generation> <end> <run> <topics>`, and under `#bytes` what all of it takes, about
-- KEYS[2]  brief  list of `<end> <client>`: those that are kept briefly, those that end first in front
-- KEYS[3]  long   list: the others
--
-- `end` is in ms on the clock of Redis. A client whose end has moved is in a list more than once; its newest `end` is the one
-- that counts.
--
-- Not a sorted set: the rights that the documents give to the Redis user know hashes and lists.

local TOTAL = '#bytes'
-- What one client takes beside its record, and one more place in a list: measured on Redis 7, 64 bits, and rounded up.
local CLIENT_BYTES = 200
local PLACE_BYTES = 80
-- Steps of one call at most, so that Redis is never held up.
local MAX_FORGOTTEN = 200

local total = 0

-- Names the process of Redis and its history, in which nothing is ever lost. With another one, the newest writes may be.
local function current_run()
  local id = string.match(redis.call('INFO', 'server'), 'run_id:(%w+)')
  local history = string.match(redis.call('INFO', 'replication'), 'master_replid:(%w+)')
  if not id or not history then return '' end
  return string.sub(id, 1, 20) .. string.sub(history, 1, 20)
end

local function now_ms()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

local function bytes_of(text)
  -- The allocator rounds up by a fifth at most.
  return math.floor(#text * 1.2) + CLIENT_BYTES
end

local function begin()
  if redis.call('HLEN', KEYS[1]) == 0 then redis.call('DEL', KEYS[2], KEYS[3]) end
  total = tonumber(redis.call('HGET', KEYS[1], TOTAL) or '0')
end

local function read(client)
  local text = redis.call('HGET', KEYS[1], client)
  if not text then return nil end
  local generation, ends, run, topics = string.match(text, '^(%d+) (%d+) (%w*) (.*)$')
  return { generation = tonumber(generation), ends = tonumber(ends), run = run, topics = topics, bytes = bytes_of(text) }
end

-- Keeps a record until `ttl` from now, or longer if it was kept for longer.
local function write(client, former, record, now, ttl, brief_ttl)
  local ends = now + ttl
  -- Not with every choice: each place in a list takes room until its time.
  if former and former.ends >= ends - ttl / 10 then
    ends = former.ends
  else
    redis.call('RPUSH', ttl > brief_ttl and KEYS[3] or KEYS[2], string.format('%.0f %s', ends, client))
    total = total + PLACE_BYTES
  end
  local text = string.format('%.0f %.0f %s ', record.generation, ends, record.run) .. record.topics
  redis.call('HSET', KEYS[1], client, text)
  total = total + bytes_of(text) - (former and former.bytes or 0)
end

-- For a record that is to be written again as long as it was: a first write that frees memory lets the next ones pass while
-- Redis is full.
local function make_room(client)
  redis.call('HDEL', KEYS[1], client)
end

-- Forgets what is over and, above `max_bytes`, what ends first.
local function forget(now, max_bytes)
  for _ = 1, MAX_FORGOTTEN do
    local list, ends, client
    for i = 2, 3 do
      local head = redis.call('LINDEX', KEYS[i], 0)
      if head then
        local its_end, its_client = string.match(head, '^(%d+) (.*)$')
        its_end = tonumber(its_end)
        if not ends or its_end < ends then list, ends, client = KEYS[i], its_end, its_client end
      end
    end
    if not ends or (ends > now and total <= max_bytes) then return end
    redis.call('LPOP', list)
    total = total - PLACE_BYTES
    local record = read(client)
    if record and record.ends == ends then
      redis.call('HDEL', KEYS[1], client)
      total = total - record.bytes
    end
  end
end

-- `ttl` is that of the longest that are kept: after it nothing is left that counts.
local function finish(ttl)
  redis.call('HSET', KEYS[1], TOTAL, math.max(0, total))
  for i = 1, 3 do redis.call('PEXPIRE', KEYS[i], ttl) end
end

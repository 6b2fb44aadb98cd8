-- Says what INFO says on the server that holds the keys of a gateway, on a cluster too.
--
-- KEYS[1]  any key of the gateway (not read): a cluster finds the node by it
-- ARGV     none
--
-- Answers the text of INFO.
--
-- Atomic for no reason of its own: it changes nothing.

local info = ''
for _, section in ipairs({ 'server', 'memory', 'persistence', 'replication' }) do
  info = info .. redis.call('INFO', section)
end
return info

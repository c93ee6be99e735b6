-- The script of a worker that stops: its places are free at once, and the configuration of its
-- server binds nobody after the last of its workers.

local server = take()
bury(owner)
local prefix_of_owners = server .. ' '
for _, name in ipairs(call('ZRANGE', OWNERS, 0, -1)) do
  if name:sub(1, #prefix_of_owners) == prefix_of_owners then return end
end
write('ZREM', SERVERS, server)
write('HDEL', CONFIGS, server)

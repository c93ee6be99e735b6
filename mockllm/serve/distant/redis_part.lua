-- The script of a worker that stops: its places are free at once, and the configuration of its
-- server binds nobody after the last of its workers.

local server = take()
bury(owner)
for _, name in ipairs(call('ZRANGE', OWNERS, 0, -1)) do
  if is_of(name, server .. ' ') then return end
end
write('ZREM', SERVERS, server)
write('HDEL', CONFIGS, server)

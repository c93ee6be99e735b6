-- The script of a heartbeat: a worker joins those who share the state, and stays. Returns the
-- number of seconds that the server's own time lags behind that of all servers as text, the name of
-- a server whose configuration differs, and the epoch.

local server, config, is_any = take(), take(), take() == '1'
local elapsed, speed = take_number(), take_number()
local replaced = take() -- with what the names of workers begin that are dead, if there are some

bury_the_dead()
if replaced ~= '' then bury_all(replaced) end

local known_epoch = epoch()
if not is_any then
  for _, name in ipairs(call('ZRANGE', SERVERS, 0, -1)) do
    if name ~= server and call('HGET', CONFIGS, name) ~= config then
      write('ZREM', SERVERS, server)
      write('HDEL', CONFIGS, server)
      return {'0', name, known_epoch}
    end
  end
end
write('ZADD', SERVERS, exact(real_now), server)
write('ZADD', OWNERS, exact(real_now), owner)
write('HSET', CONFIGS, server, config)

-- The time of the first server goes on for all.
local lag = 0
local clock = call('HMGET', CLOCK, 'at', 'elapsed', 'speed')
if clock[1] then
  lag = clock[2] + (real_now - clock[1]) * clock[3] - elapsed
end
write('HSET', CLOCK, 'at', exact(real_now), 'elapsed', exact(elapsed + lag), 'speed', exact(speed))

-- Nothing stays for ever: what no session has used for a day goes, and what all share would go if
-- no server were left.
local name = first(UNPINNED)
while name and now - tonumber(call('HGET', USED, name)) >= LIFETIME / 2 do
  remove_session(name)
  drop(name)
  name = first(UNPINNED)
end
end_unused()
local OF_ALL = {
  PINNED, UNPINNED, ENDED, USED, ENDED_AT, CURRENT, ANSWERED, ATTEMPTS, NUMBER_OF_ATTEMPTS, BUCKETS,
  NUMBER_OF_BUCKETS, VALUES, VALUES_IN_ORDER, BYTES_OF_VALUES, DRAWS, LEASES, CONFIGS, CLOCK, EPOCH,
  USES, prefix .. 'changes', prefix .. 'changes-snapshot', prefix .. 'changes-records',
  prefix .. 'calls', prefix .. 'calls-batches', prefix .. 'calls-sessions', prefix .. 'calls-lost',
  prefix .. 'calls-dropped', prefix .. 'calls-dead', prefix .. 'calls-pending',
  prefix .. 'calls-told', prefix .. 'calls-sequence', prefix .. 'calls-asked',
  prefix .. 'responses', prefix .. 'responses-sizes', prefix .. 'responses-numbers',
  prefix .. 'responses-of:',
}
for _, key in ipairs(OF_ALL) do keep(key) end
for _, key in ipairs({answers_of(''), requests_of(''), taken_of(''), buckets_of(''), levels_of('')}) do
  keep(key)
end
keep_written()
return {exact(lag), '', known_epoch}

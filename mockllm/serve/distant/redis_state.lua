-- The state of mocks, sessions and limits in Redis, as state/store.py specifies it.
--
-- redis_scripts.py puts the constants in capitals before this file, and one of the scripts
-- behind it: redis_perform.lua or redis_join.lua. KEYS[1] is the prefix of all keys. They are made
-- here, from names of sessions and pools, which a single Redis allows and a cluster does not.
--
-- A dict in order of use is a sorted set, whose scores are numbers from one counter, and a hash.

local prefix = KEYS[1]
local call = redis.call
local time = call('TIME')
local real_now = time[1] + time[2] / 1000000

local place = 0 -- in ARGV

local function take()
  place = place + 1
  return ARGV[place]
end

local function take_number()
  return tonumber(take())
end

local now = take_number() or real_now -- of tests, or that of Redis
local owner = take() -- the worker that asks
local new_epoch = take()

local function exact(number) -- as text, because Redis cuts the numbers in a reply
  return string.format('%.17g', number)
end

-- --- Keys -----------------------------------------------------------------------------------------

local PINNED, UNPINNED, ENDED = prefix .. 'pinned', prefix .. 'unpinned', prefix .. 'ended'
local USED, ENDED_AT = prefix .. 'used', prefix .. 'ended-at' -- times, by session
local CURRENT = prefix .. 'current'
local ANSWERED = prefix .. 'answered' -- the sessions in which mocks have answered
local ATTEMPTS, NUMBER_OF_ATTEMPTS = prefix .. 'attempts', prefix .. 'number-of-attempts'
local BUCKETS, NUMBER_OF_BUCKETS = prefix .. 'buckets', prefix .. 'number-of-buckets'
local VALUES, VALUES_IN_ORDER = prefix .. 'values', prefix .. 'values-in-order'
local BYTES_OF_VALUES = prefix .. 'bytes-of-values'
local DRAWS = prefix .. 'draws'
local LEASES = prefix .. 'leases'
local OWNERS, SERVERS = prefix .. 'owners', prefix .. 'servers' -- by their last heartbeat
local CONFIGS = prefix .. 'configs' -- fingerprints, by server
local CLOCK = prefix .. 'clock'
local EPOCH, USES = prefix .. 'epoch', prefix .. 'uses'

local function answers_of(session) return prefix .. 'answers:' .. session end
local function requests_of(session) return prefix .. 'requests:' .. session end
local function taken_of(session) return prefix .. 'taken:' .. session end
local function buckets_of(member) return prefix .. 'buckets:' .. member end
local function levels_of(member) return prefix .. 'levels:' .. member end
local function leases_in(pool) return prefix .. 'pool:' .. pool end
local function line_of(pool) return prefix .. 'line:' .. pool end
local function leases_of(name) return prefix .. 'owner:' .. name end

local written = {} -- keys, whose lifetime begins anew

local function write(command, key, ...)
  written[key] = true
  return call(command, key, ...)
end

local function keep(key)
  local left = call('TTL', key)
  if left == -1 or (left >= 0 and left < LIFETIME / 2) then -- not each time: each is a write
    call('EXPIRE', key, LIFETIME)
  end
end

local function keep_written()
  for key in pairs(written) do keep(key) end
end

local function use(key, member) -- move it to the end
  write('ZADD', key, write('INCR', USES), member)
end

local function first(key)
  return call('ZRANGE', key, 0, 0)[1]
end

local function epoch() -- that of the memory of Redis: another one if it was lost
  local known = call('GET', EPOCH)
  if known then return known end
  write('SET', EPOCH, new_epoch)
  return new_epoch
end

-- --- Attempts (state/attempts.py) -----------------------------------------------------------------

local function change_attempts(change)
  return write('INCRBY', NUMBER_OF_ATTEMPTS, change)
end

local function remove_oldest_request(session)
  local request = write('ZPOPMIN', requests_of(session))[1]
  local taken = cmsgpack.unpack(call('HGET', taken_of(session), request))
  write('HDEL', taken_of(session), request)
  change_attempts(0 - #taken)
  if call('ZCARD', requests_of(session)) == 0 then
    write('ZPOPMIN', ATTEMPTS) -- only the session longest unused can be emptied
  end
end

local function follow(session, attempt)
  local packed = call('HGET', taken_of(session), attempt.request)
  local taken = packed and cmsgpack.unpack(packed) or {}
  if #taken == 0 then return nil end
  local found = #taken
  for index = #taken, 1, -1 do
    if taken[index][1] == attempt.retry - 1 then
      found = index
      break
    end
  end
  local before = table.remove(taken, found)
  write('HSET', taken_of(session), attempt.request, cmsgpack.pack(taken))
  change_attempts(-1)
  return before
end

local function add_attempt(session, attempt, key, number)
  use(ATTEMPTS, session)
  use(requests_of(session), attempt.request)
  local packed = call('HGET', taken_of(session), attempt.request)
  local taken = packed and cmsgpack.unpack(packed) or {}
  table.insert(taken, {attempt.retry, key or false, number or 0})
  local size = change_attempts(1)
  if #taken > MAX_ATTEMPTS then
    table.remove(taken, 1)
    size = change_attempts(-1)
  end
  write('HSET', taken_of(session), attempt.request, cmsgpack.pack(taken))
  if call('ZCARD', requests_of(session)) > MAX_PER_SESSION then
    remove_oldest_request(session)
    size = tonumber(call('GET', NUMBER_OF_ATTEMPTS))
  end
  if size > MAX_KEPT then remove_oldest_request(first(ATTEMPTS)) end
end

local function forget_attempts(session, keys)
  local all = call('HGETALL', taken_of(session))
  local forgotten = 0
  for index = 1, #all, 2 do
    local taken, changed = cmsgpack.unpack(all[index + 1]), false
    forgotten = forgotten + #taken
    for _, each in ipairs(taken) do
      if keys and each[2] and keys[each[2]] then
        each[2], each[3], changed = false, 0, true
      end
    end
    if changed then write('HSET', taken_of(session), all[index], cmsgpack.pack(taken)) end
  end
  if not keys then
    call('DEL', taken_of(session), requests_of(session))
    write('ZREM', ATTEMPTS, session)
    change_attempts(0 - forgotten)
  end
end

-- --- Buckets (state/rate_limits.py) ---------------------------------------------------------------

local function level_of(charge, at) -- what is used of a bucket at that time
  local packed = call('HGET', levels_of(charge.member), charge.bucket)
  if not packed then return 0, false end
  local used, since = unpack(cmsgpack.unpack(packed))
  if used == 0 then return 0, false end
  return math.max(used - charge.amount * math.max(at - since, 0) / charge.window, 0), true
end

local function fits(used, charge)
  return used + charge.cost <= charge.amount * (1 + TOLERANCE)
end

local function put_level(charge, used, at)
  use(BUCKETS, charge.member)
  local size = write('HSET', levels_of(charge.member), charge.bucket, cmsgpack.pack({used, at}))
  use(buckets_of(charge.member), charge.bucket)
  if size == 1 and write('INCR', NUMBER_OF_BUCKETS) > MAX_BUCKETS then
    local member = first(BUCKETS)
    local bucket = write('ZPOPMIN', buckets_of(member))[1]
    write('HDEL', levels_of(member), bucket)
    write('DECR', NUMBER_OF_BUCKETS)
    if call('ZCARD', buckets_of(member)) == 0 then write('ZREM', BUCKETS, member) end
  end
end

local function spend(charges, at)
  local used = {}
  for index, charge in ipairs(charges) do used[index] = level_of(charge, at) end
  for index, charge in ipairs(charges) do
    if not fits(used[index], charge) then
      local wait = ''
      if fits(0, charge) then
        local missing = math.max(used[index] + charge.cost - charge.amount, 0)
        wait = exact(missing / charge.amount * charge.window)
      end
      local refusal = {'limited', index - 1, wait}
      for _, level in ipairs(used) do table.insert(refusal, exact(level)) end
      return refusal, true
    end
  end
  local spent = {'spent'}
  for index, charge in ipairs(charges) do
    put_level(charge, used[index] + charge.cost, at)
    table.insert(spent, exact(used[index] + charge.cost))
  end
  return spent
end

local function settle(charge, cost, since, at)
  local refilled = charge.amount * math.max(at - since, 0) / charge.window
  local given_back = math.max(charge.cost - math.max(cost, refilled), 0)
  local level, is_used = level_of(charge, at)
  if given_back > 0 and is_used then put_level(charge, math.max(level - given_back, 0), at) end
end

local function fill_buckets(member)
  local removed = call('ZCARD', buckets_of(member))
  if removed > 0 then write('DECRBY', NUMBER_OF_BUCKETS, removed) end
  call('DEL', buckets_of(member), levels_of(member))
  write('ZREM', BUCKETS, member)
end

local function member_of(session) -- that of all sessions is no name of one
  return session and 's' .. session or ''
end

-- --- Sessions (state/sessions.py) -----------------------------------------------------------------

local gone = {}

local function reset(session, keys)
  forget_attempts(session, keys)
  if not keys then
    call('DEL', answers_of(session))
    write('SREM', ANSWERED, session)
    return
  end
  for key in pairs(keys) do write('HDEL', answers_of(session), key) end
end

local function remove_responses(session) -- redis_responses.lua
  local key = prefix .. 'responses-of:' .. session
  for _, own in ipairs(call('HKEYS', key)) do
    local name = session .. '/' .. own
    local size = call('HGET', prefix .. 'responses-sizes', name) or 0
    call('HINCRBY', prefix .. 'responses-numbers', 'bytes', 0 - size)
    call('HDEL', prefix .. 'responses-sizes', name)
    call('ZREM', prefix .. 'responses', name)
  end
  call('DEL', key)
end

local function drop(session)
  reset(session)
  remove_responses(session)
  fill_buckets(member_of(session))
  table.insert(gone, session)
end

local function remove_session(name)
  write('ZREM', PINNED, name)
  write('ZREM', UNPINNED, name)
  write('HDEL', USED, name)
end

local function use_session(key, name)
  use(key, name)
  write('HSET', USED, name, exact(now))
end

local function forget_end(name)
  write('ZREM', ENDED, name)
  write('HDEL', ENDED_AT, name)
end

local function ended_at(name)
  return tonumber(call('HGET', ENDED_AT, name))
end

local function mark_ended(name, at)
  use(ENDED, name)
  write('HSET', ENDED_AT, name, exact(at))
  local oldest = first(ENDED)
  while call('ZCARD', ENDED) > MAX_ENDED or at - ended_at(oldest) >= STAYS_ENDED do
    forget_end(oldest)
    oldest = first(ENDED)
  end
  drop(name)
end

local function end_unused()
  local name = first(PINNED)
  while name do
    local used = tonumber(call('HGET', USED, name))
    if now - used < MAX_UNUSED then return end
    if name == call('GET', CURRENT) then
      use_session(PINNED, name)
    else
      remove_session(name)
      mark_ended(name, used + MAX_UNUSED)
    end
    name = first(PINNED)
  end
end

local function admit(name)
  if name == '' then return true end
  end_unused()
  if call('ZSCORE', PINNED, name) then
    use_session(PINNED, name)
    return true
  end
  local ended = ended_at(name)
  if ended then
    if now - ended < STAYS_ENDED then return false end
    forget_end(name)
  end
  use_session(UNPINNED, name)
  if call('ZCARD', UNPINNED) > MAX_UNPINNED then
    local evicted = first(UNPINNED)
    remove_session(evicted)
    drop(evicted)
  end
  return true
end

local function begin(name)
  end_unused()
  if name == '' then return true end
  if not call('ZSCORE', PINNED, name) and call('ZCARD', PINNED) >= MAX_PINNED then return false end
  forget_end(name)
  write('ZREM', UNPINNED, name)
  use_session(PINNED, name)
  return true
end

local function end_session(name)
  if name ~= '' then
    remove_session(name)
    mark_ended(name, now)
  end
end

local function is_open(name)
  return name == '' or call('ZSCORE', PINNED, name) or call('ZSCORE', UNPINNED, name)
end

local function list_sessions() -- pinned ones first, then in order of their last use
  local list = {'names'}
  for _, key in ipairs({PINNED, UNPINNED}) do
    for _, name in ipairs(call('ZRANGE', key, 0, -1)) do table.insert(list, name) end
  end
  return list
end

-- --- Choosing (state/choosing.py) -----------------------------------------------------------------

local function is_over(script, count)
  return script.total and count >= script.total and not script.goes_on
end

local function advance(session, candidates)
  local answers = answers_of(session)
  for index, candidate in ipairs(candidates) do
    local script = candidate.script
    if not script then return {'chosen', index - 1, 0, 0} end
    local count = tonumber(call('HGET', answers, candidate.key) or 0)
    if not is_over(script, count) then
      write('HSET', answers, candidate.key, count + 1)
      return {'chosen', index - 1, count + 1, 0}
    end
    if not script.passes then return {'exhausted', index - 1, count}, true end
  end
  return {'none left'}, true
end

local function advances_retry(script, number)
  local at = number - 1
  if is_over(script, at) then return true end
  if script.total and at >= script.total then
    local start = script.restart_at or script.total - 1
    at = start + (at - script.total) % (script.total - start)
  end
  for index = 1, #script.advancing, 2 do
    if at >= script.advancing[index] and at < script.advancing[index + 1] then return true end
  end
  return false
end

local function repeat_answer(candidates, key, number)
  for index, candidate in ipairs(candidates) do
    if candidate.key == key then
      local script = candidate.script
      if not script then return {'chosen', index - 1, 0, 1} end
      if number == 0 or advances_retry(script, number) then return nil end
      return {'chosen', index - 1, number, 1}
    end
  end
  return nil
end

local function choose(session, candidates, attempt)
  write('SADD', ANSWERED, session)
  if not attempt then return advance(session, candidates) end
  local before = attempt.retry > 0 and follow(session, attempt)
  local choice = before and before[2] and repeat_answer(candidates, before[2], before[3])
  local refused
  if not choice then choice, refused = advance(session, candidates) end
  if refused then
    add_attempt(session, attempt)
  else
    add_attempt(session, attempt, candidates[choice[2] + 1].key, choice[3])
  end
  return choice, refused
end

local function count_answers(session, keys) -- without a session, where each has answered most
  local counts = {'counts'}
  for index = 1, #keys do counts[index + 1] = 0 end
  for _, each in ipairs(session and {session} or call('SMEMBERS', ANSWERED)) do
    for index, key in ipairs(keys) do
      local count = tonumber(call('HGET', answers_of(each), key) or 0)
      counts[index + 1] = math.max(counts[index + 1], count)
    end
  end
  return counts
end

local function take_nothing(session, attempt)
  if attempt.retry > 0 then follow(session, attempt) end
  add_attempt(session, attempt)
end

-- --- Places of concurrent requests ----------------------------------------------------------------

local function holder_of(lease) -- the worker with whose name it begins
  return lease:match('^(%S+ %S+) ')
end

local function give_place(pool) -- to the first in the line, whose worker is told
  local lease = call('ZPOPMIN', line_of(pool))[1]
  if lease then
    write('SADD', leases_in(pool), lease)
    redis.pcall('PUBLISH', prefix .. 'called:' .. holder_of(lease), lease) -- may be forbidden
  end
end

local function leave(lease, holder)
  local pool = call('HGET', LEASES, lease)
  if pool then
    write('HDEL', LEASES, lease)
    write('SREM', leases_of(holder), lease)
    if call('SREM', leases_in(pool), lease) == 1 then
      give_place(pool)
    else
      call('ZREM', line_of(pool), lease)
    end
  end
end

local function bury(name)
  for _, lease in ipairs(call('SMEMBERS', leases_of(name))) do leave(lease, name) end
  write('ZREM', OWNERS, name)
end

local function is_of(name, beginning)
  return name ~= owner and name:sub(1, #beginning) == beginning
end

local function bury_all(beginning)
  for _, name in ipairs(call('ZRANGE', OWNERS, 0, -1)) do
    if is_of(name, beginning) then bury(name) end
  end
end

local function bury_the_dead() -- workers and servers whose heartbeat has stopped
  local last = call('ZREVRANGE', OWNERS, 0, 0, 'WITHSCORES')[2]
  if last and real_now - last > MAX_SILENCE / 2 then
    -- All were silent: it was Redis that was away. Each has as long again to be heard.
    for _, key in ipairs({OWNERS, SERVERS}) do
      for _, name in ipairs(call('ZRANGE', key, 0, -1)) do write('ZADD', key, exact(real_now), name) end
    end
    return
  end
  local latest = exact(real_now - MAX_SILENCE)
  for _, name in ipairs(call('ZRANGEBYSCORE', OWNERS, '-inf', latest)) do bury(name) end
  for _, name in ipairs(call('ZRANGEBYSCORE', SERVERS, '-inf', latest)) do
    write('ZREM', SERVERS, name)
    write('HDEL', CONFIGS, name)
  end
end

local function take_place(pool, lease, places, queue) -- or one in the line; nil without either
  if queue ~= 0 and call('HGET', LEASES, lease) == pool then
    return call('SISMEMBER', leases_in(pool), lease) == 1 and 'pool' or 'line'
  end
  local found
  if call('SCARD', leases_in(pool)) < places then
    write('SADD', leases_in(pool), lease)
    found = 'pool'
  elseif queue and call('ZCARD', line_of(pool)) >= queue then
    return nil
  else
    use(line_of(pool), lease)
    found = 'line'
  end
  write('HSET', LEASES, lease, pool)
  write('SADD', leases_of(owner), lease)
  write('ZADD', OWNERS, 'NX', exact(real_now), owner)
  return found
end

local function enter(pool, lease, places, queue)
  local found = take_place(pool, lease, places, queue)
  if found ~= 'pool' then
    bury_the_dead()
    found = take_place(pool, lease, places, queue)
  end
  if found == 'line' then return {'in line', call('SCARD', leases_in(pool))} end
  if not found then return {'pool full'}, true end
end

-- --- Values, draws --------------------------------------------------------------------------------

local function remove_value(key)
  local packed = call('HGET', VALUES, key)
  if packed then
    write('DECRBY', BYTES_OF_VALUES, cmsgpack.unpack(packed)[3])
    write('HDEL', VALUES, key)
    write('ZREM', VALUES_IN_ORDER, key)
  end
end

local function put(key, value, until_time, size)
  remove_value(key)
  if size == 0 then return end -- it is too large
  write('HSET', VALUES, key, cmsgpack.pack({value, until_time, size}))
  use(VALUES_IN_ORDER, key)
  local bytes = write('INCRBY', BYTES_OF_VALUES, size)
  while call('HLEN', VALUES) > MAX_VALUES or bytes > MAX_BYTES do
    remove_value(first(VALUES_IN_ORDER))
    bytes = tonumber(call('GET', BYTES_OF_VALUES))
  end
end

local function get(key)
  local packed = call('HGET', VALUES, key)
  if not packed then return {'none'} end
  local stored = cmsgpack.unpack(packed)
  if now >= stored[2] then
    remove_value(key)
    return {'none'}
  end
  return {'value', stored[1]}
end

local function draw(base)
  local count = tonumber(call('HGET', DRAWS, base) or 0)
  if count == 0 and call('HLEN', DRAWS) >= MAX_COUNTED then call('DEL', DRAWS) end
  write('HSET', DRAWS, base, count + 1)
  return {'drawn', count}
end

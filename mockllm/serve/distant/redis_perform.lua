-- The script of a question: performs operations in order, up to the first that refuses. Returns
-- their results, the names of the sessions that are gone, and the epoch.

-- --- Arguments, as redis_scripts.py writes them ---------------------------------------------------

local function take_attempt()
  local request = take()
  return request ~= '' and {request = request, retry = take_number()} or nil
end

local function take_script() -- total, what follows the last entry, where that is, what advances
  local words = take()
  if words == '' then return nil end
  local total, at_end, rest = words:match('^(%S+) (%S+)(.*)$')
  local numbers = {}
  for number in rest:gmatch('%S+') do table.insert(numbers, tonumber(number)) end
  return {
    total = tonumber(total), -- nil of one that never ends
    passes = at_end == 'pass',
    goes_on = at_end == 'repeat' or at_end == 'restart',
    restart_at = at_end == 'restart' and table.remove(numbers, 1) or nil,
    advancing = numbers,
  }
end

local function take_session() -- or false: all of them
  local words = take()
  return words ~= '' and words:sub(2)
end

local function take_charge()
  local charge = {bucket = take(), member = member_of(take_session())}
  charge.amount, charge.window, charge.cost = take_number(), take_number(), take_number()
  return charge
end

local function take_candidates()
  local candidates = {}
  for index = 1, take_number() do
    candidates[index] = {key = take(), script = take_script()}
  end
  return candidates
end

local function take_charges()
  local charges = {}
  for index = 1, take_number() do charges[index] = take_charge() end
  return charges
end

local function take_keys() -- or false: all of them
  local count = take_number()
  if count < 0 then return false end
  local keys = {}
  for _ = 1, count do keys[take()] = true end
  return keys
end

-- Each operation is read, then performed. There is one function for all of them, because each that a
-- script defines is made anew whenever it runs.

local function read(name)
  local o = {name = name}
  if name == 'choose' then
    o.session, o.attempt, o.candidates = take(), take_attempt(), take_candidates()
  elseif name == 'spend' then
    o.at, o.charges = take_number(), take_charges()
  elseif name == 'settle' then
    o.charge = take_charge()
    o.cost, o.since, o.at = take_number(), take_number(), take_number()
  elseif name == 'enter' then
    o.pool, o.lease, o.places, o.queue = take(), take(), take_number(), take_number() -- nil: no end
  elseif name == 'leave' then
    o.lease = take()
  elseif name == 'draw' then
    o.base = take()
  elseif name == 'take_nothing' then
    o.session, o.attempt = take(), take_attempt()
  elseif name == 'begin' then
    o.session, o.is_current = take(), take() == '1'
  elseif name == 'reset' then
    o.session, o.keys = take_session(), take_keys()
  elseif name == 'put' then
    o.key, o.value, o.lifetime, o.size = take(), take(), take_number(), take_number()
  elseif name == 'get' then
    o.key = take()
  elseif name == 'count_places' then
    o.pool = take()
  elseif name == 'count_answers' then
    o.session, o.keys = take_session(), {}
    for index = 1, take_number() do o.keys[index] = take() end
  elseif name ~= 'list_sessions' then -- admit, is_open, end_session
    o.session = take()
  end
  return o
end

local function reset_all(session, keys) -- of one session, or of all
  for _, each in ipairs(session and {session} or call('SMEMBERS', ANSWERED)) do reset(each, keys) end
  if keys then return end
  local members = session and {member_of(session)} or call('ZRANGE', BUCKETS, 0, -1)
  for _, member in ipairs(members) do fill_buckets(member) end
end

local function perform(o) -- the result, and whether it refuses
  local name = o.name
  if name == 'choose' then
    if not admit(o.session) then return {'session ended'}, true end
    return choose(o.session, o.candidates, o.attempt)
  elseif name == 'spend' then
    return spend(o.charges, o.at)
  elseif name == 'settle' then
    settle(o.charge, o.cost, o.since, o.at)
  elseif name == 'enter' then
    return enter(o.pool, o.lease, o.places, o.queue)
  elseif name == 'leave' then
    leave(o.lease, owner)
  elseif name == 'count_places' then
    return {'count', call('SCARD', leases_in(o.pool))}
  elseif name == 'draw' then
    return draw(o.base)
  elseif name == 'admit' then
    if not admit(o.session) then return {'session ended'}, true end
  elseif name == 'take_nothing' then
    if not admit(o.session) then return {'session ended'}, true end
    take_nothing(o.session, o.attempt)
  elseif name == 'begin' then
    if not begin(o.session) then return {'too many sessions'}, true end
    if o.is_current then write('SET', CURRENT, o.session) end
  elseif name == 'end_session' then
    end_session(o.session)
  elseif name == 'is_open' then
    return {'flag', is_open(o.session) and 1 or 0}
  elseif name == 'list_sessions' then
    return list_sessions()
  elseif name == 'count_answers' then
    return count_answers(o.session, o.keys)
  elseif name == 'reset' then
    reset_all(o.session, o.keys)
  elseif name == 'put' then
    put(o.key, o.value, now + o.lifetime, o.size)
  elseif name == 'get' then
    return get(o.key)
  end
end

local operations = {}
while place < #ARGV do table.insert(operations, read(take())) end

local function take_back(count) -- the places that the first operations have taken
  for index = 1, count do
    local operation = operations[index]
    if operation.name == 'enter' then leave(operation.lease, owner) end
  end
end

local function skip(count) -- the attempts behind the first operations take nothing
  for index = count + 1, #operations do
    local operation = operations[index]
    if operation.name == 'choose' and operation.attempt and admit(operation.session) then
      take_nothing(operation.session, operation.attempt)
    end
  end
end

local known_epoch = epoch()
local results = {}
for index, operation in ipairs(operations) do
  local result, refused = perform(operation)
  results[index] = result or {'none'}
  if refused then
    take_back(index - 1)
    skip(index)
    break
  end
end
keep_written()
return {results, gone, known_epoch}

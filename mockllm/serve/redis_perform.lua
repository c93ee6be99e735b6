-- The script of a question: performs operations in order, up to the first that refuses. Returns
-- their results, the names of the sessions that are gone, and the epoch.

-- --- Arguments, as serve/redis_scripts.py writes them ---------------------------------------------

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

-- What is `taken` from the arguments of each operation, and what it does with that.

local OPERATIONS = {
  choose = {
    function(o) o.session, o.attempt, o.candidates = take(), take_attempt(), take_candidates() end,
    function(o)
      if not admit(o.session) then return {'session ended'}, true end
      return choose(o.session, o.candidates, o.attempt)
    end,
  },
  admit = {
    function(o) o.session = take() end,
    function(o)
      if not admit(o.session) then return {'session ended'}, true end
    end,
  },
  take_nothing = {
    function(o) o.session, o.attempt = take(), take_attempt() end,
    function(o)
      if not admit(o.session) then return {'session ended'}, true end
      take_nothing(o.session, o.attempt)
    end,
  },
  begin = {
    function(o) o.session, o.is_current = take(), take() == '1' end,
    function(o)
      if not begin(o.session) then return {'too many sessions'}, true end
      if o.is_current then write('SET', CURRENT, o.session) end
    end,
  },
  end_session = {
    function(o) o.session = take() end,
    function(o) end_session(o.session) end,
  },
  is_open = {
    function(o) o.session = take() end,
    function(o) return {'flag', is_open(o.session) and 1 or 0} end,
  },
  list_sessions = {
    function() end,
    function() return list_sessions() end,
  },
  count_answers = {
    function(o)
      o.session, o.keys = take_session(), {}
      for index = 1, take_number() do o.keys[index] = take() end
    end,
    function(o) return count_answers(o.session, o.keys) end,
  },
  reset = {
    function(o) o.session, o.keys = take_session(), take_keys() end,
    function(o)
      local sessions = o.session and {o.session} or call('SMEMBERS', ANSWERED)
      for _, session in ipairs(sessions) do reset(session, o.keys) end
      if o.keys then return end
      local members = o.session and {member_of(o.session)} or call('ZRANGE', BUCKETS, 0, -1)
      for _, member in ipairs(members) do fill_buckets(member) end
    end,
  },
  put = {
    function(o) o.key, o.value, o.lifetime, o.size = take(), take(), take_number(), take_number() end,
    function(o) put(o.key, o.value, now + o.lifetime, o.size) end,
  },
  get = {
    function(o) o.key = take() end,
    function(o) return get(o.key) end,
  },
  draw = {
    function(o) o.base = take() end,
    function(o) return draw(o.base) end,
  },
  spend = {
    function(o) o.at, o.charges = take_number(), take_charges() end,
    function(o) return spend(o.charges, o.at) end,
  },
  settle = {
    function(o)
      o.charge = take_charge()
      o.cost, o.since, o.at = take_number(), take_number(), take_number()
    end,
    function(o) settle(o.charge, o.cost, o.since, o.at) end,
  },
  enter = {
    function(o) o.pool, o.lease, o.places = take(), take(), take_number() end,
    function(o)
      if not enter(o.pool, o.lease, o.places) then return {'pool full'}, true end
    end,
  },
  leave = {
    function(o) o.lease = take() end,
    function(o) leave(o.lease, owner) end,
  },
}

local operations = {}
while place < #ARGV do
  local name = take()
  local operation = {name = name}
  OPERATIONS[name][1](operation)
  table.insert(operations, operation)
end

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
  local result, refused = OPERATIONS[operation.name][2](operation)
  results[index] = result or {'none'}
  if refused then
    take_back(index - 1)
    skip(index)
    break
  end
end
keep_written()
return {results, gone, known_epoch}

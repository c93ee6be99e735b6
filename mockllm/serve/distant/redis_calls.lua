-- The calls of all workers of all servers, in the order in which they are told (redis_calls.py).
--
-- KEYS[1] is the prefix of all keys. The first argument is the act. `redis_changes.lua` has the log
-- of changes, by whose end it is known which calls were told before others were dropped: a batch
-- that is told has made all changes that drop calls.

local prefix = KEYS[1]
local call = redis.call
local time = call('TIME')

local CHANGES = prefix .. 'changes'
local CALLS = prefix .. 'calls' -- numbers
local BATCHES = prefix .. 'calls-batches' -- a stream, the id of each is the number of its last call
local SESSIONS = prefix .. 'calls-sessions' -- the number of calls in the batches, by session
local LOST = prefix .. 'calls-lost' -- calls for which there was no room, by session
local DROPPED = prefix .. 'calls-dropped' -- the end of changes when calls were dropped, by selection
local DEAD = prefix .. 'calls-dead' -- the end of changes when a loss was noticed, by worker
local PENDING = prefix .. 'calls-pending' -- workers that may have calls which they have not told
local TOLD = prefix .. 'calls-told' -- the number of the last question that a worker has answered
local SEQUENCE = prefix .. 'calls-sequence' -- the number of the last batch of each worker
local ASKED = prefix .. 'calls-asked' -- a stream that wakes
local OWNERS = prefix .. 'owners'
local MAX_READ = 1 -- batches

local act, place = ARGV[1], 1

local function take()
  place = place + 1
  return ARGV[place]
end

local function take_number()
  return tonumber(take())
end

local function number(key, field)
  return tonumber(call('HGET', key, field) or 0)
end

local function keep()
  local all = {
    CALLS, BATCHES, SESSIONS, LOST, DROPPED, DEAD, PENDING, TOLD, SEQUENCE, ASKED,
  }
  for _, key in ipairs(all) do
    local left = call('TTL', key)
    if left == -1 or (left >= 0 and left < LIFETIME / 2) then call('EXPIRE', key, LIFETIME) end
  end
end

local function fields_of(entry)
  local found = {}
  for index = 1, #entry[2], 2 do found[entry[2][index]] = entry[2][index + 1] end
  return found
end

local function change_count(session, by)
  if call('HINCRBY', SESSIONS, session, by) <= 0 then call('HDEL', SESSIONS, session) end
end

local function remove_oldest()
  local entry = call('XRANGE', BATCHES, '-', '+', 'COUNT', 1)[1]
  local batch = fields_of(entry)
  call('XDEL', BATCHES, entry[1])
  call('HINCRBY', CALLS, 'count', 0 - batch.count)
  call('HINCRBY', CALLS, 'bytes', 0 - batch.bytes)
  call('HSET', CALLS, 'removed', string.match(entry[1], '^%d+'))
  for session, count in pairs(cjson.decode(batch.sessions)) do
    if number(DROPPED, 'session:' .. session) <= tonumber(batch.position) then
      change_count(session, 0 - count)
      call('HINCRBY', LOST, session, count)
    end
  end
end

local function make_room(max_count, max_bytes)
  while call('XLEN', BATCHES) > 1
      and (number(CALLS, 'count') > max_count or number(CALLS, 'bytes') > max_bytes) do
    remove_oldest()
  end
  if call('HLEN', LOST) > max_count then call('DEL', LOST) end
  if call('HLEN', DROPPED) > MAX_DROPPED then
    while call('XLEN', BATCHES) > 0 do remove_oldest() end
    call('DEL', DROPPED)
  end
end

local function note_dead()
  local now = time[1] + time[2] / 1000000
  for _, name in ipairs(call('HKEYS', TOLD)) do
    local beat = tonumber(call('ZSCORE', OWNERS, name) or 0)
    if now - beat > MAX_SILENCE then
      if call('HDEL', PENDING, name) == 1 then
        call('HSET', DEAD, name, number(CHANGES, 'end'))
      end
      call('HDEL', TOLD, name)
      call('HDEL', SEQUENCE, name)
    end
  end
end

local function late(question) -- workers that are alive and have not answered it
  local found = {}
  local told = call('HGETALL', TOLD)
  for index = 1, #told, 2 do
    if tonumber(told[index + 1]) < question then found[#found + 1] = told[index] end
  end
  return found
end

if act == 'pending' then
  local owner = take()
  call('HSETNX', TOLD, owner, 0)
  call('HSET', PENDING, owner, 1)
  keep()
elseif act == 'part' then
  local owner = take()
  for _, key in ipairs({PENDING, TOLD, SEQUENCE}) do call('HDEL', key, owner) end
elseif act == 'ask' then
  local question = call('HINCRBY', CALLS, 'asked', 1)
  call('XADD', ASKED, 'MAXLEN', 1, string.format('%d-0', question), 'question', question)
  keep()
  return {question}
elseif act == 'asked' then -- by a worker that tells its calls from now on
  if call('HSETNX', TOLD, take(), 0) == 1 then keep() end
  return {number(CALLS, 'asked')}
elseif act == 'tell' then
  local owner, name, position, sequence = take(), take(), take_number(), take_number()
  local count, sessions, record, lost = take_number(), take(), take(), cjson.decode(take())
  local max_count, max_bytes, answered, is_pending = take_number(), take_number(), take(), take()
  if (call('HGET', CHANGES, 'name') or '') ~= name or position < number(CALLS, 'dropped') then
    return {0} -- calls may be among these that were dropped
  end
  if sequence > number(SEQUENCE, owner) then
    call('HSET', SEQUENCE, owner, sequence)
    if count > 0 then
      local last = call('HINCRBY', CALLS, 'end', count)
      call('XADD', BATCHES, string.format('%d-0', last), 'count', count, 'position', position,
        'bytes', #record, 'sessions', sessions, 'record', record)
      call('HINCRBY', CALLS, 'count', count)
      call('HINCRBY', CALLS, 'bytes', #record)
      for session, own in pairs(cjson.decode(sessions)) do change_count(session, own) end
    end
    for session, own in pairs(lost) do call('HINCRBY', LOST, session, own) end
    make_room(max_count, max_bytes)
  end
  call('HSETNX', TOLD, owner, 0)
  call('HDEL', DEAD, owner) -- it was only slow
  if answered ~= '' then
    call('HSET', TOLD, owner, answered)
    if is_pending == '1' then call('HSET', PENDING, owner, 1) else call('HDEL', PENDING, owner) end
  end
  keep()
  return {1}
elseif act == 'read' then
  local after, question = take_number(), take_number()
  note_dead()
  local batches = {}
  local from = string.format('%d-0', after + 1)
  for index, each in ipairs(call('XRANGE', BATCHES, from, '+', 'COUNT', MAX_READ)) do
    local batch = fields_of(each)
    local last = tonumber(string.match(each[1], '^%d+'))
    batches[index] = {last, tonumber(batch.count), tonumber(batch.position), batch.record}
  end
  return {
    call('HGET', CHANGES, 'name') or '', number(CALLS, 'end'), number(CALLS, 'removed'), batches,
    late(question), call('HGETALL', DROPPED), call('HGETALL', LOST), call('HGETALL', DEAD),
  }
end

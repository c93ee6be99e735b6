-- The log of what was changed at run time, for all workers of all servers (redis_changes.py).
--
-- KEYS[1] is the prefix of all keys. The first three arguments are the act, the log that a worker
-- knows, and the number of its records that it has. A log has a name that no other one has had, so
-- that a worker notices that Redis has forgotten the one it knew.

local prefix = KEYS[1]
local call = redis.call
local time = call('TIME')

local LOG = prefix .. 'changes' -- its name and its numbers
local SNAPSHOT = prefix .. 'changes-snapshot' -- what has the effect of the first `base` records
local RECORDS = prefix .. 'changes-records' -- a stream of those after `kept`
local LOCK = prefix .. 'changes-lock' -- the token of the worker that makes a change
local OWNERS = prefix .. 'owners'
local MAX_READ = 64 -- records

-- Those of calls, which changes drop (redis_calls.lua).
local CALLS, CALLS_BATCHES = prefix .. 'calls', prefix .. 'calls-batches'
local CALLS_SESSIONS, CALLS_LOST = prefix .. 'calls-sessions', prefix .. 'calls-lost'
local CALLS_DROPPED, CALLS_DEAD = prefix .. 'calls-dropped', prefix .. 'calls-dead'
local CALLS_PENDING, CALLS_ASKED = prefix .. 'calls-pending', prefix .. 'calls-asked'
local CALLS_TOLD, CALLS_SEQUENCE = prefix .. 'calls-told', prefix .. 'calls-sequence'

local OF_CALLS = {
  CALLS, CALLS_BATCHES, CALLS_SESSIONS, CALLS_LOST, CALLS_DROPPED, CALLS_DEAD, CALLS_PENDING,
  CALLS_ASKED, CALLS_TOLD, CALLS_SEQUENCE,
}

local act, known, position = ARGV[1], ARGV[2], tonumber(ARGV[3])
local place = 3

local function take()
  place = place + 1
  return ARGV[place]
end

local function keep()
  for _, keys in ipairs({{LOG, SNAPSHOT, RECORDS}, OF_CALLS}) do
    for _, key in ipairs(keys) do call('EXPIRE', key, LIFETIME) end
  end
end

local function look()
  local found = call('HMGET', LOG, 'name', 'end', 'kept', 'base', 'origin', 'bytes', 'size')
  return {
    name = found[1] or '',
    finish = tonumber(found[2] or 0),
    kept = tonumber(found[3] or 0),
    base = tonumber(found[4] or 0),
    origin = found[5] or '', -- the log, and the number of its records, that the snapshot continues
    bytes = tonumber(found[6] or 0), -- of the records after the snapshot
    size = tonumber(found[7] or 0), -- of the snapshot, in bytes
  }
end

local log = look()

local function owners_alive()
  local now = time[1] + time[2] / 1000000
  return call('ZRANGEBYSCORE', OWNERS, string.format('%.17g', now - MAX_SILENCE), '+inf')
end

local function note_pending(owner) -- it may have calls soon that it has not told
  if owner == '' then return end
  call('HSET', CALLS_PENDING, owner, 1)
  call('HSETNX', CALLS_TOLD, owner, 0)
  for _, key in ipairs({CALLS_PENDING, CALLS_TOLD}) do call('EXPIRE', key, LIFETIME) end
end

local function drop_calls(selection, position) -- by the change that is the record with this number
  call('HSET', CALLS, 'dropped', position)
  if selection == 'all' then
    call('XTRIM', CALLS_BATCHES, 'MAXLEN', 0)
    for _, key in ipairs({CALLS_SESSIONS, CALLS_LOST, CALLS_DROPPED, CALLS_DEAD}) do
      call('DEL', key)
    end
    call('HSET', CALLS, 'removed', call('HGET', CALLS, 'end') or 0, 'count', 0, 'bytes', 0)
    return
  end
  local session = string.match(selection, '^session:(.*)$')
  local is_there = call('XLEN', CALLS_BATCHES) > 0
  if session then
    is_there = call('HDEL', CALLS_SESSIONS, session) == 1 or call('EXISTS', CALLS_DEAD) == 1
    call('HDEL', CALLS_LOST, session)
  end
  if is_there then call('HSET', CALLS_DROPPED, selection, position) end
end

local function forget_calls() -- with the log, all calls
  for _, key in ipairs(OF_CALLS) do call('DEL', key) end
  local last = 0
  if known ~= '' then
    call('HSET', CALLS_DEAD, '', 0)
    last = time[1] * 1000 -- above all numbers so far, which are those of fewer calls
  end
  call('HSET', CALLS, 'end', string.format('%d', last), 'removed', string.format('%d', last))
end

local function read(wants_owners, pending)
  note_pending(pending)
  local begins_anew, records = 0, {}
  local from = known == log.name and position or nil
  if not from and log.origin == known .. ' ' .. position then from = 0 end
  if log.name == '' then
    from = 0
  elseif not from or from < log.kept then
    begins_anew, from = 1, log.base
    records[1] = call('GET', SNAPSHOT)
  elseif from < log.finish then
    local found = call('XRANGE', RECORDS, string.format('%d-0', from + 1), '+', 'COUNT', MAX_READ)
    for index, each in ipairs(found) do records[index] = each[2][2] end
    from = from + #records
  end
  local owners = wants_owners == '1' and owners_alive() or {}
  return {log.name, from, log.finish, begins_anew, records, owners, time[1], time[2]}
end

local function is_at_end()
  return log.name ~= '' and known == log.name and position == log.finish
end

if act == 'read' then
  return read(take(), take())
elseif act == 'lock' then
  local token, milliseconds = take(), take()
  if not call('SET', LOCK, token, 'NX', 'PX', milliseconds) then return {} end
  return read(take(), '')
elseif act == 'unlock' then
  if call('GET', LOCK) == take() then call('DEL', LOCK) end
elseif act == 'append' then -- and unlock
  local token, record = take(), take()
  if call('GET', LOCK) ~= token or not is_at_end() then return {} end
  local finish = log.finish + 1
  call('XADD', RECORDS, string.format('%d-0', finish), 'record', record)
  call('HSET', LOG, 'end', finish)
  call('HINCRBY', LOG, 'bytes', #record)
  call('DEL', LOCK)
  for _ = 1, tonumber(take()) do drop_calls(take(), finish) end
  keep()
  return {finish, log.bytes + #record, log.size}
elseif act == 'compact' then
  local snapshot = take()
  if not is_at_end() then return 0 end
  call('SET', SNAPSHOT, snapshot)
  call('HSET', LOG, 'kept', log.base, 'base', log.finish, 'bytes', 0, 'size', #snapshot)
  call('XTRIM', RECORDS, 'MAXLEN', log.finish - log.base)
  keep()
  return 1
elseif act == 'begin' then
  local name, snapshot, number = take(), take(), take()
  if log.name == '' then
    forget_calls()
    call('DEL', RECORDS)
    call('SET', SNAPSHOT, snapshot)
    call('HSET', LOG, 'name', name, 'end', 0, 'kept', 0, 'base', 0, 'bytes', 0, 'size', #snapshot)
    call('HSET', LOG, 'origin', known .. ' ' .. position, 'numbers', number)
    keep()
  end
elseif act == 'number' then
  if log.name == '' then return {} end
  return {call('HINCRBY', LOG, 'numbers', take())}
end

-- The stored responses of all servers (responses.py), as many as one process stores.
--
-- KEYS[1] is the prefix of all keys, the first argument the act. A response is named by its session
-- and its own key in it; one that was deleted is there without bytes, so that it is not taken for
-- one that was forgotten.

local prefix = KEYS[1]
local call = redis.call

local ORDER = prefix .. 'responses' -- names, by when they were stored
local SIZES = prefix .. 'responses-sizes' -- by name
local NUMBERS = prefix .. 'responses-numbers' -- 'bytes' of all, and the last of the order
local function of_session(session) return prefix .. 'responses-of:' .. session end

local act, place = ARGV[1], 1

local function take()
  place = place + 1
  return ARGV[place]
end

local function remove(name)
  local session, own = string.match(name, '^([^/]*)/(.*)$') -- a session has no slash
  call('HDEL', of_session(session), own)
  call('HINCRBY', NUMBERS, 'bytes', 0 - (call('HGET', SIZES, name) or 0))
  call('HDEL', SIZES, name)
  call('ZREM', ORDER, name)
end

local function put(session, own, packed)
  local name = session .. '/' .. own
  local size = PER_ENTRY + #packed
  if call('HEXISTS', SIZES, name) == 1 then remove(name) end
  call('HSET', of_session(session), own, packed)
  call('HSET', SIZES, name, size)
  call('ZADD', ORDER, call('HINCRBY', NUMBERS, 'last', 1), name)
  call('EXPIRE', of_session(session), LIFETIME)
  local bytes = call('HINCRBY', NUMBERS, 'bytes', size)
  while call('ZCARD', ORDER) > MAX_RESPONSES or bytes > MAX_BYTES do
    remove(call('ZRANGE', ORDER, 0, 0)[1])
    bytes = tonumber(call('HGET', NUMBERS, 'bytes'))
  end
end

if act == 'put' then
  for _ = 1, tonumber(take()) do put(take(), take(), take()) end
  for _, key in ipairs({ORDER, SIZES, NUMBERS}) do call('EXPIRE', key, LIFETIME) end
  return {}
elseif act == 'get' then -- the first of some keys that is there, in pieces
  local session = take()
  for index = place + 1, #ARGV do
    local packed = call('HGET', of_session(session), ARGV[index])
    if packed then
      local pieces = {string.sub(packed, 1, MAX_PIECE)}
      for start = MAX_PIECE + 1, #packed, MAX_PIECE do
        pieces[#pieces + 1] = string.sub(packed, start, start + MAX_PIECE - 1)
      end
      return pieces
    end
  end
  return {}
end

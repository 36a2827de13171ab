"""What the intake has Redis do in one step: its scripts. Keys and arguments are those of their callers, in
the modules beside this one.
"""

CROWDED = 200_000  # messages that wait in a lane; whatever comes then does so over a limit of memory, too

# Entries until there are so many, or so many octets: first those that were read and never
# finished, then as much of new ones.
# An entry may hold one message or a thousand: so one is asked for at first, then as many again each time, as
# far as there is room for them if they are as large as the largest so far; never more than 16, for small ones
# say nothing of what comes after them. A look for those of dead readers passes over ten others for each that
# it may bring: looking goes on, but not through all that may be in work.
READ = """
local group, consumer, idle = ARGV[1], ARGV[2], ARGV[3]
local entries, octets = tonumber(ARGV[4]), tonumber(ARGV[5])
local found = {}
local function gather(looks, bring)
  local count, size, largest = 0, 0, 1
  while looks > 0 and count < entries and size < octets do
    local room = math.max(1, math.floor((octets - size) / largest))
    local some = bring(math.min(room, math.max(1, count), entries - count, 16))
    if not some then return end
    looks = looks - 1
    for _, entry in ipairs(some) do
      if entry and entry[2] then
        local own = 0
        for _, part in ipairs(entry[2]) do own = own + #part end
        count, size, largest = count + 1, size + own, math.max(largest, own)
        found[#found + 1] = {entry[1], entry[2], own}
      end
    end
  end
end
local from = '0-0'
gather(100, function(count)
  if not from then return end
  local lapsed = redis.call('XAUTOCLAIM', KEYS[1], group, consumer, idle, from, 'COUNT', count)
  from = lapsed[1] ~= '0-0' and lapsed[1]
  return lapsed[2]
end)
gather(entries, function(count)
  local fresh = redis.call('XREADGROUP', 'GROUP', group, consumer, 'COUNT', count, 'STREAMS', KEYS[1], '>')
  return fresh and fresh[1][2]
end)
return found
"""

# A full Redis refuses what may take memory, but a script that has written once is let come to its end [Redis:
# scriptVerifyOOM in script.c; in 6.2 luaRedisGenericCommand in scripting.c]. So what empties it goes on. For
# what is little, or serves to take more away; not for producers. The key has no end. Before Redis 7 a full
# one takes nothing at all between MULTI and EXEC, not even questions.
_EVEN_IF_FULL = "redis.call('PERSIST', KEYS[{}])\n"

# If it is asked for again, since the answer was lost, the token that it left tells. The token's key is the
# thread's own, so that there are never many; a command is repeated within a minute. It writes all the same:
# WAITAOF waits for what its own connection wrote last, and what wrote the first time was another connection.
_DONE_BEFORE = """
local last = redis.call('GET', KEYS[1])
if last and string.sub(last, 1, #token) == token then
  redis.call('PEXPIRE', KEYS[1], 120000)
  return string.sub(last, #token + 1)
end
"""

# Add entries to a lane, once, all of them or none.
ADD = f"""
local token, id = ARGV[1], ''
{_DONE_BEFORE}
for i = 2, #ARGV, 2 do
  id = redis.call('XADD', KEYS[2], '*', 'n', ARGV[i], 'm', ARGV[i + 1])
  redis.call('INCRBY', KEYS[3], ARGV[i])
end
redis.call('SET', KEYS[1], token .. id, 'PX', 120000)
return id
"""
# Add several entries, and bury letters, all of them or none: what comes by the broker comes round again until
# it was taken in. The token is as above.
TAKE_IN = f"""{_EVEN_IF_FULL.format(2)}
local token, entries, letters = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
{_DONE_BEFORE}
for i = 1, entries do
  if tonumber(redis.call('GET', KEYS[2 * i + 1]) or 0) >= {CROWDED} then return '' end
end
local at, id = 3, ''
local function take()
  at = at + 1
  return ARGV[at]
end
for i = 1, entries do
  local count, payload = take(), take()
  id = redis.call('XADD', KEYS[2 * i], '*', 'n', count, 'm', payload)
  redis.call('INCRBY', KEYS[2 * i + 1], count)
end
for _ = 1, letters do
  id = redis.call('XADD', KEYS[#KEYS], '*', 'lane', take(), 'reason', take(), 'content', take())
end
redis.call('SET', KEYS[1], token .. id, 'PX', 120000)
return id
"""

WAKEUP = """
if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
redis.call('DEL', KEYS[1])
redis.call('SET', KEYS[1], 1, 'PX', ARGV[1])
return 1
"""

# Acknowledge and delete entries, and lower the count by what was really deleted: an entry that two
# processes worked on is counted once. An empty stream sets the count right: another program may have
# written into the stream and not counted, or counted otherwise.
# What could not be taken is buried or set aside in the same step, and only if an entry was there: if none is,
# it was all done before, and the answer was lost. Deleting comes first: so a full Redis takes the rest.
DONE = """
local at = 4
local function take()
  at = at + 1
  return ARGV[at]
end
local there, messages = false, 0
for _ = 1, tonumber(ARGV[2]) do
  local id, counted = take(), take()
  redis.call('XACK', KEYS[1], ARGV[1], id)
  if redis.call('XDEL', KEYS[1], id) == 1 then there, messages = true, messages + tonumber(counted) end
end
if redis.call('XLEN', KEYS[1]) == 0 or redis.call('DECRBY', KEYS[2], messages) < 0 then
  redis.call('SET', KEYS[2], 0)
end
if not there then return 0 end
for _ = 1, tonumber(ARGV[3]) do
  redis.call('XADD', KEYS[3], '*', 'lane', take(), 'reason', take(), 'content', take())
end
for i = 1, tonumber(ARGV[4]) do
  redis.call('SADD', KEYS[4], take())
  local count, payload = take(), take()
  redis.call('XADD', KEYS[3 + 2 * i], '*', 'n', count, 'm', payload)
  redis.call('INCRBY', KEYS[4 + 2 * i], count)
end
return messages
"""

# Forget a place in which nothing waits, read or unread.
TIDY = """
if redis.call('XLEN', KEYS[1]) > 0 then return 0 end
redis.call('DEL', KEYS[1], KEYS[2])
return redis.call('SREM', KEYS[3], ARGV[1])
"""

# By Redis's clock and not the process's: no judgement may depend on two hosts agreeing on the time.
HEARTBEAT = f"""{_EVEN_IF_FULL.format(1)}
local now = redis.call('TIME')
redis.call('HSET', KEYS[1], ARGV[1], string.format('%d.%06d ', now[1], now[2]) .. ARGV[2])
return redis.call('HMGET', KEYS[2], ARGV[3], ARGV[4])
"""

ALL = (ADD, TAKE_IN, READ, DONE, TIDY, WAKEUP, HEARTBEAT)

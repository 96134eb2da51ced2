-- The queue: tenants' calls, taken in turn, carried out at least once. `line.lua` describes the keys.
-- A call is written to its new place before it is removed from the old one, so that a refused command does not lose it.
-- KEYS: `<prefix>turns`; the other keys are built from it, with its hash tag.
-- ARGV: operation, now in ms or '' for the server's time, TTL of the queue in s, then the operation's arguments.
local PREFIX = KEYS[1]:sub(1, -(#'turns' + 1))
local LATER, TAKEN, TAKERS = PREFIX .. 'later', PREFIX .. 'taken', PREFIX .. 'takers'
local AGAIN, WORKERS, TURNS, TURN = PREFIX .. 'again', PREFIX .. 'workers', PREFIX .. 'turns', PREFIX .. 'turn'
local SUSPENDED = PREFIX .. 'suspended'
local now, TTL = now_ms(ARGV[2]), ARGV[3]
local DUE_AT_ONCE = 1000

local function split(member) return member:match('^([^/]*)/(.*)$') end

local function kept(...)
  for _, key in ipairs({ ... }) do redis.call('EXPIRE', key, TTL) end
end

local function join(member, since)
  local tenant, call = split(member)
  for _, write in ipairs(joining(PREFIX, tenant, call, since, TTL)) do redis.call(unpack(write)) end
end

local function due(member, at)
  if at <= now then return join(member, now) end
  redis.call('ZADD', LATER, whole(at), member)
  kept(LATER)
end

local function leave(member)
  redis.call('ZREM', TAKEN, member)
  redis.call('HDEL', TAKERS, member)
  redis.call('HDEL', AGAIN, member)
end

-- Records that a worker is alive, and its number of places. Returns the places of all live workers.
local function seen(worker, places, silent)
  redis.call('ZREMRANGEBYSCORE', WORKERS, '-inf', '(' .. whole(now))
  if worker then
    redis.call('ZADD', WORKERS, whole(now + silent), worker .. '/' .. places)
    kept(WORKERS)
  end
  local total = 0
  for _, each in ipairs(redis.call('ZRANGE', WORKERS, '0', '-1')) do
    local _, has = split(each)
    total = total + tonumber(has)
  end
  return total
end

-- A tenant keeps its place in the round until it has no waiting calls; each turn moves it behind all others.
local function next_of(tenant, worker, silent)
  local calls = PREFIX .. 'of:' .. tenant
  local first = redis.call('ZRANGE', calls, '0', '0')[1]
  if not first then
    redis.call('ZREM', TURNS, tenant)
    return nil
  end
  local member = tenant .. '/' .. first
  redis.call('ZADD', TAKEN, whole(now + silent), member)
  redis.call('HSET', TAKERS, member, worker)
  redis.call('ZADD', TURNS, redis.call('INCR', TURN), tenant)
  redis.call('ZREM', SUSPENDED .. ':' .. tenant, first)
  redis.call('ZREM', calls, first)
  if redis.call('EXISTS', calls) == 0 then redis.call('ZREM', TURNS, tenant) end
  kept(TAKEN, TAKERS, TURN)
  return member
end

local function take(worker, places, free, per_tenant, silent)
  local total = seen(worker, places, silent)
  for _, member in ipairs(redis.call('ZRANGEBYSCORE', LATER, '-inf', whole(now), 'LIMIT', '0', DUE_AT_ONCE)) do
    join(member, now)
    redis.call('ZREM', LATER, member)
  end
  local busy = {}
  for _, member in ipairs(redis.call('ZRANGEBYSCORE', TAKEN, '-inf', '(' .. whole(now))) do
    join(member, 0) -- before the tenant's others, because its worker died with it
    leave(member)
  end
  for _, member in ipairs(redis.call('ZRANGE', TAKEN, '0', '-1')) do
    local tenant = split(member)
    busy[tenant] = (busy[tenant] or 0) + 1
  end
  -- No tenant gets all places, if there is more than one: the next tenant finds one free, or soon.
  local share, given, before = math.min(per_tenant, math.max(1, total - 1)), {}, -1
  while #given < free and #given > before do
    before = #given
    for _, tenant in ipairs(redis.call('ZRANGE', TURNS, '0', '-1')) do
      if #given == free then break end
      if (busy[tenant] or 0) < share then
        local member = next_of(tenant, worker, silent)
        if member then
          given[#given + 1] = member
          busy[tenant] = (busy[tenant] or 0) + 1
        end
      end
    end
  end
  local next_due = redis.call('ZRANGE', LATER, '0', '0', 'WITHSCORES')[2]
  return { next_due and math.max(0, next_due - now) or -1, given }
end

local function renew(worker, places, silent, members)
  seen(worker, places, silent)
  for _, member in ipairs(members) do
    if redis.call('HGET', TAKERS, member) == worker then redis.call('ZADD', TAKEN, whole(now + silent), member) end
  end
  kept(TAKEN, TAKERS, TURNS, TURN, AGAIN)
  return 1
end

-- A call that was queued again during its run may have missed the reason: it is run again.
local function done(worker, member, delay)
  if redis.call('HGET', TAKERS, member) ~= worker then return 0 end
  local asked = tonumber(redis.call('HGET', AGAIN, member) or '')
  local wanted = delay ~= '' and now + tonumber(delay) or nil
  local at = asked and wanted and math.min(asked, wanted) or asked or wanted
  if at then due(member, at) end
  leave(member)
  redis.call('XADD', PREFIX .. 'bell', 'MAXLEN', '1', '*', 'rung', '') -- its tenant has one more place
  kept(PREFIX .. 'bell')
  return 1
end

local function put(member, delay)
  local tenant, call = split(member)
  local at = now + delay
  if redis.call('ZSCORE', TAKEN, member) then
    local asked = tonumber(redis.call('HGET', AGAIN, member) or '')
    redis.call('HSET', AGAIN, member, whole(math.min(asked or at, at)))
    kept(AGAIN)
  elseif not redis.call('ZSCORE', PREFIX .. 'of:' .. tenant, call) then
    local later = tonumber(redis.call('ZSCORE', LATER, member) or '')
    if not later or at < later then
      due(member, at)
      if at <= now then redis.call('ZREM', LATER, member) end
    end
  end
  return 1
end

-- The call comes first: if the mark cannot be set, it is queued again, under the same name.
local function rise(mark, level, member)
  local key = PREFIX .. 'mark:' .. mark
  if tonumber(redis.call('GET', key) or '0') >= tonumber(level) then return 0 end
  put(member, 0)
  redis.call('SET', key, level, 'EX', TTL)
  return 1
end

local function ensure(member)
  local tenant, call = split(member)
  local known = redis.call('ZSCORE', TAKEN, member) or redis.call('ZSCORE', LATER, member)
  if not known and not redis.call('ZSCORE', PREFIX .. 'of:' .. tenant, call) then join(member, now) end
  return 1
end

local function forget(member)
  if redis.call('ZSCORE', TAKEN, member) then return 0 end
  local tenant, call = split(member)
  redis.call('ZREM', SUSPENDED .. ':' .. tenant, call)
  redis.call('ZREM', PREFIX .. 'of:' .. tenant, call)
  redis.call('ZREM', LATER, member)
  return 1
end

local function suspend(member)
  local tenant, call = split(member)
  local calls = SUSPENDED .. ':' .. tenant
  redis.call('ZADD', calls, whole(now), call)
  redis.call('ZADD', SUSPENDED, whole(now), tenant)
  kept(calls, SUSPENDED)
  return 1
end

local function wake(tenant)
  local calls = SUSPENDED .. ':' .. tenant
  for _, call in ipairs(redis.call('ZRANGE', calls, '0', tostring(DUE_AT_ONCE - 1))) do
    put(tenant .. '/' .. call, 0)
    redis.call('ZREM', calls, call)
  end
  if redis.call('EXISTS', calls) == 0 then redis.call('ZREM', SUSPENDED, tenant) end
  return redis.call('ZCARD', calls)
end

local function look()
  local waiting, oldest = 0, now
  for _, tenant in ipairs(redis.call('ZRANGE', TURNS, '0', '-1')) do
    local calls = PREFIX .. 'of:' .. tenant
    waiting = waiting + redis.call('ZCARD', calls)
    -- Those of a dead worker come first, as of 0, and are taken at once.
    local since = redis.call('ZRANGEBYSCORE', calls, '(0', '+inf', 'WITHSCORES', 'LIMIT', '0', '1')[2]
    oldest = math.min(oldest, tonumber(since or '') or now)
  end
  local suspended = 0
  for _, tenant in ipairs(redis.call('ZRANGE', SUSPENDED, '0', '-1')) do
    suspended = suspended + redis.call('ZCARD', SUSPENDED .. ':' .. tenant)
  end
  return { waiting, redis.call('ZCARD', LATER), redis.call('ZCARD', TAKEN), seen(), suspended, now - oldest }
end

local operation, given = ARGV[1], { unpack(ARGV, 4) }
if operation == 'take' then
  return take(given[1], given[2], tonumber(given[3]), tonumber(given[4]), tonumber(given[5]))
elseif operation == 'renew' then
  return renew(given[1], given[2], tonumber(given[3]), { unpack(given, 4) })
elseif operation == 'done' then
  return done(given[1], given[2], given[3])
elseif operation == 'put' then
  return put(given[1], tonumber(given[2]))
elseif operation == 'rise' then
  return rise(given[1], given[2], given[3])
elseif operation == 'ensure' then
  return ensure(given[1])
elseif operation == 'forget' then
  return forget(given[1])
elseif operation == 'suspend' then
  return suspend(given[1])
elseif operation == 'suspended' then
  return redis.call('ZRANGE', SUSPENDED, '0', '-1')
elseif operation == 'wake' then
  return wake(given[1])
end
return look()

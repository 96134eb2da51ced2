-- What calls have reserved and cost, and a job's other usage.
-- KEYS: the index of the open calls. The other keys are built here; their common hash tag puts them on one node.
-- ARGV: one JSON object: operation, now in ms, TTLs of a job, a day and a closed call in s, then the operation's
-- arguments by name. Limits have the names of graphs/spending/limits.py. Numbers in Lua are doubles: exact below 2^53,
-- which the caller ensures.
local given = cjson.decode(ARGV[1])
local OPEN = KEYS[1]
local PREFIX = OPEN:sub(1, -(#'open' + 1))
local now, JOB_S, DAY_S, CLOSED_S = given.now, given.job_s, given.day_s, given.closed_s
local MINUTE_S = 120
local REAPED_AT_ONCE = 16
local FENCED = { 0 }

-- An operation's changes are computed first and written last, by `commit`, so that a refusal by the store leaves nothing
-- half booked. By key: current or future fields, the fields to write, and the key's new TTL in seconds.
local fields, changed, order, lives = {}, {}, {}, {}
local added, removed = {}, {}

-- By default Redis 7.2 turns 100000000 into 1e+8 (redis/redis#13113).
local function whole(number) return string.format('%.0f', number) end

local function expire(key, seconds) lives[key] = whole(seconds) end

local function fetch(key, ...)
  local known, unknown = fields[key] or {}, {}
  fields[key] = known
  for _, field in ipairs({ ... }) do
    if known[field] == nil then unknown[#unknown + 1] = field end
  end
  if #unknown > 0 then
    for place, value in ipairs(redis.call('HMGET', key, unpack(unknown))) do known[unknown[place]] = value end
  end
  return known
end

local function number(key, field)
  local known = fields[key]
  if not known or known[field] == nil then known = fetch(key, field) end
  return tonumber(known[field] or 0) or error(key .. ' has no number as ' .. field)
end

local function read(key, ...)
  fetch(key, ...)
  local found = { ... }
  for place, field in ipairs(found) do found[place] = number(key, field) end
  return unpack(found)
end

-- For a key that was read, so that its type is known.
local function set(key, field, value)
  fields[key][field] = value
  if not changed[key] then
    changed[key] = {}
    order[#order + 1] = key
  end
  changed[key][field] = true
end

-- No counter goes below zero: if a key has expired meanwhile, nothing is left to take back.
local function add(key, field, amount) set(key, field, whole(math.max(0, number(key, field) + amount))) end

-- A command that this user may not send is tried first, so that it is refused before any write. Redis 6.2 cannot be
-- asked; there, the reaper corrects what was written before a refusal.
local function commit()
  local writes = {}
  if #added + #removed > 0 then redis.call('ZSCORE', OPEN, '') end
  for _, each in ipairs(added) do writes[#writes + 1] = { 'ZADD', OPEN, each[1], each[2] } end
  for _, key in ipairs(order) do
    local write = { 'HSET', key }
    for field in pairs(changed[key]) do
      write[#write + 1] = field
      write[#write + 1] = fields[key][field]
    end
    writes[#writes + 1] = write
  end
  for _, id in ipairs(removed) do writes[#writes + 1] = { 'ZREM', OPEN, id } end
  for key, seconds in pairs(lives) do writes[#writes + 1] = { 'EXPIRE', key, seconds } end
  for _, write in ipairs(redis.acl_check_cmd and writes or {}) do
    if not redis.acl_check_cmd(unpack(write)) then redis.call(unpack(write)) end
  end
  for _, write in ipairs(writes) do redis.call(unpack(write)) end
end

-- A job and a day each have total counters and, with a colon, partial ones: by agent, or by tenant.
local function job_key(job) return PREFIX .. 'job:' .. job end
local function day_key(day) return PREFIX .. 'day:' .. day end
local function minute_key(minute) return PREFIX .. 'minute:' .. minute end
local function call_key(id) return PREFIX .. 'call:' .. id end
local function this_minute() return whole(math.floor(now / 60000)) end

local function add_to_both(key, part, field, amount)
  add(key, field, amount)
  add(key, field .. ':' .. part, amount)
end

local function book(call, reserved, spent)
  local job, day = job_key(call.job), day_key(call.day)
  for key, part in pairs({ [job] = call.agent, [day] = call.tenant }) do
    fetch(key, 'reserved_micro_usd', 'reserved_micro_usd:' .. part, 'micro_usd', 'micro_usd:' .. part)
    if reserved ~= 0 then add_to_both(key, part, 'reserved_micro_usd', reserved) end
    if spent ~= 0 then add_to_both(key, part, 'micro_usd', spent) end
  end
  expire(job, JOB_S)
  expire(day, DAY_S)
end

local function load(id)
  local key = call_key(id)
  local found = fetch(key, 'state', 'job', 'agent', 'tenant', 'day', 'reserved', 'charged', 'estimated', 'minute')
  if not found.state then return nil end
  local call = { state = found.state, job = found.job, agent = found.agent, tenant = found.tenant, day = found.day }
  call.reserved, call.charged, call.estimated = read(key, 'reserved', 'charged', 'estimated')
  call.minute = found.minute or nil
  return call
end

-- Charges an open call, or corrects the charge of a reaped one. Without an amount: as reserved, flagged as estimated.
local function close(id, call, state, amount)
  local charged = amount or call.reserved
  local estimated = amount and 0 or charged
  local minute = call.minute or this_minute()
  book(call, call.state == 'open' and -call.reserved or 0, charged - call.charged)
  add(job_key(call.job), 'estimated_micro_usd', estimated - call.estimated)
  add(minute_key(minute), call.job, charged - call.charged)
  expire(minute_key(minute), MINUTE_S)
  removed[#removed + 1] = id
  local key = call_key(id)
  set(key, 'state', state)
  set(key, 'charged', whole(charged))
  set(key, 'estimated', whole(estimated))
  set(key, 'minute', minute)
  expire(key, state == 'reaped' and JOB_S or CLOSED_S)
  return charged
end

local function reap(most)
  local expired = redis.call('ZRANGEBYSCORE', OPEN, '-inf', whole(now), 'LIMIT', 0, most)
  for _, id in ipairs(expired) do
    local call = load(id)
    if call and call.state == 'open' then close(id, call, 'reaped') else removed[#removed + 1] = id end
  end
  return #expired
end

-- Measures are {limit, used, reserved, wanted}.
-- Returns {limit, used, reserved, most, passing} of the first exceeded one, preferably one where settling will not help;
-- nothing if none is exceeded. Passing is 1 if only reservations are in the way.
local function refusal(measures)
  local found
  for _, measure in ipairs(measures) do
    local limit, used, reserved, wanted = unpack(measure)
    local most = given.limits[limit]
    if limit == 'agent_share_percent' then most = math.floor(given.limits.budget_micro_usd * most / 100) end
    if used + reserved + wanted > most then
      local passing = used + wanted <= most and 1 or 0
      if not found or passing < found[5] then found = { limit, used, reserved, most, passing } end
    end
  end
  return found
end

-- A run whose token is older than one known here has been taken over: it may settle, but not begin anything.
local function fenced()
  local job, token = job_key(given.job), given.fence
  if not token then return false end
  local known = read(job, 'fence')
  if known > token then return true end
  if known < token then
    set(job, 'fence', whole(token))
    expire(job, JOB_S)
  end
  return false
end

local operations = {}

function operations.fence() return fenced() and FENCED or {} end

function operations.reserve()
  local id, wanted = given.call, given.wanted
  local call = { job = given.job, agent = given.agent, tenant = given.tenant, day = given.day }
  reap(REAPED_AT_ONCE)
  if load(id) then return {} end

  local job, agent, tenant = job_key(call.job), ':' .. call.agent, ':' .. call.tenant
  if fenced() then return FENCED end
  local spent, reserved, calls, agent_spent, agent_reserved, agent_calls = read(job, 'micro_usd', 'reserved_micro_usd',
    'model_calls', 'micro_usd' .. agent, 'reserved_micro_usd' .. agent, 'model_calls' .. agent)
  local day_spent, day_reserved, tenant_spent, tenant_reserved = read(day_key(call.day), 'micro_usd',
    'reserved_micro_usd', 'micro_usd' .. tenant, 'reserved_micro_usd' .. tenant)
  local refused = refusal({
    { 'budget_micro_usd', spent, reserved, wanted },
    { 'agent_share_percent', agent_spent, agent_reserved, wanted },
    { 'model_calls', calls, 0, 1 },
    { 'agent_model_calls', agent_calls, 0, 1 },
    { 'tenant_day_micro_usd', tenant_spent, tenant_reserved, wanted },
    { 'deployment_day_micro_usd', day_spent, day_reserved, wanted },
    { 'spend_per_minute_micro_usd', read(minute_key(this_minute()), call.job), reserved, wanted },
  })
  if refused then return refused end

  book(call, wanted, 0)
  add_to_both(job, call.agent, 'model_calls', 1)
  local key = call_key(id)
  for field, value in pairs(call) do set(key, field, value) end
  set(key, 'state', 'open')
  set(key, 'reserved', whole(wanted))
  added[#added + 1] = { whole(given.expires), id }
  -- Longer than the scopes it belongs to, so that it is always reaped.
  local longest = math.max(JOB_S, DAY_S) + math.ceil((given.expires - now) / 1000)
  expire(key, longest)
  if redis.call('TTL', OPEN) < longest then expire(OPEN, longest) end
  return {}
end

function operations.settle()
  local id = given.call
  local call = load(id)
  if not call then return 0 end
  if call.state == 'closed' then return call.charged end
  fetch(job_key(call.job), 'input_tokens', 'cached_tokens', 'output_tokens', 'estimated_micro_usd')
  for name, amount in pairs(given.tokens) do add(job_key(call.job), name, amount) end
  return close(id, call, 'closed', given.cost)
end

-- What is released before it was reserved stays closed: over a broken connection, the reserve command may come late.
function operations.release()
  local id = given.call
  local call = load(id)
  if not call then
    set(call_key(id), 'state', 'closed')
    expire(call_key(id), CLOSED_S)
  elseif call.state ~= 'closed' then
    close(id, call, 'closed', 0)
  end
  return 0
end

function operations.count()
  local job = job_key(given.job)
  if fenced() then return FENCED end
  for name, amount in pairs(given.added) do add(job, name, amount) end
  expire(job, JOB_S)
  return {}
end

function operations.count_tool_call()
  local job, agent = job_key(given.job), given.agent
  if fenced() then return FENCED end
  local calls, agent_calls = read(job, 'tool_calls', 'tool_calls:' .. agent)
  local refused = refusal({ { 'tool_calls', calls, 0, 1 }, { 'agent_tool_calls', agent_calls, 0, 1 } })
  if refused then return refused end
  add_to_both(job, agent, 'tool_calls', 1)
  expire(job, JOB_S)
  return {}
end

function operations.reap() return reap(given.most) end

local answer = operations[given.operation]()
commit()
return answer

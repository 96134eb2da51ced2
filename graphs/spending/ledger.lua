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
local SLOT_MS, DAY_MS = 900000, 86400000
local MOST_NAMES = 64 -- of one kind in a day's parts; names of tools come from their servers
local FENCED = { 0 }
local GRANT = 'grant:' -- begins the member of OPEN that stands for a job's money from its parent

-- An operation's changes are computed first and written last, by `commit`, so that a refusal by the store leaves nothing
-- half booked. By key: current or future fields, the fields to write, the key's new TTL in seconds; scores by member.
local fields, changed, order, lives, scores = {}, {}, {}, {}, {}
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

local function add_score(key, member, amount)
  local known = scores[key] or {}
  scores[key] = known
  known[member] = math.max(0, (known[member] or tonumber(redis.call('ZSCORE', key, member) or 0)) + amount)
end

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
  for key, members in pairs(scores) do
    for member, score in pairs(members) do writes[#writes + 1] = { 'ZADD', key, whole(score), member } end
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
local function this_slot() return whole(math.floor(now % DAY_MS / SLOT_MS)) end

-- The hashes with the parts of a day's sum: of the deployment's, and of the tenant's if it was for a job.
local function parts_keys(call)
  local all = PREFIX .. 'parts:' .. call.day
  return call.job == '' and { all } or { all, all .. ':' .. call.tenant }
end

-- The field of a part, which is called `<kind>:<name>`. When there are too many names, the others are one part.
local function part(key, called)
  local kind = called:match('^%a*')
  local known = fetch(key, called, kind .. 's')
  if known[called] then return called end
  if number(key, kind .. 's') >= MOST_NAMES then return kind .. ':other' end
  add(key, kind .. 's', 1)
  set(key, called, '0')
  return called
end

-- Everything that is charged to a day is in its sum and in one part of each kind, so that the parts add up to the sum.
local function book_parts(call, spent)
  for _, key in ipairs(parts_keys(call)) do
    local agent, slot = 'agent:' .. call.agent, 'slot:' .. call.slot
    fetch(key, agent, 'agents', call.item, slot)
    add(key, part(key, agent), spent)
    add(key, part(key, call.item), spent)
    add(key, slot, spent)
    expire(key, DAY_S)
  end
  local dearest = PREFIX .. 'dearest:' .. call.day
  add_score(dearest, call.tenant, spent)
  expire(dearest, DAY_S)
  if call.job == '' then return end
  dearest = dearest .. ':' .. call.tenant
  add_score(dearest, call.job, spent)
  expire(dearest, DAY_S)
end

-- Tokens, and what caching saved.
local function book_used(call, used)
  if not next(used) then return end
  for _, key in ipairs(parts_keys(call)) do
    local field, names = part(key, call.item), {}
    for name in pairs(used) do names[#names + 1] = name .. ':' .. field end
    fetch(key, unpack(names))
    for name, amount in pairs(used) do add(key, name .. ':' .. field, amount) end
    expire(key, DAY_S)
  end
end

local function add_to_both(key, part, field, amount)
  add(key, field, amount)
  add(key, field .. ':' .. part, amount)
end

local function book_in(key, part, reserved, spent)
  fetch(key, 'reserved_micro_usd', 'reserved_micro_usd:' .. part, 'micro_usd', 'micro_usd:' .. part)
  if reserved ~= 0 then add_to_both(key, part, 'reserved_micro_usd', reserved) end
  if spent ~= 0 then add_to_both(key, part, 'micro_usd', spent) end
end

-- What a job's parent has to keep for it: what it was given and has not spent; once it gave the rest back, what its open
-- calls and its children may still cost.
local function held(key)
  local left = math.max(0, number(key, 'granted_micro_usd') - number(key, 'micro_usd'))
  return fields[key].returned and math.min(left, number(key, 'reserved_micro_usd')) or left
end

-- Books on a job, and on its ancestors, whose money it spends: there, what it spends moves from reserved to spent.
local function book_in_job(job, agent, reserved, spent)
  local given = 0
  while reserved ~= 0 or spent ~= 0 do
    local key = job_key(job)
    local known = fetch(key, 'parent', 'parent_agent', 'granted_micro_usd', 'returned', 'micro_usd', 'reserved_micro_usd')
    local before = known.parent and held(key)
    book_in(key, agent, reserved, spent)
    if given ~= 0 then add_to_both(key, agent, 'given_micro_usd', given) end
    expire(key, JOB_S)
    if not known.parent then return end
    given = held(key) - before
    reserved, job, agent = given, known.parent, known.parent_agent
  end
end

-- What belongs to no job, such as preparing a server's data, is booked on the deployment's day alone.
local function book(call, reserved, spent)
  local day = day_key(call.day)
  expire(day, DAY_S)
  if spent ~= 0 then book_parts(call, spent) end
  if call.job == '' then
    fetch(day, 'reserved_micro_usd', 'micro_usd')
    add(day, 'reserved_micro_usd', reserved)
    add(day, 'micro_usd', spent)
    return
  end
  book_in_job(call.job, call.agent, reserved, spent)
  book_in(day, call.tenant, reserved, spent)
  expire(job_key(call.job), JOB_S)
end

local function load(id)
  local key = call_key(id)
  local found = fetch(key, 'state', 'job', 'agent', 'tenant', 'day', 'reserved', 'charged', 'estimated', 'minute',
    'item', 'slot')
  if not found.state then return nil end
  local call = { state = found.state, job = found.job, agent = found.agent, tenant = found.tenant, day = found.day }
  call.reserved, call.charged, call.estimated = read(key, 'reserved', 'charged', 'estimated')
  call.minute, call.item, call.slot = found.minute or nil, found.item or 'other:', found.slot or '0' -- of an older version
  return call
end

-- Charges an open call, or corrects the charge of a reaped one. Without an amount: as reserved, flagged as estimated.
local function close(id, call, state, amount)
  local charged = amount or call.reserved
  local estimated = amount and 0 or charged
  local minute = call.minute or this_minute()
  book(call, call.state == 'open' and -call.reserved or 0, charged - call.charged)
  if call.job ~= '' then
    add(job_key(call.job), 'estimated_micro_usd', estimated - call.estimated)
    if call.state == 'open' and charged > 0 then add(job_key(call.job), 'secured_micro_usd', call.reserved) end
    add(minute_key(minute), call.job, charged - call.charged)
    expire(minute_key(minute), MINUTE_S)
  end
  removed[#removed + 1] = id
  local key = call_key(id)
  set(key, 'state', state)
  set(key, 'charged', whole(charged))
  set(key, 'estimated', whole(estimated))
  set(key, 'minute', minute)
  expire(key, state == 'reaped' and JOB_S or CLOSED_S)
  return charged
end

-- Changes what a job's parent keeps for it.
local function regrant(job, change)
  local key = job_key(job)
  local known = fetch(key, 'parent', 'parent_agent', 'granted_micro_usd', 'micro_usd', 'reserved_micro_usd', 'returned')
  local before = held(key)
  change(key)
  local more, parent = held(key) - before, job_key(known.parent)
  book_in_job(known.parent, known.parent_agent, more, 0)
  if more ~= 0 then add_to_both(parent, known.parent_agent, 'given_micro_usd', more) end
end

-- What a job has left of its parent's money goes back. Later corrections of its calls still reach the parent.
local function give_back(job)
  local key = job_key(job)
  local known = fetch(key, 'parent', 'returned')
  removed[#removed + 1] = GRANT .. job
  if not known.parent or known.returned then return end
  regrant(job, function() set(key, 'returned', '1') end)
  local parent = job_key(known.parent)
  if number(key, 'model_calls') + number(key, 'tool_calls') == 0 and number(parent, 'children') > 0 then
    add(parent, 'children', -1)
    expire(parent, JOB_S)
  end
end

local function reap(most)
  local expired = redis.call('ZRANGEBYSCORE', OPEN, '-inf', whole(now), 'LIMIT', 0, most)
  for _, id in ipairs(expired) do
    if id:sub(1, #GRANT) == GRANT then
      give_back(id:sub(#GRANT + 1))
    else
      local call = load(id)
      if call and call.state == 'open' then close(id, call, 'reaped') else removed[#removed + 1] = id end
    end
  end
  return #expired
end

-- Measures are {limit, used, reserved, most, wanted, given}; those of money have no `wanted` of their own. What was given to
-- other jobs is a part of what is reserved that does not settle soon.
-- Returns {limit, used, reserved, most, passing} of the first one without room for what is wanted, preferably one where
-- settling will not help; nothing if all have room. Passing is 1 if only reservations are in the way.
local function refusal(measures, money)
  local found
  for _, measure in ipairs(measures) do
    local limit, used, reserved, most, wanted, given_away = unpack(measure, 1, 6)
    wanted = wanted or money
    if used + reserved + wanted > most then
      local passing = used + (given_away or 0) + wanted <= most and 1 or 0
      if not found or passing < found[5] then found = { limit, used, reserved, most, passing } end
    end
  end
  return found
end

local function room(measures)
  local least = math.huge
  for _, measure in ipairs(measures) do least = math.min(least, measure[4] - measure[2] - measure[3]) end
  return least
end

local function percent(amount, share) return math.floor(amount * share / 100) end

local function measures_of_calls(counted)
  local calls, agent_calls = read(job_key(given.job), counted, counted .. ':' .. given.agent)
  local of_agent = 'agent_' .. counted
  return { counted, calls, 0, given.limits[counted], 1 }, { of_agent, agent_calls, 0, given.limits[of_agent], 1 }
end

-- A job with a parent has at most what the parent granted; the set-aside is kept for the report.
local function measures_of_job()
  local job, agent, limits = job_key(given.job), ':' .. given.agent, given.limits
  local known = fetch(job, 'micro_usd', 'reserved_micro_usd', 'micro_usd' .. agent, 'reserved_micro_usd' .. agent,
    'given_micro_usd', 'given_micro_usd' .. agent, 'parent', 'granted_micro_usd', 'returned')
  local spent, reserved, agent_spent, agent_reserved, given_away, agent_given = read(job, 'micro_usd',
    'reserved_micro_usd', 'micro_usd' .. agent, 'reserved_micro_usd' .. agent, 'given_micro_usd', 'given_micro_usd' .. agent)
  local budget = limits.budget_micro_usd
  if known.parent then budget = known.returned and spent or math.min(budget, number(job, 'granted_micro_usd')) end
  return {
    { 'budget_micro_usd', spent, reserved, budget - given.set_aside, nil, given_away },
    { 'agent_share_percent', agent_spent, agent_reserved, percent(budget, limits.agent_share_percent), nil, agent_given },
  }
end

-- What an admin allows for a day replaces the settings.
local function measures_of_day(limits)
  local day, tenant = day_key(given.day), ':' .. given.tenant
  local known = fetch(day, 'micro_usd', 'reserved_micro_usd', 'micro_usd' .. tenant, 'reserved_micro_usd' .. tenant,
    'allowed_micro_usd', 'allowed_micro_usd' .. tenant)
  local spent, reserved, tenant_spent, tenant_reserved = read(day, 'micro_usd', 'reserved_micro_usd', 'micro_usd' .. tenant,
    'reserved_micro_usd' .. tenant)
  local most = tonumber(known.allowed_micro_usd) or limits.deployment_day_micro_usd
  local of_tenant, share = tonumber(known['allowed_micro_usd' .. tenant]), percent(most, limits.tenant_share_percent)
  local name = not of_tenant and share < limits.tenant_day_micro_usd and 'tenant_share_percent' or 'tenant_day_micro_usd'
  of_tenant = of_tenant or math.min(share, limits.tenant_day_micro_usd)
  return {
    { 'deployment_day_micro_usd', spent, reserved, most },
    { name, tenant_spent, tenant_reserved, of_tenant },
  }
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

-- Notes what was left of a day when it refused a call for good: nobody need ask again while no more is left.
local function noted(refused)
  local limit, used, _, most, passing = unpack(refused)
  local day, all = day_key(given.day), limit == 'deployment_day_micro_usd'
  if passing == 0 and (all or limit == 'tenant_day_micro_usd' or limit == 'tenant_share_percent') then
    set(day, 'refused_micro_usd' .. (all and '' or ':' .. given.tenant), whole(math.max(0, most - used)))
    expire(day, DAY_S)
  end
  return refused
end

-- Closes what a run that was taken over has left open. If that run is still alive, its settling corrects the charge.
local function close_open_calls(job)
  local reserved, given_away = read(job_key(job), 'reserved_micro_usd', 'given_micro_usd')
  if reserved == given_away then return end
  for _, id in ipairs(redis.call('ZRANGE', OPEN, 0, -1)) do
    local call = id:sub(1, #GRANT) ~= GRANT and load(id)
    if call and call.job == job and call.state == 'open' then close(id, call, 'reaped') end
  end
end

local operations = {}

function operations.fence()
  local before = read(job_key(given.job), 'fence')
  if fenced() then return FENCED end
  if before < given.fence then close_open_calls(given.job) end
  return 0
end

local function opened(id, call, reserved)
  book(call, reserved, 0)
  local key = call_key(id)
  for field, value in pairs(call) do set(key, field, value) end
  set(key, 'state', 'open')
  set(key, 'reserved', whole(reserved))
  added[#added + 1] = { whole(given.expires), id }
  -- Longer than the scopes it belongs to, so that it is always reaped.
  local longest = math.max(JOB_S, DAY_S) + math.ceil((given.expires - now) / 1000)
  expire(key, longest)
  if redis.call('TTL', OPEN) < longest then expire(OPEN, longest) end
end

-- Returns what was granted: `wanted` or, where that does not fit, what is left, down to `least`. While only other calls'
-- reservations are in the way, a patient call is refused instead, because they usually settle far lower.
function operations.reserve()
  local id, wanted, counted, limits = given.call, given.wanted, given.counted, given.limits
  reap(REAPED_AT_ONCE)
  local before = load(id)
  if before then return before.reserved end
  if fenced() then return FENCED end

  local job, agent = job_key(given.job), given.agent
  local money = measures_of_job()
  for _, measure in ipairs(measures_of_day(limits)) do money[#money + 1] = measure end
  local granted = math.min(wanted, math.max(given.least, room(money)))
  local measures = counted and { measures_of_calls(counted) } or {}
  for _, measure in ipairs(money) do measures[#measures + 1] = measure end
  measures[#measures + 1] = { 'spend_per_minute_micro_usd', read(minute_key(this_minute()), given.job),
    number(job, 'reserved_micro_usd'), limits.spend_per_minute_micro_usd, granted }

  local refused = refusal(measures, granted)
  if refused then return noted(refused) end
  local waits = given.patient and granted < wanted and refusal(money, wanted)
  if waits and waits[5] == 1 then return waits end

  opened(id, { job = given.job, agent = agent, tenant = given.tenant, day = given.day, item = given.item,
    slot = this_slot() }, granted)
  if counted then add_to_both(job, agent, counted, 1) end
  return granted
end

function operations.reserve_for_the_day()
  local id, wanted, day = given.call, given.wanted, day_key(given.day)
  reap(REAPED_AT_ONCE)
  local before = load(id)
  if before then return before.reserved end
  local known = fetch(day, 'micro_usd', 'reserved_micro_usd', 'allowed_micro_usd')
  local spent, reserved = read(day, 'micro_usd', 'reserved_micro_usd')
  local most = tonumber(known.allowed_micro_usd) or given.limits.deployment_day_micro_usd
  local refused = refusal({ { 'deployment_day_micro_usd', spent, reserved, most, wanted } })
  if refused then return refused end
  opened(id, { job = '', agent = '', tenant = '', day = given.day, item = given.item, slot = this_slot() }, wanted)
  return wanted
end

-- Moves a part of an open call's reservation to a new call of the same account. Returns -1 if there is not that much of it.
function operations.draw()
  local id, wanted = given.call, given.wanted
  reap(REAPED_AT_ONCE)
  local before, from = load(id), load(given.ticket)
  if before then return before.reserved end
  if not from or from.state ~= 'open' or from.reserved < wanted then return -1 end
  book(from, -wanted, 0)
  set(call_key(given.ticket), 'reserved', whole(from.reserved - wanted))
  opened(id, { job = from.job, agent = from.agent, tenant = from.tenant, day = from.day, item = given.item,
    slot = from.slot }, wanted)
  return wanted
end

local function keep(job, expires)
  added[#added + 1] = { whole(expires), GRANT .. job }
  if redis.call('TTL', OPEN) < JOB_S then expire(OPEN, JOB_S) end
end

-- Sets aside a part of a job's money for another job, or more of it. All of it counts against the agent that asks.
function operations.grant()
  local job, child, wanted, limits = job_key(given.job), job_key(given.child), given.wanted, given.limits
  local known = fetch(child, 'parent', 'parent_agent', 'returned', 'granted_micro_usd', 'micro_usd')
  if known.returned then return { 'budget_micro_usd', 0, 0, 0, 0 } end
  if known.parent and known.parent ~= given.job then return redis.error_reply('the job has another parent') end
  if fenced() then return FENCED end
  given.agent = known.parent_agent or given.agent
  local more = wanted - number(child, 'granted_micro_usd')
  if more <= 0 then return number(child, 'granted_micro_usd') end
  local depth, children = read(job, 'depth', 'children')
  if not known.parent then
    if number(child, 'children') > 0 then return redis.error_reply('a job that has given money away gets no parent') end
    local refused = refusal({ { 'depth', depth, 0, limits.depth, 1 }, { 'children', children, 0, limits.children, 1 } })
    if refused then return refused end
  end
  local refused = refusal(measures_of_job(), more)
  if refused then return refused end
  if not known.parent then
    add(job, 'children', 1)
    set(child, 'parent', given.job)
    set(child, 'parent_agent', given.agent)
    set(child, 'depth', whole(depth + 1))
  end
  regrant(given.child, function() add(child, 'granted_micro_usd', more) end)
  keep(given.child, given.expires)
  expire(job, JOB_S)
  expire(child, JOB_S)
  return wanted
end

-- By the time that it is given back by itself, the job has ended, or nobody knows of it any more; its key still exists.
function operations.keep()
  local known = fetch(job_key(given.job), 'parent', 'returned')
  if known.parent and not known.returned then keep(given.job, now + JOB_S * 500) end
  return 0
end

function operations.give_back()
  give_back(given.job)
  return 0
end

function operations.allow_today()
  local day = day_key(given.day)
  local field = 'allowed_micro_usd' .. (given.tenant and ':' .. given.tenant or '')
  fetch(day, field)
  set(day, field, whole(given.most))
  expire(day, DAY_S)
  return 0
end

function operations.settle()
  local id = given.call
  local call = load(id)
  if not call then return 0 end
  if call.state == 'closed' then return call.charged end
  if call.job ~= '' then
    fetch(job_key(call.job), 'input_tokens', 'cached_tokens', 'output_tokens', 'saved_micro_usd', 'estimated_micro_usd')
    for name, amount in pairs(given.used) do add(job_key(call.job), name, amount) end
  end
  book_used(call, given.used)
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
  return 0
end

function operations.count_tool_call()
  if fenced() then return FENCED end
  local refused = refusal({ measures_of_calls('tool_calls') })
  if refused then return refused end
  local job = job_key(given.job)
  add_to_both(job, given.agent, 'tool_calls', 1)
  expire(job, JOB_S)
  return 0
end

function operations.reap() return reap(given.most) end

-- Returns the amounts of the day, its parts, and its dearest tenants, or jobs of the tenant, all of one moment.
function operations.day()
  local which = given.day .. (given.tenant and ':' .. given.tenant or '')
  return {
    redis.call('HMGET', day_key(given.day), unpack(given.fields)),
    redis.call('HGETALL', PREFIX .. 'parts:' .. which),
    redis.call('ZREVRANGE', PREFIX .. 'dearest:' .. which, 0, given.most - 1, 'WITHSCORES'),
  }
end

local answer = operations[given.operation]()
commit()
return answer

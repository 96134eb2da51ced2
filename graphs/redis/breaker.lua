-- One circuit breaker. Closed: no `retry_at`. Open: until `retry_at`. Half-open: after that, for one probe.
-- KEYS: the breaker.  ARGV: event, now, failures that open it, window and open time in ms, time to live in s
-- Returns 0 when it is closed, 1 when it is open, 2 when the caller is the probe.
local key, event = KEYS[1], ARGV[1]
local now, failures, window, open_for = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local CLOSED, OPEN, PROBE = 0, 1, 2

if event == 'succeeded' then
  redis.call('DEL', key)
  return CLOSED
end

local retry_at = tonumber(redis.call('HGET', key, 'retry_at') or '')

-- A probe's lease lasts as long as the breaker stays open for everyone else.
local function open(probing)
  redis.call('DEL', key)
  redis.call('HSET', key, 'retry_at', now + open_for, 'probing', probing)
  redis.call('EXPIRE', key, ARGV[6])
end

local function admits()
  if not retry_at then return CLOSED end
  if now < retry_at then return OPEN end
  open(1)
  return PROBE
end

local function failed()
  if retry_at then
    -- Only the probe's outcome counts, not that of calls from before the breaker opened.
    if redis.call('HGET', key, 'probing') == '1' then open(0) end
    return OPEN
  end
  local recent = { now }
  for at in (redis.call('HGET', key, 'failed') or ''):gmatch('%d+') do
    if now - at < window then recent[#recent + 1] = at end
  end
  if #recent >= failures then
    open(0)
    return OPEN
  end
  redis.call('HSET', key, 'failed', table.concat(recent, ' '))
  redis.call('EXPIRE', key, ARGV[6])
  return CLOSED
end

-- Another process's probe may be in flight: at worst two are admitted.
local function abandoned()
  if not retry_at then return CLOSED end
  if redis.call('HGET', key, 'probing') == '1' then redis.call('HSET', key, 'retry_at', now, 'probing', 0) end
  return OPEN
end

if event == 'failed' then return failed() end
if event == 'abandoned' then return abandoned() end
return admits()

-- Takes one request from an allowance (GCRA): one number per key says when the allowance will be full again.
-- KEYS: that number, in µs.  ARGV: µs until a request is replenished, burst, now in µs or '' for the server's time
-- Returns 1 if allowed or else 0, requests left, µs until the allowance is full, µs until the next request is allowed.
local interval, burst, now = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
if not now then
  local time = redis.call('TIME')
  now = time[1] * 1000000 + time[2]
end

-- It is never more than a full burst away, unless the clock went back or the burst was lowered.
local full_at = math.min(math.max(tonumber(redis.call('GET', KEYS[1]) or now), now), now + interval * burst)
local after = full_at + interval
local wait = math.max(after - interval * burst - now, 0)
if wait == 0 then full_at = after end

redis.call('SET', KEYS[1], string.format('%.0f', full_at), 'EX', math.ceil((full_at - now) / 1000000) + 60)
return { wait == 0 and 1 or 0, math.floor((now + interval * burst - full_at) / interval), full_at - now, wait }

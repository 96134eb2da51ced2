-- Takes one request from an allowance (GCRA): one number per key says when the allowance will be whole again.
-- KEYS: that number, in µs.  ARGV: µs that a request takes to come back, burst, now in µs or '' for the server's time
-- Returns 1 or 0 for whether it may, requests that remain, µs until the allowance is whole, µs until the next may.
local interval, burst, now = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
if not now then
  local time = redis.call('TIME')
  now = time[1] * 1000000 + time[2]
end

-- It is never further away than a whole burst, unless the clock went back or the burst was made smaller.
local full_at = math.min(math.max(tonumber(redis.call('GET', KEYS[1]) or now), now), now + interval * burst)
local after = full_at + interval
local wait = math.max(after - interval * burst - now, 0)
if wait == 0 then full_at = after end

redis.call('SET', KEYS[1], string.format('%.0f', full_at), 'EX', math.ceil((full_at - now) / 1000000) + 60)
return { wait == 0 and 1 or 0, math.floor((now + interval * burst - full_at) / interval), full_at - now, wait }

-- Appends a batch to a job's event log, once, even if it is sent repeatedly.
-- KEYS: the stream, the lease, the batches seen lately.
-- ARGV: fence or '', batch id, now in ms, events to keep, time to live in s, then type and JSON of each event Returns
-- 0; or the lease's token if it is above the fence, and then writes nothing.
local stream, lease, seen = KEYS[1], KEYS[2], KEYS[3]
local fence, batch, most, ttl = tonumber(ARGV[1]), ARGV[2], ARGV[4], ARGV[5]
local SEEN_KEPT, SEEN_S = 32, 120 -- more batches, and longer, than a client retries one

if redis.call('LPOS', seen, batch) then return 0 end
local token = fence and tonumber(redis.call('HGET', lease, 'token') or '')
if token and token > fence then return token end

-- An id is `<ms>-<number>`: the time never goes back, and the numbers have no gaps, so that readers notice lost events.
local last = redis.call('XREVRANGE', stream, '+', '-', 'COUNT', 1)[1]
local ms, number = (last and last[1] or '0-0'):match('(%d+)-(%d+)')
ms, number = math.max(tonumber(ms), tonumber(ARGV[3])), tonumber(number)
for at = 6, #ARGV, 2 do
  number = number + 1
  local id = string.format('%.0f-%.0f', ms, number)
  redis.call('XADD', stream, 'MAXLEN', '~', most, id, 'type', ARGV[at], 'json', ARGV[at + 1])
end
redis.call('EXPIRE', stream, ttl)
redis.call('LPUSH', seen, batch)
redis.call('LTRIM', seen, 0, SEEN_KEPT - 1)
redis.call('EXPIRE', seen, SEEN_S)
return 0

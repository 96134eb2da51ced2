-- Writes fields of a job's record. KEYS: the record, the lease.  ARGV: fence or '', time to live in s, expected status
-- or '', then field, value, ... An empty value deletes the field. Returns 0; or the lease's token if it is above the
-- fence, and then writes nothing. -1: the record has expired, and is not recreated with half of its fields. -2: it has
-- another status.
local record, lease = KEYS[1], KEYS[2]
local fence, ttl = tonumber(ARGV[1]), ARGV[2]
local token = fence and tonumber(redis.call('HGET', lease, 'token') or '')
if token and token > fence then return token end
if redis.call('EXISTS', record) == 0 then return -1 end
if ARGV[3] ~= '' and redis.call('HGET', record, 'status') ~= ARGV[3] then return -2 end
for at = 4, #ARGV, 2 do
  if ARGV[at + 1] == '' then
    redis.call('HDEL', record, ARGV[at])
  else
    redis.call('HSET', record, ARGV[at], ARGV[at + 1])
  end
end
redis.call('EXPIRE', record, ttl)
return 0

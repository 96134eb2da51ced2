-- Enters a job into the registry, once per idempotency key.
-- KEYS: jobs of the tenant, jobs that are to be woken, idempotency key (or '' in ARGV for none)
-- ARGV: job, now in ms, time to live in s, oldest id that may still live, fingerprint or '', time to live of the key in s
-- Returns what is entered under the idempotency key: "<job> <fingerprint>" of the first one; ours when it is the first.
local jobs, waking, repeated = KEYS[1], KEYS[2], KEYS[3]
local job, now, ttl, oldest, fingerprint, key_ttl = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6]
local ours = job .. ' ' .. fingerprint
if fingerprint ~= '' then
  local first = redis.call('GET', repeated)
  if first and first ~= ours then return first end
  redis.call('SET', repeated, ours, 'EX', key_ttl)
end
redis.call('ZREMRANGEBYLEX', jobs, '-', '(' .. oldest)
redis.call('ZADD', jobs, 0, job)
redis.call('EXPIRE', jobs, ttl)
redis.call('ZADD', waking, now, job .. '/new')
redis.call('EXPIRE', waking, ttl)
return ours

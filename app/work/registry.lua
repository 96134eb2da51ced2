-- Enters a job into the registry, once per idempotency key.
-- KEYS: jobs of the tenant, jobs that are to be woken, idempotency key (or '' in ARGV for none)
-- ARGV: job, now in ms, time to live in s, oldest id that may still live, fingerprint or '', time to live of the key in s
-- Returns what is entered under the idempotency key: "<job> <fingerprint>" of the first one; ours when it is the first.
local jobs, waking, repeated = KEYS[1], KEYS[2], KEYS[3]
local job, now, ttl, oldest, fingerprint, key_ttl = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6]
local ours, writes = job .. ' ' .. fingerprint, {}
if fingerprint ~= '' then
  local first = redis.call('GET', repeated)
  if first and first ~= ours then return first end
  writes[1] = { 'SET', repeated, ours, 'EX', key_ttl }
end
for _, write in ipairs({
  { 'ZADD', jobs, 0, job },
  { 'ZADD', waking, now, job .. '/new' },
  { 'ZREMRANGEBYLEX', jobs, '-', '(' .. oldest },
  { 'EXPIRE', jobs, ttl },
  { 'EXPIRE', waking, ttl },
}) do
  writes[#writes + 1] = write
end

-- Whatever the store refuses it refuses now, before anything is written: a key of another type, or a command that this
-- user may not send (Redis 6.2 cannot be asked for that). Else a key could stand for a job that is not entered.
for _, key in ipairs({ jobs, waking }) do redis.call('ZCARD', key) end
for _, write in ipairs(redis.acl_check_cmd and writes or {}) do
  if not redis.acl_check_cmd(unpack(write)) then redis.call(unpack(write)) end
end
for _, write in ipairs(writes) do redis.call(unpack(write)) end
return ours

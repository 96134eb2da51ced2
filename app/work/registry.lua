-- Enters a job into the registry and the queue, once per idempotency key.
-- KEYS: jobs of the tenant, turns of the queue, idempotency key (or '' in ARGV for none)
-- ARGV: tenant, job, now in ms or '' for the server's time, time to live in s, oldest id that may still exist, fingerprint
-- or '', TTL of the key in s, jobs of the tenant that may wait
-- Returns what is entered under the idempotency key: "<job> <fingerprint>" of the first request, which may be this one;
-- '' if the tenant's queue is full.
local jobs, repeated, prefix = KEYS[1], KEYS[3], KEYS[2]:sub(1, -(#'turns' + 1))
local tenant, job, now, ttl, oldest, fingerprint, key_ttl = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6], ARGV[7]
local ours = job .. ' ' .. fingerprint
local waiting = redis.call('ZCARD', prefix .. 'of:' .. tenant)
local writes = joining(prefix, tenant, job, now_ms(now), ttl)
if fingerprint ~= '' then
  local first = redis.call('GET', repeated)
  if first and first ~= ours then return first end
  writes[#writes + 1] = { 'SET', repeated, ours, 'EX', key_ttl }
end
if redis.call('ZSCORE', jobs, job) then return ours end -- the client resends a command when the answer got lost
if waiting >= tonumber(ARGV[8]) then return '' end
for _, write in ipairs({
  { 'ZADD', jobs, 0, job },
  { 'ZREMRANGEBYLEX', jobs, '-', '(' .. oldest },
  { 'EXPIRE', jobs, ttl },
}) do
  writes[#writes + 1] = write
end

-- Provoke refusals now, before anything is written: a key of another type, or a command that this user may not send (Redis
-- 6.2 cannot be asked for that). Otherwise an idempotency key could name a job that is not entered.
for _, key in ipairs({ jobs, KEYS[2] }) do redis.call('ZCARD', key) end
redis.call('XLEN', prefix .. 'bell')
for _, write in ipairs(redis.acl_check_cmd and writes or {}) do
  if not redis.acl_check_cmd(unpack(write)) then redis.call(unpack(write)) end
end
for _, write in ipairs(writes) do redis.call(unpack(write)) end
return ours

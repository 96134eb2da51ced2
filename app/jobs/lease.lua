-- The lease of a job. KEYS: the lease.  ARGV: operation, owner, now and new expiry in ms, time to live in s.
-- acquire: the new token, or 0 if another process holds it.  renew, release: 1 if the owner held it, else 0.
local lease, operation, owner, now, expires, ttl = KEYS[1], ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4], ARGV[5]
local held = redis.call('HMGET', lease, 'owner', 'expires_ms')
local mine = held[1] == owner
local free = not held[1] or held[1] == '' or tonumber(held[2]) <= now

if operation == 'acquire' then
  if mine then return redis.call('HGET', lease, 'token') end -- the command was resent
  if not free then return 0 end
  local token = redis.call('HINCRBY', lease, 'token', 1)
  redis.call('HSET', lease, 'owner', owner, 'expires_ms', expires)
  redis.call('EXPIRE', lease, ttl)
  return token
end

-- No other process has taken it, so its owner may still renew it, even late.
if not mine then return 0 end
redis.call('HSET', lease, 'owner', operation == 'renew' and owner or '', 'expires_ms', expires)
redis.call('EXPIRE', lease, ttl)
return 1

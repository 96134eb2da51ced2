-- Stores a result under the next id.  KEYS: evidence.  ARGV: the result, ttl in seconds.  Returns the id.
local id = 'E' .. redis.call('HINCRBY', KEYS[1], 'next', 1)
redis.call('HSET', KEYS[1], id, ARGV[1])
redis.call('EXPIRE', KEYS[1], ARGV[2])
return id

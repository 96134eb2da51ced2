-- Replaces a thread by the dumped keys of another.
-- KEYS: order, state.  ARGV: ttl in seconds or '', dump of the order, dump of the state.
for i = 1, 2 do
  redis.call('RESTORE', KEYS[i], (tonumber(ARGV[1]) or 0) * 1000, ARGV[i + 1], 'REPLACE')
end

-- Appends lines to a job's record. KEYS: the record, the lease.
-- ARGV: fence or '', time to live in s, bytes that a record may have, then the lines.
-- Returns 0; or the lease's token if it is above the fence, and then writes nothing.
local record, lease = KEYS[1], KEYS[2]
local fence, ttl, most = tonumber(ARGV[1]), ARGV[2], tonumber(ARGV[3])
local token = fence and tonumber(redis.call('HGET', lease, 'token') or '')
if token and token > fence then return token end

local last = redis.call('XREVRANGE', record, '+', '-', 'COUNT', 1)[1]
local size = last and tonumber(last[2][4]) or 0 -- each entry has the size so far
for at = 4, #ARGV do
  if size > most then break end -- the mark below was the last line
  size = size + #ARGV[at]
  local line = size > most and '{"kind":"full"}' or ARGV[at]
  redis.call('XADD', record, '*', 'json', line, 'size', size)
end
redis.call('EXPIRE', record, ttl)
return 0

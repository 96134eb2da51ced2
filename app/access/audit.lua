-- Appends entries to the audit trail, if the newest entry is still the one that they follow.
-- KEYS: the trail.
-- ARGV: MAC of the entry that they follow ('' for none), newest id ever, ms of the oldest to keep;
--       then for each entry its id, JSON and MAC
-- Returns nothing on success, also for entries sent twice; else id and MAC of the newest entry, and the newest id ever,
-- which differs if the newest entries were deleted.
local trail, follows, counter, oldest = KEYS[1], ARGV[1], ARGV[2], ARGV[3]

local function mac_of(found) return found and found[2][4] or '' end

local function counted()
  if redis.call('EXISTS', trail) == 0 then return '0-0' end
  local stream = redis.call('XINFO', 'STREAM', trail)
  for at = 1, #stream, 2 do
    if stream[at] == 'last-generated-id' then return stream[at + 1] end
  end
end

local newest, last = redis.call('XREVRANGE', trail, '+', '-', 'COUNT', 1)[1], counted()
if mac_of(newest) ~= follows or last ~= counter then
  if mac_of(redis.call('XRANGE', trail, ARGV[4], ARGV[4])[1]) == ARGV[6] then return {} end
  return { newest and newest[1] or '0-0', mac_of(newest), last }
end
for at = 4, #ARGV, 3 do
  redis.call('XADD', trail, 'MINID', '~', oldest, ARGV[at], 'entry', ARGV[at + 1], 'mac', ARGV[at + 2])
end
return {}

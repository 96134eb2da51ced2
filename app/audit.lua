-- Adds an entry to the audit trail, if the newest one is still the one that it follows.
-- KEYS: the trail.
-- ARGV: MAC of the entry it follows ('' for none), newest id that there ever was, its id, itself, its MAC, ms of the
--       oldest to keep
-- Returns nothing when it is there, also when it was sent again; else id and MAC of the newest entry, and the newest
-- id that there ever was: another one when the newest entries were deleted.
local trail, follows, counter, id, entry, mac, oldest = KEYS[1], unpack(ARGV)

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
  if mac_of(redis.call('XRANGE', trail, id, id)[1]) == mac then return {} end
  return { newest and newest[1] or '0-0', mac_of(newest), last }
end
redis.call('XADD', trail, 'MINID', '~', oldest, id, 'entry', entry, 'mac', mac)
return {}

-- Adds an entry to the audit trail, if the newest one is still the one that it follows.
-- KEYS: the trail.  ARGV: MAC of the entry it follows ('' for none), its id, itself, its MAC, ms of the oldest to keep
-- Returns nothing when it is there, also when it was sent again; else id and MAC of the newest entry.
local trail, follows, id, entry, mac, oldest = KEYS[1], ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local function mac_of(found) return found and found[2][4] or '' end

local newest = redis.call('XREVRANGE', trail, '+', '-', 'COUNT', 1)[1]
if mac_of(newest) ~= follows then
  if mac_of(redis.call('XRANGE', trail, id, id)[1]) == mac then return {} end
  return { newest and newest[1] or '0-0', mac_of(newest) }
end
redis.call('XADD', trail, 'MINID', '~', oldest, id, 'entry', entry, 'mac', mac)
return {}

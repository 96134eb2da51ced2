-- Stores writes, and a checkpoint either whole or not at all.
-- KEYS: order, state, lease.  ARGV: fencing token or '', ttl in seconds or '', number of writes, member and records of
-- each, then, if there is a checkpoint: member, refs, body, the blobs of the first refs; the others are already stored.
-- Returns how many blobs were new; -1 (no checkpoint stored) when a base blob is missing; -2 (nothing stored) when the
-- lease has a newer token.
local order, state, fence, ttl = KEYS[1], KEYS[2], ARGV[1], ARGV[2]
if fence ~= '' and tonumber(redis.call('HGET', KEYS[3], 'token') or 0) > tonumber(fence) then return -2 end

-- Splits records of the form <task> \31 <index> \31 <length> \31 <record>.
local function slots(records)
  local at = 1
  return function()
    local _, head, slot, index, length = records:find('^([^\31]*\31([^\31]*))\31(%d+)\31', at)
    if not head then return nil end
    local from = at
    at = head + length + 1
    return slot, tonumber(index), records:sub(from, at - 1)
  end
end

-- An ordinary write (index >= 0) is stored once; a special one (index < 0) is replaced.
local function add_writes(member, given)
  local field = 'w' .. member
  local old = redis.call('HGET', state, field)
  if old then
    local names, kept = {}, {}
    for slot, _, record in slots(old) do
      names[#names + 1], kept[slot] = slot, record
    end
    for slot, index, record in slots(given) do
      if not kept[slot] then names[#names + 1] = slot end
      if not kept[slot] or index < 0 then kept[slot] = record end
    end
    for i, slot in ipairs(names) do names[i] = kept[slot] end
    given = table.concat(names)
  end
  redis.call('HSET', state, field, given)
end

local function put(first)
  local member, refs = ARGV[first], ARGV[first + 1]
  local prefix = 'b' .. member:match('^(.*)\31') .. '\31'
  local fields = {}

  local at = first + 2
  for channel, version in refs:gmatch('([^\31]*)\31([^\31]*)\31') do
    at = at + 1
    local field = prefix .. channel .. '\31' .. version
    local needed = field
    if at <= #ARGV then
      fields[at] = field
      local base = ARGV[at]:match('^D([^\31]*)\31')
      needed = base and prefix .. channel .. '\31' .. base
    end
    if needed and redis.call('HEXISTS', state, needed) == 0 then return -1 end
  end

  local new = 0
  for i, field in pairs(fields) do new = new + redis.call('HSETNX', state, field, ARGV[i]) end
  redis.call('HSET', state, 'c' .. member, refs .. '\30' .. ARGV[first + 2])
  redis.call('ZADD', order, 0, member)
  return new
end

local first = 4 + 2 * ARGV[3]
for i = 4, first - 1, 2 do add_writes(ARGV[i], ARGV[i + 1]) end
local answer = ARGV[first] and put(first) or 0
if ttl ~= '' then
  redis.call('EXPIRE', order, ttl)
  redis.call('EXPIRE', state, ttl)
end
return answer

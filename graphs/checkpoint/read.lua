-- Reads checkpoints with their blobs and writes, in one consistent view.
-- KEYS: order, state.  ARGV: members; one that ends in the separator means the newest of its namespace. Returns for
-- each {member, row, pieces of each blob in the order of the refs, records of the writes}, or an empty array for a
-- missing one.
local order, state = KEYS[1], KEYS[2]

local function pieces(prefix, version)
  local backwards, all = {}, {}
  while version do
    local blob = redis.call('HGET', state, prefix .. version)
    if not blob then error('checkpoint data is damaged: no blob ' .. prefix .. version) end
    local base, rest = blob:match('^D([^\31]*)\31(.*)$')
    backwards[#backwards + 1] = rest or blob:sub(2)
    version = base
  end
  for i = #backwards, 1, -1 do all[#all + 1] = backwards[i] end
  return all
end

local function read(member)
  if member:sub(-1) == '\31' then
    member = redis.call('ZRANGE', order, '[' .. member .. '\255', '[' .. member, 'BYLEX', 'REV', 'LIMIT', 0, 1)[1]
  end
  local row = member and redis.call('HGET', state, 'c' .. member)
  if not row then return {} end
  local ns, blobs = member:match('^(.*)\31') .. '\31', {}
  for channel, version in row:match('^[^\30]*'):gmatch('([^\31]*)\31([^\31]*)\31') do
    blobs[#blobs + 1] = pieces('b' .. ns .. channel .. '\31', version)
  end
  return { member, row, blobs, redis.call('HGET', state, 'w' .. member) or '' }
end

local answer = {}
for i, member in ipairs(ARGV) do answer[i] = read(member) end
return answer

-- Deletes checkpoints with their writes, then blobs that no remaining checkpoint needs.
-- KEYS: order, state.  ARGV: members.
local order, state = KEYS[1], KEYS[2]

for _, member in ipairs(ARGV) do
  redis.call('ZREM', order, member)
  redis.call('HDEL', state, 'c' .. member, 'w' .. member)
end

local needed = {}
local function need(prefix, version)
  while version and not needed[prefix .. version] do
    needed[prefix .. version] = true
    version = (redis.call('HGET', state, prefix .. version) or ''):match('^D([^\31]*)\31')
  end
end

local left = redis.call('ZRANGE', order, 0, -1)
for _, member in ipairs(left) do
  local ns, row = member:match('^(.*)\31') .. '\31', redis.call('HGET', state, 'c' .. member)
  for channel, version in row:match('^[^\30]*'):gmatch('([^\31]*)\31([^\31]*)\31') do
    need('b' .. ns .. channel .. '\31', version)
  end
end

if #left == 0 then
  redis.call('UNLINK', order, state)
else
  for _, field in ipairs(redis.call('HKEYS', state)) do
    if field:sub(1, 1) == 'b' and not needed[field] then redis.call('HDEL', state, field) end
  end
end

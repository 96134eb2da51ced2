-- The waiting calls: each tenant's in order, and the tenants in turn. Shared by the scripts in this folder.
-- A queue is a prefix. `<prefix>of:<tenant>`: calls by arrival. `<prefix>turns`: tenants with waiting calls, by the number
-- of their last turn. `<prefix>turn`: the number of the newest turn. `<prefix>bell`: wakes workers.
-- `<prefix>later`, `taken`: "<tenant>/<call>" by when it is due, and by when its worker counts as dead.
-- `<prefix>takers`, `again`: the workers of taken calls, and when to repeat the call. `<prefix>workers`: live workers.
-- `<prefix>mark:<name>`: the level of a mark that lets each call be queued once.
-- `<prefix>suspended`, `suspended:<tenant>`: tenants with suspended calls, and those calls, each since when; they are
-- among the later ones, or still taken.

-- By default Redis 7.2 turns 100000000 into 1e+8 (redis/redis#13113).
local function whole(number) return string.format('%.0f', number) end

local function now_ms(given)
  if given ~= '' then return tonumber(given) end
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

-- Queues a call as of `since`. A tenant without waiting calls comes last in this round: it waits for one turn of each of
-- the others, so nobody gains by leaving and coming back. Returns the commands, for the caller to send.
local function joining(prefix, tenant, call, since, ttl)
  local calls, turns, bell = prefix .. 'of:' .. tenant, prefix .. 'turns', prefix .. 'bell'
  local last = redis.call('GET', prefix .. 'turn') or '0'
  return {
    { 'ZADD', calls, 'NX', whole(since), call },
    { 'ZADD', turns, 'NX', last, tenant },
    { 'XADD', bell, 'MAXLEN', '1', '*', 'rung', '' },
    { 'EXPIRE', calls, ttl },
    { 'EXPIRE', turns, ttl },
    { 'EXPIRE', bell, ttl },
  }
end

-- Where calls wait: those of a tenant in order, and the tenants in turn. Shared by the scripts beside this one.
-- A queue is a prefix. `<prefix>of:<tenant>`: calls by the time they came. `<prefix>turns`: tenants that have calls, by
-- the number of the turn they had last. `<prefix>turn`: the number of the newest turn. `<prefix>bell`: wakes workers.
-- `<prefix>later`, `taken`: "<tenant>/<call>" by when it is due, and by when its worker has been silent for too long.
-- `<prefix>takers`, `again`: of what is taken, by whom, and when it is to be made again. `<prefix>workers`: who takes.

-- Left to itself, Redis 7.2 makes 1e+8 of 100000000 (redis/redis#13113).
local function whole(number) return string.format('%.0f', number) end

local function now_ms(given)
  if given ~= '' then return tonumber(given) end
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

-- Lets a call wait from `since` on. A tenant that had no call waiting comes last in this round: it waits for one turn of
-- each of the others, and nobody gains by leaving and coming back. Returns the commands, for the caller to send.
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

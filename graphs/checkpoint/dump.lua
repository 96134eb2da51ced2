-- Both keys of a thread at one moment.  KEYS: order, state.
return { redis.call('DUMP', KEYS[1]), redis.call('DUMP', KEYS[2]) }

-- -> {waiting, claimed, delayed, dead}
local pending = redis.pcall('XPENDING', ready, group)
-- No group before the first claim after the server lost everything.
local claimed = pending.err and 0 or pending[1] - redis.call('ZCARD', first)
local late = redis.call('ZCARD', delayed)
local unfinished = tonumber(redis.call('HGET', root, 'unfinished') or 0)
return {unfinished - claimed - late, claimed, late, redis.call('LLEN', dead)}

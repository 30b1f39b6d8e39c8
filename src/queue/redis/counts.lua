-- -> {waiting, claimed, delayed, dead}
local claimed = 0
for _, line in ipairs(lines) do
  local pending = redis.pcall('XPENDING', line.ready, group)
  -- No group before the first claim after the server lost everything.
  if not pending.err then claimed = claimed + pending[1] - redis.call('ZCARD', line.first) end
end
local late = redis.call('ZCARD', delayed)
local unfinished = tonumber(redis.call('HGET', root, 'unfinished') or 0)
return {unfinished - claimed - late, claimed, late, redis.call('LLEN', dead)}

-- account, for how long (ms; 0: it has no assignments any more), 1 for a token that wakes a worker -> nothing.
local accounts, account, life, now = root .. ACCOUNTS, ARGV[1], tonumber(ARGV[2]), time()
redis.call('ZREMRANGEBYSCORE', accounts, '-inf', now)
if life == 0 then
  redis.call('ZREM', accounts, account)
else
  redis.call('ZADD', accounts, now + life, account)
end
if ARGV[3] == '1' then
  redis.call('RPUSH', root .. WAKE, account)
  redis.call('LTRIM', root .. WAKE, -256, -1)
  redis.call('PEXPIRE', root .. WAKE, 60000)
end
return redis.status_reply('OK')

-- account, for how long it has assignments (ms), 1 for a token that wakes a worker -> nothing.
-- Only a hint, which is given again within seconds: it needs no place on a disk.
redis.set_repl(redis.REPL_NONE)
local accounts, account, life, now = root .. ACCOUNTS, ARGV[1], tonumber(ARGV[2]), time()
redis.call('ZREMRANGEBYSCORE', accounts, '-inf', now)
redis.call('ZADD', accounts, now + life, account)
if ARGV[3] == '1' then
  redis.call('RPUSH', root .. WAKE, account)
  redis.call('LTRIM', root .. WAKE, -256, -1)
  redis.call('PEXPIRE', root .. WAKE, 60000)
end
return redis.status_reply('OK')

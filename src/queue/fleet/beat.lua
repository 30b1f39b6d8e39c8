-- worker, what it says of itself (empty: it leaves), for how long that holds (ms) -> nothing.
-- Only a hint for people, so it is neither on replicas nor in the append-only file.
redis.set_repl(redis.REPL_NONE)
local worker, life, now = ARGV[1], tonumber(ARGV[3]), time()
redis.call('ZREMRANGEBYSCORE', root .. WORKERS, '-inf', now - life)
if ARGV[2] == '' then
  redis.call('ZREM', root .. WORKERS, worker)
  redis.call('DEL', root .. WORKER .. worker)
else
  redis.call('ZADD', root .. WORKERS, now, worker)
  redis.call('SET', root .. WORKER .. worker, ARGV[2], 'PX', life)
end
return redis.status_reply('OK')

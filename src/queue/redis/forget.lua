-- the id under which a finished job is kept, its document -> nothing.
redis.call('DEL', root .. FINISHED .. ARGV[1], result_key(ARGV[2]))
redis.call('ZREM', results, ARGV[2])
return redis.status_reply('OK')

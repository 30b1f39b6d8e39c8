-- owner, format, whether results are kept (0 or 1) -> nothing. Opens the queue as a new process.
local format = redis.call('HGET', root, 'format')
if format and format ~= ARGV[2] then
  return redis.error_reply('FORMAT ' .. format)
end
open(ARGV[1])
if ARGV[3] == '0' then
  for _, document in ipairs(redis.call('ZRANGE', results, 0, -1)) do
    redis.call('DEL', result_key(document))
  end
  redis.call('DEL', results)
end
redis.call('HSET', root, 'format', ARGV[2])
return redis.status_reply('OK')

-- owner, format -> nothing. Opens the queue as a new process.
local format = redis.call('HGET', root, 'format')
if format and format ~= ARGV[2] then
  return redis.error_reply('FORMAT ' .. format)
end
open(ARGV[1])
redis.call('HSET', root, 'format', ARGV[2])
return redis.status_reply('OK')

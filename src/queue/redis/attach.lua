-- format -> nothing. Only looks whether the queue is one that this program understands.
local format = redis.call('HGET', root, 'format')
if format and format ~= ARGV[1] then
  return redis.error_reply('FORMAT ' .. format)
end
return redis.status_reply('OK')

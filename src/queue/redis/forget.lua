-- the id under which a finished job is kept, its document, its own id -> nothing.
redis.call('DEL', root .. FINISHED .. ARGV[1])
-- The result of its recording goes too, unless it was made for another message.
local _, answer = pcall(cjson.decode, redis.call('GET', result_key(ARGV[2])) or '')
local origin = type(answer) == 'table' and answer.origin
local function id_of(job) return ('%.0f:%.0f:%.0f'):format(job.account, job.chat, job.message) end
if not origin or id_of(origin.job) == ARGV[3] then
  redis.call('DEL', result_key(ARGV[2]))
  redis.call('ZREM', results, ARGV[2])
end
return redis.status_reply('OK')

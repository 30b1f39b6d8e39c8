-- owner, turn, now (ms), most deliveries, reason of the dead
--   -> {the jobs that are dead now, job, deliveries, attempts, progress, outbox}, or
--      {the jobs that are dead now, when the next delayed job is due}.
local owner, turn, now, most = ARGV[1], tonumber(ARGV[2]), ARGV[3], tonumber(ARGV[4])

local buried = {}
local function handed_out(id)
  local fields = redis.call('HMGET', job_key(id), 'job', 'deliveries', 'attempts', 'progress', 'outbox')
  return {table.concat(buried, ' '), unpack(fields, 1, 5)}
end

local known = redis.call('HGET', root, 'owner')
if not known then
  open(owner) -- the server lost everything
elseif known ~= owner then
  return redis.error_reply('TAKEN over')
end

-- The answer to this very turn was lost: the same again. An older turn comes too late to be heard.
local last = tonumber(redis.call('HGET', root, 'turn') or 0)
if turn < last then return {'', false} end
local claimed = redis.call('HGET', root, 'claimed')
if turn == last and claimed and state_of(claimed) == 'claimed' then return handed_out(claimed) end

even_without_memory()
for _, id in ipairs(redis.call('ZRANGEBYSCORE', delayed, '-inf', now)) do
  redis.call('ZREM', delayed, id)
  line_up(id)
end

local function next_in_line()
  local id = redis.call('ZRANGE', first, 0, 0)[1]
  if id then
    redis.call('ZREM', first, id)
    return id
  end
  local read = redis.call('XREADGROUP', 'GROUP', group, consumer, 'COUNT', 1, 'STREAMS', ready, '>')
  return read and read[1][2][1][2][2]
end

local id = next_in_line()
while id do
  if tonumber(redis.call('HGET', job_key(id), 'deliveries')) < most then
    redis.call('HINCRBY', job_key(id), 'deliveries', 1)
    redis.call('HSET', job_key(id), 'state', 'claimed')
    redis.call('HSET', root, 'turn', turn, 'claimed', id)
    return handed_out(id)
  end
  bury(id, ARGV[5])
  buried[#buried + 1] = id
  id = next_in_line()
end
return {table.concat(buried, ' '), redis.call('ZRANGE', delayed, 0, 0, 'WITHSCORES')[2] or false}

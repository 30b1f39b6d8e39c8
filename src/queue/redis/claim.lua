-- owner, turn, now (ms), most deliveries and the reason of the dead, most deaths and the reason of the dead
--   -> {the jobs that are dead now of deliveries, and of deaths, job, delivery, deaths, attempts, progress,
--       outbox}, or {the same jobs, when the next delayed job is due}.
local owner, turn, now = ARGV[1], tonumber(ARGV[2]), ARGV[3]
local deliveries, deaths = tonumber(ARGV[4]), tonumber(ARGV[6])

local worn, deadly = {}, {}
local function answer(...) return {table.concat(worn, ' '), table.concat(deadly, ' '), ...} end
local function handed_out(id)
  local fields = {'job', 'deliveries', 'deaths', 'attempts', 'progress', 'outbox'}
  return answer(unpack(redis.call('HMGET', job_key(id), unpack(fields)), 1, 6))
end

local known = redis.call('HGET', root, 'owner')
if not known then
  open(owner) -- the server lost everything
elseif known ~= owner then
  return redis.error_reply('TAKEN over')
end

-- The answer to this very turn was lost: the same again. An older turn comes too late to be heard.
local last = tonumber(redis.call('HGET', root, 'turn') or 0)
if turn < last then return {'', '', false} end
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
  local counts = redis.call('HMGET', job_key(id), 'deliveries', 'deaths')
  if tonumber(counts[2] or 0) >= deaths then
    bury(id, ARGV[7])
    deadly[#deadly + 1] = id
  elseif tonumber(counts[1]) >= deliveries then
    bury(id, ARGV[5])
    worn[#worn + 1] = id
  else
    redis.call('HINCRBY', job_key(id), 'deliveries', 1)
    redis.call('HSET', job_key(id), 'state', 'claimed', 'begun', 0)
    redis.call('HSET', root, 'turn', turn, 'claimed', id)
    return handed_out(id)
  end
  id = next_in_line()
end
return answer(redis.call('ZRANGE', delayed, 0, 0, 'WITHSCORES')[2] or false)

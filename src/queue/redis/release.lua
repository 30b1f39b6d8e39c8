-- id -> 1, or 0 where the job is not claimed.
local id = ARGV[1]
local state = state_of(id)
if state == 'waiting' or state == 'delayed' then return 1 end
if state ~= 'claimed' then return 0 end
even_without_memory()
if redis.call('HGET', job_key(id), 'begun') == '1' then
  redis.call('HINCRBY', job_key(id), 'deaths', -1)
end
redis.call('HINCRBY', job_key(id), 'deliveries', -1)
put_first(id, redis.call('HGET', job_key(id), 'entry'))
return 1

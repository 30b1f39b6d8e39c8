-- id -> 1, or 0 where the job is not claimed.
local id = ARGV[1]
local state = state_of(id)
if state == 'waiting' or state == 'delayed' then return 1 end
if state ~= 'claimed' then return 0 end
allow_when_out_of_memory()
redis.call('HSET', job_key(id), 'deaths', past_deaths(id), 'begun', 0)
redis.call('HINCRBY', job_key(id), 'deliveries', -1)
put_first(id, redis.call('HGET', job_key(id), 'entry'))
return 1

-- id -> 1, or 0 where the job is not claimed.
local id = ARGV[1]
if state_of(id) ~= 'claimed' then return 0 end
if redis.call('HGET', job_key(id), 'begun') == '1' then return 1 end
allow_when_out_of_memory()
redis.call('HINCRBY', job_key(id), 'deaths', 1)
redis.call('HSET', job_key(id), 'begun', 1)
return 1

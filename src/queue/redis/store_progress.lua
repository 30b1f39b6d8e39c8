-- id, progress -> 1, or 0 where the job is not claimed.
local id = ARGV[1]
if state_of(id) ~= 'claimed' then return 0 end
allow_when_out_of_memory()
local begun = redis.call('HGET', job_key(id), 'begun') or 0
redis.call('HSET', job_key(id), 'progress', ARGV[2], 'deliveries', 1, 'deaths', begun)
return 1

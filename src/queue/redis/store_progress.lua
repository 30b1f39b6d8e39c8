-- id, progress -> 1, or 0 where the job is not claimed.
local id = ARGV[1]
if state_of(id) ~= 'claimed' then return 0 end
even_without_memory()
redis.call('HSET', job_key(id), 'progress', ARGV[2], 'deliveries', 1)
return 1

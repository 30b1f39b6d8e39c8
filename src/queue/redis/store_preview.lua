-- id, preview -> 1, or 0 where the job is not claimed.
local id = ARGV[1]
if state_of(id) ~= 'claimed' then return 0 end
allow_when_out_of_memory()
redis.call('HSET', job_key(id), 'preview', ARGV[2])
return 1

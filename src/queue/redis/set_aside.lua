-- id -> 1, or 0 where the job is not claimed. Keeps a job that cannot be read apart from the others.
local id = ARGV[1]
if state_of(id) ~= 'claimed' then return 0 end
allow_when_out_of_memory()
drop_assignment(id)
leave_chat(id)
redis.call('RENAME', job_key(id), root .. DAMAGED .. id)
return 1

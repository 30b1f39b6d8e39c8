-- id, mark, its life (ms) -> 1, or 0 where the job is not claimed.
local id = ARGV[1]
local state = state_of(id)
if not state then return redis.call('EXISTS', mark_key(id)) end
if state ~= 'claimed' then return 0 end
leave_chat(id)
redis.call('DEL', job_key(id))
redis.call('SET', mark_key(id), ARGV[2], 'PX', ARGV[3])
return 1

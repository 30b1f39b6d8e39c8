-- id, mark, its life (ms), the id under which the job is kept (empty: it is not), for how long (ms)
--   -> 1, or 0 where the job is not claimed.
local id, kept = ARGV[1], ARGV[4]
local state = state_of(id)
-- It was finished before; since then the owner may have asked for it again.
if state ~= 'claimed' then return redis.call('EXISTS', mark_key(id)) end
drop_assignment(id)
leave_chat(id)
if kept ~= '' then redis.call('SET', root .. FINISHED .. kept, redis.call('HGET', job_key(id), 'job'), 'PX', ARGV[5]) end
redis.call('DEL', job_key(id))
redis.call('SET', mark_key(id), ARGV[2], 'PX', ARGV[3])
return 1

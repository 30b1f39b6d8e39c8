-- id, lease, stretch, outcome (empty: it is not the last one) -> 1, or 0 where the lease is over or nobody
-- waits for the answer. Deaths before are forgotten: the recording is past the point where those processes
-- died.
local id, outcome = ARGV[1], ARGV[4]
if not is_held(id, ARGV[2]) or not is_wanted(id) then return 0 end
allow_when_out_of_memory()
local stretches = root .. STRETCHES .. id
-- The reply to the same publication was lost.
if redis.call('LINDEX', stretches, -1) == ARGV[3] then return 1 end
redis.call('RPUSH', stretches, ARGV[3])
redis.call('PEXPIRE', stretches, redis.call('HGET', assignment_key(id), 'life'))
redis.call('HSET', assignment_key(id), 'leases', 1)
redis.call('HSET', job_key(id), 'deaths', 0)
if outcome ~= '' then end_assignment(id, outcome) end
tell_gateway(id)
return 1

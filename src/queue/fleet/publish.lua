-- id, lease, stretch, outcome (empty: it is not the last one) -> 1, or 0 where the lease is over or nobody
-- waits for the answer. Deaths before are forgotten: the recording is past the point where those processes
-- died.
local id, outcome = ARGV[1], ARGV[4]
if not is_held(id, ARGV[2]) or not is_wanted(id) then return 0 end
allow_when_out_of_memory()
redis.call('RPUSH', root .. STRETCHES .. id, ARGV[3])
redis.call('PEXPIRE', root .. STRETCHES .. id, redis.call('HGET', assignment_key(id), 'life'))
redis.call('HSET', assignment_key(id), 'leases', 1)
redis.call('HSET', job_key(id), 'deaths', 0)
if outcome ~= '' then end_assignment(id, outcome) end
tell_gateway(id)
return 1

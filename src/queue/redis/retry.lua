-- id, when it is due (ms), reason, attempts that this counts as
--   -> 1, or 0 where the job is not claimed.
local id = ARGV[1]
local state = state_of(id)
if state == 'delayed' then return 1 end
if state == 'waiting' and redis.call('HEXISTS', job_key(id), 'reason') == 1 then return 1 end
if state ~= 'claimed' then return 0 end
drop_assignment(id)
put_off(id, ARGV[2], ARGV[3])
redis.call('HINCRBY', job_key(id), 'attempts', ARGV[4])
redis.call('HSET', job_key(id), 'deliveries', 0, 'deaths', 0, 'begun', 0)
return 1

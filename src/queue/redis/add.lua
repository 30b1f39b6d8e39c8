-- id, job, document, whether it is a stranger's (0 or 1) -> 1 where it is new, 0 where it is known.
local id = ARGV[1]
if redis.call('EXISTS', job_key(id), mark_key(id)) > 0 then return 0 end
redis.call('HSET', job_key(id), 'job', ARGV[2], 'document', ARGV[3], 'state', 'waiting', 'deliveries', 0, 'attempts', 0)
if ARGV[4] == '1' then redis.call('HSET', job_key(id), 'stranger', 1) end
join_chat(id)
return 1

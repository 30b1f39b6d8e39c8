-- id, job, document, whether it is a stranger's (0 or 1) -> 1 where it is new, 0 where it is known.
local id = ARGV[1]
if redis.call('EXISTS', job_key(id), mark_key(id)) > 0 then return 0 end
add(id, ARGV[2], ARGV[3], ARGV[4], '0')
return 1

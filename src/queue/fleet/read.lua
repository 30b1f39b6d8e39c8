-- id, how many stretches are known -> state, version, outcome, worker, and the stretches after those;
-- nothing where there is no such assignment.
local id = ARGV[1]
local known = redis.call('HMGET', assignment_key(id), 'state', 'version', 'outcome', 'worker')
if not known[1] then return false end
touch(id)
return {known[1], known[2], known[3], known[4], redis.call('LRANGE', root .. STRETCHES .. id, ARGV[2], -1)}

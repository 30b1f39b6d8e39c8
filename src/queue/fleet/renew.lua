-- id, lease -> 1, or 0 where the lease is over or nobody waits for the answer any more.
local id = ARGV[1]
if not is_held(id, ARGV[2]) then return 0 end
if not is_wanted(id) then
  drop_assignment(id)
  return 0
end
local place = redis.call('HMGET', assignment_key(id), 'stream', 'entry')
redis.call('XCLAIM', place[1], workers, consumer, 0, place[2], 'JUSTID')
touch(id)
return 1

-- id, lease, pause (ms; 0: it is taken next; -1: its recording is gone) -> 1, or 0 where the lease is
-- over. It counts for nothing.
local id, pause = ARGV[1], tonumber(ARGV[3])
if not is_held(id, ARGV[2]) then return 0 end
allow_when_out_of_memory()
redis.call('HSET', assignment_key(id), 'begun', 0)
redis.call('HINCRBY', assignment_key(id), 'leases', -1)
if pause > 0 then
  put_off_assignment(id, time() + pause)
elseif pause < 0 then
  leave_stream(id)
  redis.call('HSET', assignment_key(id), 'state', 'unfed')
  tell_gateway(id)
else
  -- So idle that the next worker takes it at once.
  local place = redis.call('HMGET', assignment_key(id), 'stream', 'entry')
  redis.call('XCLAIM', place[1], workers, consumer, 0, place[2], 'IDLE', 86400000, 'JUSTID')
  redis.call('HSET', assignment_key(id), 'state', 'waiting')
end
return 1

-- id, lease, pause (ms; 0: it is taken next; -1: its recording is gone), and perhaps a worker that does
-- not take it, and for how long (ms) -> 1, or 0 where the lease is
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
  if ARGV[4] then redis.call('HSET', assignment_key(id), refused_by(ARGV[4]), time() + ARGV[5]) end
  set_free(id)
end
return 1

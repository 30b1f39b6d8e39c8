-- id, order, version, line, model, size of the recording, life (ms) -> 1, or 0 where the job is not claimed.
-- The recording is there already. Takes the place of an earlier assignment of the job.
local id, life = ARGV[1], ARGV[7]
if state_of(id) ~= 'claimed' then
  if redis.call('EXISTS', assignment_key(id)) == 0 then redis.call('UNLINK', root .. RECORDING .. id) end
  return 0
end
allow_when_out_of_memory()
leave_stream(id)
redis.call('DEL', assignment_key(id), root .. STRETCHES .. id)
redis.call('HSET', assignment_key(id), 'order', ARGV[2], 'version', ARGV[3], 'size', ARGV[6], 'life', life,
  'stream', root .. ASSIGNMENTS .. ARGV[4] .. ':' .. ARGV[5], 'leases', 0)
redis.call('PEXPIRE', assignment_key(id), life)
line_up_assignment(id)
return 1

-- id, lease -> 1, or 0 where the lease is over. From here on the worker may die of the recording.
if not is_held(ARGV[1], ARGV[2]) then return 0 end
allow_when_out_of_memory()
redis.call('HSET', assignment_key(ARGV[1]), 'begun', 1)
return 1

-- id, mark, its life (ms) -> 1, 0 where there is no such job, -1 where it is claimed.
local id = ARGV[1]
local state = state_of(id)
if not state then return redis.call('EXISTS', mark_key(id)) end
if state == 'claimed' then return -1 end
allow_when_out_of_memory()
remove(id)
redis.call('SET', mark_key(id), ARGV[2], 'PX', ARGV[3])
return 1

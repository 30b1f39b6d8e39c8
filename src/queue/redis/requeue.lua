-- id -> 1, or 0 where there is no such job.
local id = ARGV[1]
local state = state_of(id)
if not state then return 0 end
allow_when_out_of_memory()
if state == 'delayed' then
  redis.call('ZREM', delayed, id)
  line_up(id)
elseif state == 'dead' then
  redis.call('LREM', dead, 1, id)
  redis.call('DEL', poison_key(redis.call('HGET', job_key(id), 'document') or 0))
  redis.call('HSET', job_key(id), 'state', 'waiting', 'deliveries', 0, 'deaths', 0, 'attempts', 0)
  redis.call('HDEL', job_key(id), 'reason')
  join_chat(id)
end
return 1

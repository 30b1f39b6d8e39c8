-- command, its mark, the mark's life (ms), and of the job that it asks for: id (empty: there is none),
-- job, document -> 1 where the command is new, 0 where it has its mark, 2 where it is new and the job of
-- its recording is left as it is.
local command, id = ARGV[1], ARGV[4]
if redis.call('EXISTS', mark_key(command)) == 1 then return 0 end
redis.call('SET', mark_key(command), ARGV[2], 'PX', ARGV[3])
if id == '' then return 1 end
local state, outbox, preview = state_of(id), false, false
if state then
  local is_sent_soon = is_asked(id) or redis.call('HEXISTS', job_key(id), 'outbox') == 1
  if state == 'claimed' or (is_sent_soon and state ~= 'dead') then return 2 end
  outbox = state == 'dead' and redis.call('HGET', job_key(id), 'outbox')
  preview = redis.call('HGET', job_key(id), 'preview')
  remove(id)
end
redis.call('DEL', poison_key(ARGV[6]))
add(id, ARGV[5], ARGV[6], '0', '1')
if preview then redis.call('HSET', job_key(id), 'preview', preview) end
-- Parts of a dead job's answer may be in the chat. Where it is now to appear elsewhere, none is.
if outbox then
  local job, form = cjson.decode(ARGV[5]), cjson.decode(outbox).form or 'replies'
  local is_kept = not job.asked.again and job.settings and job.settings.form == form
  if is_kept then redis.call('HSET', job_key(id), 'outbox', outbox) end
end
return 1

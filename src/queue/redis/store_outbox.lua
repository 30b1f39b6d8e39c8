-- id, answer, life of the result (ms, 0: none is kept), its end (ms), now (ms), most results
--   -> 1, or 0 where the job is not claimed.
local id, life, ends, now, most = ARGV[1], ARGV[3], ARGV[4], ARGV[5], tonumber(ARGV[6])
if state_of(id) ~= 'claimed' then return 0 end
allow_when_out_of_memory()
drop_assignment(id)
redis.call('HDEL', job_key(id), 'progress')
redis.call('HSET', job_key(id), 'outbox', ARGV[2], 'deliveries', 1, 'deaths', 0, 'begun', 0)
local document = redis.call('HGET', job_key(id), 'document')
if life == '0' or not document or document == '0' then return 1 end
-- What the chat deletes is not kept here either.
local job = cjson.decode(redis.call('HGET', job_key(id), 'job'))
if job.lifetime then
  ends = math.min(tonumber(ends), (job.date + job.lifetime) * 1000)
  life = math.min(tonumber(life), ends - tonumber(now))
  if life <= 0 then return 1 end
  ends, life = string.format('%.0f', ends), string.format('%.0f', life)
end
-- What an answer was made under, of that which makes another answer of the same text: what
-- Settings::make_the_same compares. The answers of format 1 are lists of parts, each with its task.
local function settings_of(answer)
  local readable, answer = pcall(cjson.decode, answer)
  if not readable or type(answer) ~= 'table' then return nil end
  local task = answer.task or type(answer[1]) == 'table' and answer[1].task or 'transcribe'
  local documents = answer.documents or {}
  local form = {answer.form or 'replies', documents.from or 0, documents.formats or ''}
  return cjson.encode({answer.language or '', task, form, answer.summary_from or ''})
end
local known = redis.call('GET', result_key(document))
-- An answer that is used again does not last longer for it; one that was made anew takes its place.
local is_anew = type(job.asked) == 'table' and job.asked.again
if not known or is_anew or settings_of(known) ~= settings_of(ARGV[2]) then
  redis.call('SET', result_key(document), ARGV[2], 'PX', life)
  redis.call('ZREMRANGEBYSCORE', results, '-inf', now)
  redis.call('ZADD', results, ends, document)
  while redis.call('ZCARD', results) > most do
    redis.call('DEL', result_key(redis.call('ZPOPMIN', results)[1]))
  end
end
return 1

-- owner, turn, now (ms), rules (see redis.rs), format, from how many lines (1: not that of strangers)
--   -> fields and values in turn: `log`, what the daemon is to log, and either those of the job
--   (`id`, `job`, `deliveries`, `deaths`, `attempts`, `progress`, `preview`, `outbox`), or `id`,
--   `given_up`, `reason` and `preview` of a job that the owner asked for, or that has a preview, and that
--   is dead now, or `next_due`, when the next delayed job is due.
local owner, turn, now, rules = ARGV[1], tonumber(ARGV[2]), ARGV[3], cjson.decode(ARGV[4])

local function reply(fields, values)
  local all = {'log', log_as_json()}
  for n, field in ipairs(fields) do
    all[#all + 1] = field
    all[#all + 1] = values[n] or false
  end
  return all
end

local function claimed_job(id)
  local fields = {'job', 'deliveries', 'deaths', 'attempts', 'progress', 'preview', 'outbox'}
  local values = redis.call('HMGET', job_key(id), unpack(fields))
  fields[#fields + 1], values[#fields + 1] = 'id', id
  return reply(fields, values)
end

local function nothing_until(due) return reply({'next_due'}, {due}) end

local known = redis.call('HGET', root, 'owner')
if not known then
  open(owner, put_first) -- the server lost everything
  redis.call('HSET', root, 'format', ARGV[5])
elseif known ~= owner then
  return redis.error_reply('TAKEN over')
end

-- If the reply to this very turn was lost, it is given again. Nobody waits for an older one.
local last = tonumber(redis.call('HGET', root, 'turn') or 0)
if turn < last then return nothing_until(false) end
local claimed = redis.call('HGET', root, 'claimed')
if turn == last and claimed and state_of(claimed) == 'claimed' then return claimed_job(claimed) end

allow_when_out_of_memory()
for _, id in ipairs(redis.call('ZRANGEBYSCORE', delayed, '-inf', now)) do
  redis.call('ZREM', delayed, id)
  line_up(id)
end

local function next_in_line()
  for n = 1, tonumber(ARGV[6]) do
    local id = redis.call('ZRANGE', lines[n].first, 0, 0)[1]
    if id then
      redis.call('ZREM', lines[n].first, id)
      return id
    end
  end
  for n = 1, tonumber(ARGV[6]) do
    local read = redis.call('XREADGROUP', 'GROUP', group, consumer, 'COUNT', 1, 'STREAMS', lines[n].ready, '>')
    if read then return read[1][2][1][2][2] end
  end
end

local id = next_in_line()
while id do
  local fields = redis.call('HMGET', job_key(id), 'deliveries', 'deaths', 'document', 'outbox', 'reason')
  local document = fields[3] ~= '0' and not fields[4] and fields[3]
  local why = why_dead(id, tonumber(fields[1]), tonumber(fields[2] or 0), document, rules)
  local tried_first = document and suspect(document)
  if why then
    local preview = redis.call('HGET', job_key(id), 'preview')
    bury(id, why)
    log(id, why)
    if is_asked(id) or preview then
      local job = redis.call('HGET', job_key(id), 'job')
      return reply({'id', 'given_up', 'reason', 'preview'}, {id, job, why, preview})
    end
  elseif tried_first and tried_first ~= id then
    put_off(id, tonumber(now) + rules.pauses[1], rules.reason.copy_of_suspect)
    -- It may be put off more than once until the other one is through.
    if fields[5] ~= rules.reason.copy_of_suspect then log(id, rules.reason.copy_of_suspect, rules.pauses[1]) end
  else
    redis.call('HINCRBY', job_key(id), 'deliveries', 1)
    redis.call('HSET', job_key(id), 'state', 'claimed', 'begun', 0)
    redis.call('HSET', root, 'turn', turn, 'claimed', id)
    return claimed_job(id)
  end
  id = next_in_line()
end
return nothing_until(redis.call('ZRANGE', delayed, 0, 0, 'WITHSCORES')[2])

-- What the scripts share: put in front of each of them, after the names of the keys (keys.rs).
local root = KEYS[1]
-- The line of the jobs that the owner asked for, that of most jobs, and that of strangers, in the order
-- in which they are served: a stream, and the set of those in it that nobody works on.
local lines = {
  {ready = root .. ASKED, first = root .. FIRST_ASKED},
  {ready = root .. READY, first = root .. FIRST},
  {ready = root .. STRANGERS, first = root .. FIRST_STRANGERS},
}
local delayed, dead = root .. DELAYED, root .. DEAD
local results, dates = root .. RESULTS, root .. DATES
local group, consumer, workers = 'stenogram', 'worker', 'workers'

local function job_key(id) return root .. JOB .. id end
local function mark_key(id) return root .. MARK .. id end
local function result_key(document) return root .. RESULT .. document end
local function poison_key(document) return root .. POISON .. document end
local function suspect_key(document) return root .. SUSPECT .. document end
local function is_asked(id) return redis.call('HGET', job_key(id), 'asked') == '1' end

-- Of a job that is there.
local function chat_key(id)
  return root .. (is_asked(id) and CHAT_ASKED or CHAT) .. id:match('^[^:]*:([^:]*):')
end

local function line_of(id)
  if is_asked(id) then return lines[1] end
  return lines[redis.call('HGET', job_key(id), 'stranger') == '1' and 3 or 2]
end

local function state_of(id) return redis.call('HGET', job_key(id), 'state') end

-- A Redis that is out of memory refuses commands that may take more, unless the script has already
-- written. After this write the jobs it holds can still be worked on, which frees its memory.
local function allow_when_out_of_memory() redis.call('HDEL', root, '-') end

-- The error if the queue is of a later format than this program knows.
local function format_error(known)
  local format = redis.call('HGET', root, 'format')
  local is_known = not format or (tonumber(format) or math.huge) <= tonumber(known)
  if not is_known then return redis.error_reply('FORMAT ' .. format) end
end

-- At the end of the line. The place is the stream's entry id, so that places can be compared.
local function line_up(id)
  local entry = redis.call('HINCRBY', root, 'places', 1) .. '-0'
  redis.call('XADD', line_of(id).ready, entry, 'id', id)
  redis.call('HSET', job_key(id), 'state', 'waiting', 'entry', entry)
end

-- How many processes died over the job's recording.
local function past_deaths(id)
  local counts = redis.call('HMGET', job_key(id), 'deaths', 'begun')
  return tonumber(counts[1] or 0) - tonumber(counts[2] or 0)
end

-- The job by which a recording under suspicion is tried first.
local function suspect(document)
  local id = redis.call('GET', suspect_key(document))
  local state = id and state_of(id)
  return state and state ~= 'dead' and past_deaths(id) > 0 and id
end

-- The pause after a death over the recording, which `deaths` includes already.
local function count_death(id, deaths, died, now, rules)
  if deaths > 1 and math.abs(died - now) < rules.together then
    redis.call('HSET', job_key(id), 'deaths', deaths - 1)
    return deaths == 2 and rules.pauses[1] or rules.pauses[2]
  end
  redis.call('HSET', job_key(id), 'died', now)
  -- After the first it is tried again at once, after the third it goes to the dead letters.
  return deaths == 2 and rules.pauses[2] or 0
end

local function note_suspect(id, rules)
  local document = redis.call('HGET', job_key(id), 'document')
  if not document or document == '0' then return end
  local known = suspect(document)
  if not known or past_deaths(known) < past_deaths(id) then
    redis.call('SET', suspect_key(document), id, 'PX', rules.life)
  end
end

-- Why a job must not be worked on any more, if so. Remembers that its recording is poisonous.
-- `document` is false if it is not known, or if the job has its answer and does not touch the
-- recording any more.
local function why_dead(id, deliveries, deaths, document, rules)
  local known = document and redis.call('GET', poison_key(document))
  if known then return rules.reason.copy_of_poisonous .. known end
  if deaths >= rules.max_deaths then
    if document then redis.call('SET', poison_key(document), id, 'PX', rules.life) end
    return rules.reason.too_many_deaths
  end
  return deliveries >= rules.max_deliveries and rules.reason.too_many_deliveries
end

-- What the daemon is to log: jobs that were put off (with the pause in ms) or given up, and why.
local log_lines = {}
local function log(id, reason, pause) log_lines[#log_lines + 1] = {id = id, reason = reason, pause = pause} end
local function log_as_json() return #log_lines > 0 and cjson.encode(log_lines) or '[]' end

-- Takes an assignment out of where it waits or is leased.
local function leave_stream(id)
  local place = redis.call('HMGET', root .. ASSIGNMENT .. id, 'stream', 'entry')
  if place[1] and place[2] then
    redis.call('XACK', place[1], workers, place[2])
    redis.call('XDEL', place[1], place[2])
    redis.call('HDEL', root .. ASSIGNMENT .. id, 'entry')
  end
  redis.call('ZREM', root .. LATER, id)
end

-- What a fleet was given of the job, if anything. A job that leaves its worker's hands takes it away.
local function drop_assignment(id)
  if redis.call('EXISTS', root .. ASSIGNMENT .. id) == 1 then leave_stream(id) end
  redis.call('UNLINK', root .. ASSIGNMENT .. id, root .. STRETCHES .. id, root .. RECORDING .. id)
end

-- In front of the line, at the place it had. The entry stays pending.
local function put_first(id, entry)
  redis.call('HSET', job_key(id), 'state', 'waiting')
  redis.call('ZADD', line_of(id).first, entry:match('^%d+'), id)
end

local function leave_line(id)
  local entry, line = redis.call('HGET', job_key(id), 'entry'), line_of(id)
  redis.call('XACK', line.ready, group, entry)
  redis.call('XDEL', line.ready, entry)
end

local function put_off(id, due, reason)
  leave_line(id)
  redis.call('HSET', job_key(id), 'state', 'delayed', 'reason', reason)
  redis.call('ZADD', delayed, due, id)
end

local function note_date(id)
  redis.call('ZADD', dates, cjson.decode(redis.call('HGET', job_key(id), 'job')).date, id)
end

-- The last of its chat; in line, where it is the only one.
local function join_chat(id)
  redis.call('HINCRBY', root, 'unfinished', 1)
  note_date(id)
  if redis.call('RPUSH', chat_key(id), id) == 1 then line_up(id) end
end

-- The job is finished or dead; if it stood in line, the next one of its chat does now.
local function leave_chat(id)
  local chat = chat_key(id)
  local was_first = redis.call('LINDEX', chat, 0) == id
  redis.call('LREM', chat, 1, id)
  if was_first then
    leave_line(id)
    local next = redis.call('LINDEX', chat, 0)
    if next then line_up(next) end
  end
  redis.call('HINCRBY', root, 'unfinished', -1)
  redis.call('ZREM', dates, id)
end

-- Takes a job that is not claimed away, as if it had never been added.
local function remove(id)
  drop_assignment(id)
  if state_of(id) == 'dead' then
    redis.call('LREM', dead, 1, id)
  else
    redis.call('ZREM', delayed, id)
    redis.call('ZREM', line_of(id).first, id)
    leave_chat(id)
  end
  redis.call('DEL', job_key(id))
end

-- Adds a job that is not there. `asked` and `stranger` are '0' or '1'.
local function add(id, job, document, stranger, asked)
  redis.call('HSET', job_key(id), 'job', job, 'document', document, 'state', 'waiting', 'deliveries', 0,
    'attempts', 0)
  if stranger == '1' then redis.call('HSET', job_key(id), 'stranger', 1) end
  if asked == '1' then redis.call('HSET', job_key(id), 'asked', 1) end
  join_chat(id)
end

local function bury(id, reason)
  drop_assignment(id)
  leave_chat(id)
  redis.call('HDEL', job_key(id), 'preview')
  redis.call('HSET', job_key(id), 'state', 'dead', 'reason', reason)
  redis.call('RPUSH', dead, id)
end

-- Calls `recover` for each entry of the line that another process had claimed.
local function open_line(ready, recover)
  redis.pcall('XGROUP', 'CREATE', ready, group, '0', 'MKSTREAM') -- may exist
  local from = '-'
  while true do
    local page = redis.call('XPENDING', ready, group, from, '+', 1000)
    for _, pending in ipairs(page) do
      local entry = pending[1]
      local found = redis.call('XRANGE', ready, entry, entry)[1]
      if found then
        recover(found[2][2], entry)
      else
        redis.call('XACK', ready, group, entry)
      end
      from = entry:match('^%d+') + 1 .. '-0'
    end
    if #page < 1000 then return end
  end
end

-- Makes `owner` the one who may claim, and calls `recover` for each entry that another had claimed.
local function open(owner, recover)
  allow_when_out_of_memory()
  redis.call('HDEL', root, 'turn', 'claimed')
  redis.call('HSET', root, 'owner', owner)
  for _, line in ipairs(lines) do open_line(line.ready, recover) end
end

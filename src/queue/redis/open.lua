-- owner, format, whether results are kept (0 or 1), now (ms), rules (see redis.rs) -> what the
-- daemon is to log. Opens the queue as a new process.
local refused = format_error(ARGV[2])
if refused then return refused end
local now, rules = tonumber(ARGV[4]), cjson.decode(ARGV[5])
local soon, latest = now + rules.pauses[1], now + math.max(rules.pauses[1], rules.pauses[2])

-- Makes a job that a process had claimed when it died claimable again. One that was released before
-- stays where it is.
local function recover(id, entry)
  if state_of(id) ~= 'claimed' then return put_first(id, entry) end
  local fields = redis.call('HMGET', job_key(id), 'deliveries', 'deaths', 'died', 'begun')
  local deliveries, pause, reason = tonumber(fields[1] or 0), 0, rules.reason.died_over_recording
  if fields[4] == '1' then
    pause = count_death(id, tonumber(fields[2]), tonumber(fields[3] or 0), now, rules)
    redis.call('HSET', job_key(id), 'begun', 0)
    note_suspect(id, rules)
  elseif deliveries >= rules.max_deliveries_at_once and deliveries < rules.max_deliveries then
    pause, reason = rules.pauses[1], rules.reason.died_repeatedly
  end
  if pause == 0 then return put_first(id, entry) end
  put_off(id, now + pause, reason)
  log(id, reason, pause)
end

-- Jobs put off because processes died wait again, now that another one has opened the queue; not
-- for ever, if the clock was set back meanwhile. A retry has forgotten both counts.
local late = redis.call('ZRANGE', delayed, 0, -1, 'WITHSCORES')
open(ARGV[1], recover)
for n = 1, #late, 2 do
  local counts = redis.call('HMGET', job_key(late[n]), 'deaths', 'deliveries')
  if tonumber(counts[1] or 0) > 0 or tonumber(counts[2] or 0) > 0 then
    redis.call('ZADD', delayed, math.min(math.max(tonumber(late[n + 1]), soon), latest), late[n])
  end
end

if ARGV[3] == '0' then
  for _, document in ipairs(redis.call('ZRANGE', results, 0, -1)) do
    redis.call('DEL', result_key(document))
  end
  redis.call('DEL', results)
end

-- A queue of a version that did not store the dates.
if redis.call('ZCARD', dates) ~= tonumber(redis.call('HGET', root, 'unfinished') or 0) then
  redis.call('DEL', dates)
  local function note_chat(first_of_chat)
    for _, id in ipairs(redis.call('LRANGE', chat_key(first_of_chat), 0, -1)) do note_date(id) end
  end
  for _, entry in ipairs(redis.call('XRANGE', lines[2].ready, '-', '+')) do note_chat(entry[2][2]) end
  for _, id in ipairs(redis.call('ZRANGE', delayed, 0, -1)) do note_chat(id) end
end
redis.call('HSET', root, 'format', ARGV[2])
return log_as_json()

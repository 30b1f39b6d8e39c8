-- rules (see redis.rs), worker, its lease (ms), from how many lines (2: not that of strangers), models as
-- JSON, and as JSON the ids of what the worker has in hand -> fields and values in turn: `log`, what the worker is to log, and, if there is an assignment for
-- it, `id`, `lease`, `order`, `size`, `deaths`, `lost` (1 where another worker lost it) and `stretches`.
local rules, worker, lease_ms = cjson.decode(ARGV[1]), ARGV[2], tonumber(ARGV[3])
local models, now, in_hand = cjson.decode(ARGV[5]), time(), {}
for _, id in ipairs(cjson.decode(ARGV[6])) do in_hand[id] = true end
allow_when_out_of_memory()
-- No lease is shorter.
local LEAST_LEASE = 1000

local function condemn(id, why)
  end_assignment(id, cjson.encode({poisonous = {why = why}}))
  log(id, why)
  tell_gateway(id)
end

-- A worker has lost its lease. What it had begun counts as a death.
local function count_lost(id)
  if redis.call('HGET', assignment_key(id), 'begun') ~= '1' then return end
  redis.call('HSET', assignment_key(id), 'begun', 0)
  local deaths = redis.call('HINCRBY', job_key(id), 'deaths', 1)
  local died = tonumber(redis.call('HGET', job_key(id), 'died') or 0)
  local pause = count_death(id, deaths, died, now, rules)
  note_suspect(id, rules)
  if pause > 0 and past_deaths(id) < rules.max_deaths then
    put_off_assignment(id, now + pause)
    log(id, rules.reason.died_over_recording, pause)
  end
end

-- Leases an assignment, unless it must not be worked on now. Returns its lease, or nothing.
local function lease(id, entry, is_lost)
  local key = assignment_key(id)
  local document = redis.call('HGET', job_key(id), 'document')
  document = document ~= '0' and document
  local leases = tonumber(redis.call('HGET', key, 'leases'))
  local why = why_dead(id, leases, past_deaths(id), document, rules)
  if why then return condemn(id, why) end
  local tried_first = document and suspect(document)
  if tried_first and tried_first ~= id then return put_off_assignment(id, now + rules.pauses[1]) end
  -- Higher than any before, even if Redis has lost them.
  local last = tonumber(redis.call('HGET', root, 'leases') or 0)
  local number = string.format('%.0f', math.max(last + 1, now))
  redis.call('HSET', root, 'leases', number)
  redis.call('XCLAIM', redis.call('HGET', key, 'stream'), workers, consumer, 0, entry, 'JUSTID')
  redis.call('HSET', key, 'state', 'leased', 'lease', number, 'lease_ms', lease_ms, 'worker', worker,
    'begun', 0)
  redis.call('HINCRBY', key, 'leases', 1)
  touch(id)
  local order = redis.call('HMGET', key, 'order', 'size')
  return {'log', log_as_json(), 'id', id, 'lease', number, 'order', order[1], 'size', order[2],
    'deaths', past_deaths(id), 'lost', is_lost and 1 or 0,
    'stretches', '[' .. table.concat(redis.call('LRANGE', root .. STRETCHES .. id, 0, -1), ',') .. ']'}
end

-- The assignment of an entry, unless it is gone or nobody waits for it.
local function wanted(stream, entry, id)
  if redis.call('EXISTS', assignment_key(id)) == 1 and is_wanted(id) then return id end
  redis.call('XACK', stream, workers, entry)
  redis.call('XDEL', stream, entry)
  drop_assignment(id)
end

local function is_refused(id)
  return tonumber(redis.call('HGET', assignment_key(id), refused_by(worker)) or 0) > now
end

-- One that was given back, or whose lease is over.
local function pending(stream)
  for _, found in ipairs(redis.call('XPENDING', stream, workers, 'IDLE', LEAST_LEASE, '-', '+', 1000)) do
    local entry, idle = found[1], found[3]
    local there = redis.call('XRANGE', stream, entry, entry)[1]
    local id = there and wanted(stream, entry, there[2][2])
    if not there then redis.call('XACK', stream, workers, entry) end
    local known = id and redis.call('HMGET', assignment_key(id), 'state', 'lease_ms', 'entry', 'worker')
    if known and known[3] == entry then
      local is_over = known[1] == 'leased' and idle >= tonumber(known[2]) and not in_hand[id]
      -- This worker lives: it has only not been able to say that it is done with it.
      local is_lost = is_over and known[4] ~= worker
      if is_lost then count_lost(id) end
      if (known[1] == 'waiting' or is_over) and not is_refused(id) and redis.call('HGET', assignment_key(id), 'state') ~= 'later' then
        local leased = lease(id, entry, is_lost)
        if leased then return leased end
      end
    end
  end
end

local function new(stream)
  while true do
    local read = redis.call('XREADGROUP', 'GROUP', workers, consumer, 'COUNT', 1, 'STREAMS', stream, '>')
    if not read then return end
    local entry, id = read[1][2][1][1], read[1][2][1][2][2]
    if wanted(stream, entry, id) then
      if is_refused(id) then
        set_free(id)
      else
        local leased = lease(id, entry, false)
        if leased then return leased end
      end
    end
  end
end

for _, id in ipairs(redis.call('ZRANGEBYSCORE', root .. LATER, '-inf', now)) do
  redis.call('ZREM', root .. LATER, id)
  if redis.call('EXISTS', assignment_key(id)) == 1 then line_up_assignment(id) end
end
for n = 1, tonumber(ARGV[4]) do
  for _, model in ipairs(models) do
    local stream = root .. ASSIGNMENTS .. lines_of_fleet[n] .. ':' .. model
    if redis.call('EXISTS', stream) == 1 then
      local leased = pending(stream) or new(stream)
      if leased then return leased end
    end
  end
end
return {'log', log_as_json()}

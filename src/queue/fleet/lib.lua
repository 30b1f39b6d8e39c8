-- What the scripts of a fleet share: put in front of each of them, after the queue's library.
local lines_of_fleet = {'asked', 'others', 'strangers'}

local function assignment_key(id) return root .. ASSIGNMENT .. id end

-- In milliseconds, by the clock of the server, which is the same for all.
local function time()
  local now = redis.call('TIME')
  return now[1] * 1000 + math.floor(now[2] / 1000)
end

-- Only a hint that saves the gateway a look.
local function tell_gateway(id)
  redis.call('RPUSH', root .. NEWS, id)
  redis.call('LTRIM', root .. NEWS, -1000, -1)
  redis.call('PEXPIRE', root .. NEWS, 60000)
end

-- Keeps an assignment from expiring. Most of the time nothing is written.
local function touch(id)
  local life = tonumber(redis.call('HGET', assignment_key(id), 'life'))
  if not life or redis.call('PTTL', assignment_key(id)) > life / 2 then return end
  for _, key in ipairs({ASSIGNMENT, STRETCHES, RECORDING}) do redis.call('PEXPIRE', root .. key .. id, life) end
end

-- Whether somebody still waits for its answer.
local function is_wanted(id)
  local state = state_of(id)
  return state == 'claimed' or state == 'waiting'
end

-- Whether this lease is the last one, and not over.
local function is_held(id, lease)
  local known = redis.call('HMGET', assignment_key(id), 'state', 'lease')
  return known[1] == 'leased' and known[2] == lease
end

-- So idle that whoever comes next takes it at once.
local function set_free(id)
  local place = redis.call('HMGET', assignment_key(id), 'stream', 'entry')
  redis.call('XCLAIM', place[1], workers, consumer, 0, place[2], 'IDLE', 86400000, 'JUSTID')
  redis.call('HSET', assignment_key(id), 'state', 'waiting')
end

-- Until when the worker does not take the assignment, which is for others.
local function refused_by(worker) return 'refused:' .. worker end

-- At the end of its stream.
local function line_up_assignment(id)
  local stream = redis.call('HGET', assignment_key(id), 'stream')
  redis.pcall('XGROUP', 'CREATE', stream, workers, '0', 'MKSTREAM') -- may exist
  local entry = redis.call('XADD', stream, '*', 'id', id)
  redis.call('HSET', assignment_key(id), 'state', 'waiting', 'entry', entry)
end

local function put_off_assignment(id, due)
  leave_stream(id)
  redis.call('HSET', assignment_key(id), 'state', 'later')
  redis.call('ZADD', root .. LATER, due, id)
end

-- `outcome` is JSON. The recording is needed no more.
local function end_assignment(id, outcome)
  leave_stream(id)
  redis.call('HSET', assignment_key(id), 'state', 'done', 'outcome', outcome)
  redis.call('UNLINK', root .. RECORDING .. id)
end

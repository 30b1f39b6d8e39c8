-- -> {job, state, deliveries, attempts, reason, when it is due (ms), job, ...}
local entries = {}
local function put(id, due)
  local fields = redis.call('HMGET', job_key(id), 'job', 'state', 'deliveries', 'attempts', 'reason')
  for _, field in ipairs(fields) do entries[#entries + 1] = field end
  entries[#entries + 1] = due
end
-- In the line and among the delayed is the first job of each chat.
local function put_chat(chat, due)
  for place, id in ipairs(redis.call('LRANGE', chat, 0, -1)) do put(id, place == 1 and due) end
end

for _, line in ipairs(lines) do
  for _, entry in ipairs(redis.call('XRANGE', line.ready, '-', '+')) do put_chat(chat_key(entry[2][2]), false) end
end
local late = redis.call('ZRANGE', delayed, 0, -1, 'WITHSCORES')
for n = 1, #late, 2 do put_chat(chat_key(late[n]), late[n + 1]) end
for _, id in ipairs(redis.call('LRANGE', dead, 0, -1)) do put(id, false) end
return entries

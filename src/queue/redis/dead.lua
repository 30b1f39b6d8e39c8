-- -> {job, reason, job, reason, ...}, oldest first.
local letters = {}
for _, id in ipairs(redis.call('LRANGE', dead, 0, -1)) do
  local letter = redis.call('HMGET', job_key(id), 'job', 'reason')
  letters[#letters + 1] = letter[1]
  letters[#letters + 1] = letter[2] or ''
end
return letters

-- how many -> the answers that are kept for longest, as JSON, the last to end first
local answers = {}
for _, document in ipairs(redis.call('ZREVRANGEBYSCORE', results, '+inf', '-inf', 'LIMIT', 0, ARGV[1])) do
  local answer = redis.call('GET', result_key(document))
  if answer then answers[#answers + 1] = answer end
end
return answers

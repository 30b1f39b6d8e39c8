-- how many -> the answers that are kept for longest, as JSON, the last to end first
local answers = {}
for _, document in ipairs(redis.call('ZREVRANGE', results, 0, tonumber(ARGV[1]) - 1)) do
  local answer = redis.call('GET', result_key(document))
  if answer then answers[#answers + 1] = answer end
end
return answers

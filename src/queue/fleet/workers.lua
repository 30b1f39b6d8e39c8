-- Nothing -> for each worker what it says of itself, and how long ago (ms).
local now, found = time(), {}
local known = redis.call('ZRANGE', root .. WORKERS, 0, -1, 'WITHSCORES')
for n = 1, #known, 2 do
  local card = redis.call('GET', root .. WORKER .. known[n])
  if card then found[#found + 1] = {card, now - known[n + 1]} end
end
return found

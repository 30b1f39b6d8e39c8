-- id, how many chunks are there before this one, the chunk, life (ms) -> how many chunks are there now.
-- What is written here goes neither to replicas nor into the append-only file.
redis.set_repl(redis.REPL_NONE)
local key, before = root .. RECORDING .. ARGV[1], tonumber(ARGV[2])
-- A script that has written is not refused any more, and a full Redis must refuse this one.
if before == 0 and redis.call('EXISTS', key) == 1 then redis.call('DEL', key) end
local count = redis.call('LLEN', key)
if count ~= before then return count end
count = redis.call('RPUSH', key, ARGV[3])
redis.call('PEXPIRE', key, ARGV[4])
return count

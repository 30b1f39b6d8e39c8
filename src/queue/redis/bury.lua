-- id, reason -> 1, or 0 where the job is not claimed.
local id = ARGV[1]
local state = state_of(id)
if state == 'dead' then return 1 end
if state ~= 'claimed' then return 0 end
bury(id, ARGV[2])
return 1

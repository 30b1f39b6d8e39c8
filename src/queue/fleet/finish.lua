-- id, lease, outcome -> 1, or 0 where the lease is over.
local id = ARGV[1]
if not is_held(id, ARGV[2]) then return 0 end
allow_when_out_of_memory()
end_assignment(id, ARGV[3])
tell_gateway(id)
return 1

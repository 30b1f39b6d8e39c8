-- Nothing -> the accounts that have assignments.
return redis.call('ZRANGEBYSCORE', root .. ACCOUNTS, time(), '+inf')

-- -> the earliest date of an unfinished job, or nothing.
return redis.call('ZRANGE', dates, 0, 0, 'WITHSCORES')[2] or false

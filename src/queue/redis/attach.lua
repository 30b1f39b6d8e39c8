-- format -> nothing. Only checks that the queue is one that this program understands.
return format_error(ARGV[1]) or redis.status_reply('OK')

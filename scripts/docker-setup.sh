#!/bin/sh
# The service `setup` of the compose files: hands .env to the others, and ends. They run as users who may not read
# the owner's file (mode 0600), and what a compose file passes on as environment or arguments shows in
# `docker inspect`. So root, without a network, copies it into volumes: all of it for the daemon's user, the
# password alone for Redis. Where no Redis is next door, as for a worker, the third folder is not there.
set -eu
umask 077

source=${1:-/run/secrets/env}
daemon=${2:-/out/daemon}
redis=${3:-/out/redis}
# The daemon's user, see the Dockerfile.
owner=10001:10001

say() { printf 'setup: %s\n' "$*" >&2; }
refuse() {
    say "$*"
    exit 1
}

# put FILE: standard input becomes the file; one that says the same is left alone, for the daemon's container
# starts the daemon again when its file has changed.
put() {
    cat >"$1.new"
    if cmp -s "$1.new" "$1"; then
        rm "$1.new"
    else
        mv "$1.new" "$1"
    fi
}

# line NAME: what stands behind the first `NAME=`.
line() { sed -n -E "s/\r\$//; s/^[[:space:]]*(export[[:space:]]+)?$1[[:space:]]*=[[:space:]]*//p" "$source" | head -n 1; }

# The password as the daemon reads it too. What dotenv would expand is refused rather than read in another way.
password=$(line REDIS_PASSWORD)
case $password in
\'*\'*)
    password=${password#\'}
    password=${password%%\'*}
    ;;
*)
    password=$(printf '%s\n' "$password" | sed -E 's/(^|[[:space:]]+)#.*//; s/[[:space:]]+$//')
    case $password in
    \"*\") password=${password#\"} && password=${password%\"} ;;
    esac
    case $password in
    *[\'\"\\\$]*) refuse "REDIS_PASSWORD in .env has a quote, a backslash or a \$: put it between 'single quotes'" ;;
    esac
    ;;
esac

[ -f "$source" ] || refuse "there is no .env: cp .env.example .env, and fill in API_ID and API_HASH"

# SETUP_OPEN_REDIS is docker-compose.gateway.yml's: other machines reach the Redis.
if [ -n "${SETUP_OPEN_REDIS:-}" ] && [ -z "$password" ]; then
    refuse "REDIS_PASSWORD is missing in .env: without it, everybody in your network could read what is in Redis"
fi

if [ -d "$redis" ]; then
    [ -z "$(line REDIS_URL)" ] || say "REDIS_URL in .env is not used: here the queue is the Redis of the compose file"
    sed -E '/^[[:space:]]*(export[[:space:]]+)?REDIS_URL[[:space:]]*=/d' "$source"
else
    cat "$source"
fi >"$daemon/env.new"
chown "$owner" "$daemon/env.new"
if cmp -s "$daemon/env.new" "$daemon/env"; then rm "$daemon/env.new"; else mv "$daemon/env.new" "$daemon/env"; fi

[ -d "$redis" ] || exit 0

# Nobody but Redis' container has this volume, and which number its user has is the image's affair.
umask 022
printf '%s\n' "$password" | put "$redis/password"
if [ -n "$password" ]; then
    printf 'requirepass "%s"\n' "$(printf '%s' "$password" | sed 's/[\\"]/\\&/g')"
else
    echo '# No REDIS_PASSWORD in .env: only the network that Redis and the daemon share reaches this server.'
fi | put "$redis/redis.conf"

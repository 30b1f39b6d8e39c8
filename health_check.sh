#!/usr/bin/env bash
# Says what is well and what is not, each with its remedy. Changes nothing.
# Exit status: 0 all well (warnings included), 1 something failed.
set -uo pipefail

cd -- "$(dirname -- "${BASH_SOURCE[0]}")" || exit 1
# shellcheck source=scripts/setup.sh
. scripts/setup.sh

case ${1:-} in
'') ;;
-h | --help) sed -n '2,3s/^# //p' "$0" && exit 0 ;;
*) fail 2 "health_check.sh takes nothing, and here is '$1'." ;;
esac

failures=0
ok() { printf 'ok    %s\n' "$1"; }
# WHAT REMEDY
doubtful() { printf 'warn  %s\n      -> %s\n' "$1" "$2"; }
failed() {
    printf 'FAIL  %s\n      -> %s\n' "$1" "$2"
    failures=$((failures + 1))
}

check_configuration() {
    local stenogram=${CARGO_TARGET_DIR:-target}/release/stenogram mistakes mode
    if [ ! -x "$stenogram" ]; then
        failed "the program is not built ($stenogram)" "./start.sh"
    elif mistakes=$("$stenogram" config 2>&1 >/dev/null); then
        ok "configuration"
    else
        failed "configuration: $mistakes" "mend what is named above in $env_file or in the environment"
    fi
    if [ -f "$env_file" ]; then
        mode=$(stat -c %a "$env_file")
        case $mode in
        *00) ok "$env_file is yours alone" ;;
        *) doubtful "$env_file can be read by others (mode $mode)" "chmod 600 '$env_file'" ;;
        esac
    fi
}

check_session() {
    local session mode
    session=$data_dir/account.session
    if ! logged_in; then
        failed "not logged in: nobody in $session" "./start.sh login"
        return
    fi
    mode=$(stat -c %a "$session")
    case $mode in
    *00) ok "session, yours alone" ;;
    *) failed "the session can be read by others (mode $mode): it is the account" "chmod 600 '$session'" ;;
    esac
}

check_model() {
    local model
    model=$(model_file) || true
    if [ -s "$model" ]; then
        ok "model $model"
    else
        failed "no model: $model" "./start.sh models pull"
    fi
}

# The daemon holds a flock(2) for as long as it runs. The kernel's list is read rather than the lock tried:
# a daemon that starts in that moment must not be refused.
check_daemon() {
    local lock=$data_dir/account.lock
    if [ -e "$lock" ] && grep -q "FLOCK.*:$(stat -c %i "$lock") " /proc/locks; then
        ok "daemon running"
    else
        failed "the daemon is not running" "./start.sh, or the log of your service: why did it end?"
    fi
}

check_redis() {
    local host port url
    url=$(env_value REDIS_URL '')
    host=$(env_value REDIS_HOST '')
    port=$(env_value REDIS_PORT 6379)
    case $url in
    redis://*)
        url=${url#redis://} && url=${url%%/*} && url=${url%%\?*} && url=${url##*@}
        host=$url
        if [[ $url =~ ^(.*):([0-9]+)$ ]]; then host=${BASH_REMATCH[1]} && port=${BASH_REMATCH[2]}; fi
        host=${host#[} && host=${host%]}
        ;;
    ?*)
        ok "queue in a Redis by its socket (not looked at from here)"
        return
        ;;
    esac
    if [ -z "$host" ]; then
        ok "queue in $data_dir, no Redis configured"
    elif timeout 5 bash -c "exec 3<>/dev/tcp/${host@Q}/${port@Q}" 2>/dev/null; then
        ok "Redis answers at $host:$port"
    else
        failed "no Redis at $host:$port" "start it, or correct REDIS_HOST / REDIS_URL; without both the queue is a file"
    fi
}

check_room() {
    local free folder=$data_dir
    [ -d "$folder" ] || folder=.
    free=$(df -Pm "$folder" | awk 'NR == 2 { print $4 }')
    if [ "${free:-0}" -lt 200 ]; then
        failed "only ${free:-0} MB free for $folder" "make room: with a full disk nothing is accepted into the queue"
    else
        ok "$free MB free for $folder"
    fi
    if [ -e "$data_dir" ] && [ ! -w "$data_dir" ]; then
        failed "$data_dir cannot be written" "chown -R '$(id -un)' '$data_dir'"
    fi
}

data_dir=$(env_value DATA_DIR ./data)
check_configuration
check_session
check_model
check_daemon
check_redis
check_room
[ $failures -eq 0 ]

#!/bin/sh
# docker-compose.yml's entrypoint. Docker's restart policies know no exit codes: a daemon that ends
# because it is not logged in (3) or wrongly configured (2) would be started for ever, each time to
# the same end. So this says what to do and waits; a new session starts the daemon again. Any other
# end is Docker's to restart. Commands other than `run` go straight to the program.
set -u

[ "${1:-run}" = run ] || exec stenogram "$@"

child=
stopping=
trap 'stopping=1; [ -z "$child" ] || kill -TERM "$child" 2>/dev/null' TERM INT
trap '[ -z "$child" ] || kill -HUP "$child" 2>/dev/null' HUP

# COMMAND...: runs it to its end, whatever signals come meanwhile; $status is its exit status.
attend() {
    "$@" &
    child=$!
    # It may have come too early for the trap to know the child.
    [ -z "$stopping" ] || kill -TERM "$child" 2>/dev/null
    while true; do
        wait "$child"
        status=$?
        kill -0 "$child" 2>/dev/null || break
    done
}

# A login replaces the file, so its inode or its time changes.
session() { stat -c '%i %Y %s' "${DATA_DIR:-/data}/account.session" 2>/dev/null; }

while [ -z "$stopping" ]; do
    attend stenogram run
    ended=$status
    before=$(session)
    [ -z "$stopping" ] || exit "$ended"
    case $ended in
    2) echo "Waiting. Mend .env as said above, then: docker-compose up -d" >&2 ;;
    3) echo "Waiting for a login. Beside docker-compose.yml type: docker-compose run --rm userbot login" >&2 ;;
    *) exit "$ended" ;;
    esac
    until [ -n "$stopping" ] || { [ "$ended" = 3 ] && [ "$(session)" != "$before" ]; }; do
        attend sleep 5
    done
done
exit 0

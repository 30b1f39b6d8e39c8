#!/bin/sh
# The entrypoint of the compose files' daemons. Docker's restart policies know no exit codes: a daemon that ends
# because it is not logged in (3) or wrongly configured (2) would be started for ever, each time to
# the same end. So this says what to do and waits; a new session, or a configuration that has changed, starts the
# daemon again. It also fetches the model where it is missing, however long that takes. Any other end is
# Docker's to restart. Commands other than `run`, `gateway` and `worker` go straight to the program.
set -u

role=${1:-run}
case $role in
run | gateway | worker) ;;
*) exec stenogram "$@" ;;
esac
# As in docker-compose run --rm userbot login.
service=${STENOGRAM_RUN_BY:-docker-compose userbot}
service=${service#docker-compose}
service=${service# }
service=${service:-userbot}

session=${DATA_DIR:-/data}/account.session
child=
stopping=
trap 'stopping=1; [ -z "$child" ] || kill -TERM "$child" 2>/dev/null' TERM INT
trap '[ -z "$child" ] || kill -HUP "$child" 2>/dev/null' HUP

say() { printf '%s\n' "$*" >&2; }

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
    child=
}

# A login, or `setup` with a new .env, replaces a file: its inode or its time changes.
settings() { stat -c '%i %Y %s' "$session" "${ENV_FILE:-.env}" 2>/dev/null; }

# SECONDS: waits so long, or until the settings have changed since $before.
pause() {
    left=$1
    until [ -n "$stopping" ] || [ "$left" -le 0 ] || [ "$(settings)" != "$before" ]; do
        attend sleep 5
        left=$((left - 5))
    done
}

# A login that was broken off leaves a session without a user.
logged_in() { [ -s "$session" ] && ! grep -Eq '"user": *null' "$session"; }

# Is the configured model one of the catalogue's, and not here, or not whole?
model_is_missing() { stenogram models list 2>/dev/null | grep -Eq '^[^ ]+ \* .* (-|wrong size) '; }

recognises_elsewhere() { stenogram models list 2>/dev/null | grep -q 'RECOGNISER names servers alone'; }

# Fetches it, trying again ever more rarely. Telegram keeps the messages meanwhile. Where servers alone recognise,
# it is only the model for voice activity, which is tried once.
fetch_model() {
    seconds=30
    if recognises_elsewhere; then attend stenogram models pull --missing; fi
    while [ -z "$stopping" ] && model_is_missing; do
        say "The model is not here yet: fetching it."
        attend stenogram models pull
        # The model for voice activity, which comes with it, is not needed.
        if [ -n "$stopping" ] || [ "$status" = 0 ] || ! model_is_missing; then return; fi
        before=$(settings)
        say "The model could not be fetched, see above; the next try is in $seconds s." \
            "If it never works: 'Model download fails' in TROUBLESHOOTING.md."
        pause "$seconds"
        seconds=$((seconds < 600 ? seconds * 2 : 600))
    done
}

while [ -z "$stopping" ]; do
    # Without a login the daemon says so at once, and 150 MB more or less are no help. A gateway needs no model, and
    # a worker no login.
    if [ "$role" = worker ] || { [ "$role" = run ] && logged_in; }; then fetch_model; fi
    [ -z "$stopping" ] || break
    attend stenogram "$role"
    ended=$status
    before=$(settings)
    [ -z "$stopping" ] || exit "$ended"
    case $ended in
    2) say "Waiting. Mend .env as said above, then: docker-compose up -d" ;;
    3) say "Waiting for a login. Beside the compose file type: docker-compose run --rm $service login" ;;
    *) exit "$ended" ;;
    esac
    while [ -z "$stopping" ] && [ "$(settings)" = "$before" ]; do pause 60; done
done
exit 0

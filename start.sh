#!/usr/bin/env bash
# The front door: from a fresh clone to the running daemon. `./start.sh --help` says the rest.
set -euo pipefail

called_from=$PWD
cd -- "$(dirname -- "${BASH_SOURCE[0]}")"
# shellcheck source=scripts/setup.sh
. scripts/setup.sh

target=${CARGO_TARGET_DIR:-target}/release
stenogram=$target/stenogram

usage() {
    cat <<'END'
stenogram: answers the voice messages of your Telegram account with their text.

  ./start.sh                 install what is missing, build, check the configuration, log in, fetch
                             the model, and run the daemon. Each step only where it is needed.
  ./start.sh demo            no account needed: the real daemon against a Telegram on this machine
  ./start.sh build           only install what is missing to build, and build
  ./start.sh login           log in (phone number, code, password)
  ./start.sh logout          log out and remove the session
  ./start.sh transcribe F..  recognise files
  ./start.sh models ...      list, pull or verify models
  ./start.sh queue ...       what is not finished; put back or drop
  ./start.sh doctor          what is wrong, and what to do
  ./start.sh config          what is configured, and where each value comes from

  --yes, -y                  before the command: install without asking
  --help, -h                 this text

Exit status: 0 ok, 1 failed, 2 wrong usage or configuration, 3 not logged in.
Any command with --help of its own says more, e.g. ./start.sh transcribe --help.
END
}

# build PROGRAM: cargo builds only what changed.
build() {
    local flags=()
    if [ -x "$target/$1" ]; then
        flags=(--quiet)
    else
        say "Building $1. The first time takes about six minutes on two cores."
    fi
    cargo build --release --locked "${flags[@]}" --package "$1" >&2 ||
        fail 1 "the build failed; cargo's lines above say why. The first one needs a network to fetch" \
            "the crates, and about 2 GB of memory."
}

# put_env NAME VALUE: sets it in the new .env, in place where the line is there. The values are digits and hex.
put_env() {
    if grep -Eq "^#?[[:space:]]*$1=" "$env_file.new"; then
        sed -i -E "s/^#?[[:space:]]*$1=.*/$1=$2/" "$env_file.new"
    else
        printf '%s=%s\n' "$1" "$2" >>"$env_file.new"
    fi
}

# ask PROMPT PATTERN HINT: reads a line until it matches.
ask() {
    local answer
    while true; do
        printf '%s' "$1" >&2
        read -r answer || return 1
        answer=${answer//[[:space:]]/}
        if [[ $answer =~ $2 ]]; then
            printf '%s' "$answer"
            return 0
        fi
        say "That is not it: $3."
    done
}

# ask, with the echo off before the prompt appears.
ask_secret() {
    local answer status=0
    stty -echo
    # Ctrl-C at the prompt must not leave the terminal mute.
    trap 'stty echo' EXIT
    answer=$(ask "$@") || status=1
    stty echo
    trap - EXIT
    say ""
    printf '%s' "$answer"
    return $status
}

# API_ID and API_HASH, without which nothing goes: asked for at a terminal, else named.
ensure_credentials() {
    local name value missing=()
    for name in API_ID API_HASH; do
        if [ -z "$(env_value "$name" '')" ] && [ -z "$(env_value "${name}_FILE" '')" ]; then missing+=("$name"); fi
    done
    if [ ${#missing[@]} -eq 0 ]; then return 0; fi

    if ! on_terminal; then
        for name in "${missing[@]}"; do say "missing: $name"; done
        fail 2 "set the above in $env_file (copy .env.example) or in the environment. Both values come" \
            "from https://my.telegram.org, 'API development tools'. './start.sh' at a terminal asks for them."
    fi
    cat >&2 <<'END'

Telegram wants every program to name itself by an API_ID and an API_HASH. They are free and yours:
  1. open https://my.telegram.org and log in with your phone number
     (the code arrives in Telegram itself, not by SMS),
  2. choose "API development tools",
  3. fill in any title and short name, platform "Other", and create the application,
  4. copy "App api_id" and "App api_hash" here. They stay in .env on this machine.

END
    (
        umask 077
        if [ -f "$env_file" ]; then cat "$env_file"; else cat .env.example; fi >"$env_file.new"
        trap 'rm -f "$env_file.new"' EXIT
        for name in "${missing[@]}"; do
            case $name in
            API_ID) value=$(ask "API_ID: " '^[1-9][0-9]{0,9}$' "a number such as 1234567") ;;
            API_HASH) value=$(ask_secret "API_HASH (not shown): " '^[0-9a-fA-F]{32}$' "32 digits and letters a to f") ;;
            esac
            [ -n "$value" ] || exit 1
            put_env "$name" "$value"
        done
        mv "$env_file.new" "$env_file"
    ) || fail 2 "nothing written: no ${missing[*]} given"
    say "Written to $env_file, readable by you only. Every other setting is explained there."
}

run() {
    local model
    ensure_credentials
    ensure_build_tools
    build stenogram
    # It names every mistake itself, on stderr, and ends with 2.
    "$stenogram" config >/dev/null || exit $?
    if ! logged_in; then
        if ! on_terminal; then
            fail 3 "not logged in. Run './start.sh login' at a terminal once, then start this again."
        fi
        say "Not logged in yet."
        "$stenogram" login || exit $?
    fi
    if model=$(model_file) && [ ! -s "$model" ]; then
        # It also fetches the model for voice activity, which the daemon can do without.
        "$stenogram" models pull || [ -s "$model" ] || fail 1 "no model, no recognition. 'Model download fails' in TROUBLESHOOTING.md" \
            "has the ways around: a mirror in MODEL_URL, or the file copied by hand."
    fi
    exec "$stenogram" run
}

demo() {
    ensure_build_tools
    build stenogram
    build fake-telegram
    exec "$target/fake-telegram" demo --daemon "$stenogram" \
        --model tests/fixtures/micro/ggml-micro-q8_0.bin
}

# pass_through COMMAND ARGUMENT...: the program's own command, after a build. File names were meant
# from where the caller stands.
pass_through() {
    local argument arguments=()
    for argument in "$@"; do
        case $argument in
        /* | -*) ;;
        *) if [ "$1" = transcribe ] && [ -f "$called_from/$argument" ]; then argument=$called_from/$argument; fi ;;
        esac
        arguments+=("$argument")
    done
    ensure_build_tools
    build stenogram
    exec "$stenogram" "${arguments[@]}"
}

main() {
    trap 'say ""; say "Stopped. ./start.sh goes on where this ended."; exit 130' INT
    # Without it recognition is ten times slower on a busy machine: OpenMP's threads would spin
    # at every barrier, waiting for one that has no core. Read once, before the process starts.
    export OMP_WAIT_POLICY=passive
    while true; do
        case ${1:-run} in
        -y | --yes) ASSUME_YES=1 && shift ;;
        -h | --help | help) usage && exit 0 ;;
        run)
            if [ $# -gt 1 ]; then fail 2 "'run' takes nothing more, and here is '$2'. See ./start.sh --help."; fi
            run
            ;;
        build)
            ensure_build_tools
            build stenogram
            exit 0
            ;;
        demo) demo ;;
        login | logout | models | queue | transcribe | doctor | config) pass_through "$@" ;;
        *) fail 2 "unknown command '$1'. See ./start.sh --help." ;;
        esac
    done
}

main "$@"

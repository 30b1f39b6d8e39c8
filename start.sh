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
  ./start.sh docker          the same with docker-compose.yml: the daemon and a Redis in containers
  ./start.sh service [..]    the same as a service of systemd, which starts with the machine; what follows
                             goes to deploy/install.sh
  ./start.sh demo            no account needed: the real daemon against a Telegram on this machine
  ./start.sh build           only install what is missing to build, and build
  ./start.sh login           log in (phone number, code, password)
  ./start.sh logout          log out and remove the session
  ./start.sh transcribe F..  recognise files
  ./start.sh serve           recognise for other programs and machines
  ./start.sh gateway         answer, and have workers on other machines recognise
  ./start.sh worker          recognise for gateways
  ./start.sh models ...      list, pull or verify models; recommend one for this machine
  ./start.sh queue ...       what is not finished; put back or drop
  ./start.sh rules [..]      which messages are answered; why one is or is not
  ./start.sh transcripts     the texts that are kept
  ./start.sh bench ...       measure the models on this machine, or with --eval on your own recordings
  ./start.sh health          ask the running daemon whether it works
  ./start.sh doctor          what is wrong, and what to do
  ./start.sh explain [..]    why a problem arises, and what to do: a code, words, or a line of the log
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
  4. copy "App api_id" and "App api_hash" here. They stay on this machine.

END
    (
        umask 077
        trap 'rm -f "$env_file.new"' EXIT
        # With the owner of the one that is there.
        if [ -f "$env_file" ]; then cp -p "$env_file" "$env_file.new"; else cat .env.example >"$env_file.new"; fi
        chmod 600 "$env_file.new"
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
        needs_terminal_for_login "./start.sh login"
        "$stenogram" login || exit $?
    fi
    if model=$(model_file) && [ ! -s "$model" ]; then
        # Without MODEL it chooses one for this machine the first time. It also fetches the model for voice activity,
        # which the daemon can do without.
        "$stenogram" models pull || [ -s "$model" ] || fail 1 "no model, no recognition. 'Model download fails' in TROUBLESHOOTING.md" \
            "has the ways around: a mirror in MODEL_URL, or the file copied by hand."
    elif ! recognises_locally; then
        # The model for voice activity, which keeps silence from the servers. The daemon can do without.
        "$stenogram" models pull --missing || true
    fi
    exec "$stenogram" run
}

# Nobody is asked for a code without a terminal: says what to type there, and ends.
needs_terminal_for_login() {
    on_terminal || fail 3 "not logged in. Run '$1' at a terminal once, then start this again."
    say "Not logged in yet."
}

in_docker() {
    local compose said
    if have docker-compose; then
        compose=(docker-compose)
    elif have docker && docker compose version >/dev/null 2>&1; then
        compose=(docker compose)
    else
        fail 1 "there is neither docker-compose nor 'docker compose': apt-get install docker.io docker-compose"
    fi
    docker info >/dev/null 2>&1 ||
        fail 1 "no Docker engine answers. Is it started (sudo systemctl start docker), and may you use it (sudo $0 docker)?"
    ensure_credentials
    say "Building the image. The first time takes about ten minutes on two cores."
    "${compose[@]}" build userbot >&2 || fail 1 "the image could not be built; the lines above say why."
    # It says so rather than failing: docker-compose 1.29 prints the bare status of a command that fails.
    # shellcheck disable=SC2016 # for the shell in the container
    said=$("${compose[@]}" run --rm -T --no-deps --entrypoint sh userbot -c \
        'if test -s "$DATA_DIR/account.session" && ! grep -Eq "\"user\": *null" "$DATA_DIR/account.session"; then echo logged in; fi') ||
        fail 1 "the image does not run; the lines above say why."
    if [[ $said != *"logged in"* ]]; then
        needs_terminal_for_login "${compose[*]} run --rm userbot login"
        "${compose[@]}" run --rm userbot login || exit $?
    fi
    "${compose[@]}" up -d >&2 || fail 1 "the containers could not be started; the lines above say why."
    say "stenogram is started, and fetches its model first where that is missing." \
        "What it does: ${compose[*]} logs -f userbot. Whether it is well: ./health_check.sh"
}

in_systemd() {
    if [ "$(id -u)" != 0 ]; then
        can_be_root || fail 1 "a service is root's to install: sudo ./start.sh service"
        as_root ./start.sh service "$@" || exit $?
        return
    fi
    # It says what is next, which is done here.
    deploy/install.sh "$@" || exit $?
    # A worker and the accounts of a fleet are the owner's to start, as the installer has said.
    if [ ! -e /etc/systemd/system/stenogram.service ]; then return 0; fi
    env_file=/etc/stenogram/stenogram.env
    ensure_credentials
    if ! DATA_DIR=/var/lib/stenogram/data logged_in; then
        needs_terminal_for_login "sudo stenogramctl login"
        stenogramctl login || exit $?
    fi
    say "Starting the service. The first start fetches the model: journalctl -fu stenogram shows how far it is."
    systemctl enable --now stenogram || fail 1 "the service does not start: journalctl -u stenogram -n 50 says why."
    say "stenogram runs, and starts with the machine. Whether it is well: ./health_check.sh"
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
        *)
            case $1 in
            transcribe | bench) if [ -f "$called_from/$argument" ]; then argument=$called_from/$argument; fi ;;
            esac
            ;;
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
    # So that it says `./start.sh login` where it would else say `stenogram login`.
    export STENOGRAM_RUN_BY=start.sh
    while true; do
        case ${1:-run} in
        -y | --yes) ASSUME_YES=1 && shift ;;
        -h | --help | help) usage && exit 0 ;;
        run | docker)
            if [ $# -gt 1 ]; then fail 2 "'$1' takes nothing more, and here is '$2'. See ./start.sh --help."; fi
            if [ "${1:-run}" = docker ]; then in_docker; else run; fi
            exit 0
            ;;
        build)
            ensure_build_tools
            build stenogram
            exit 0
            ;;
        demo) demo ;;
        service)
            shift
            in_systemd "$@"
            exit 0
            ;;
        login | logout | gateway | worker | models | queue | rules | transcripts | transcribe | serve | bench | health | doctor | explain | config) pass_through "$@" ;;
        *) fail 2 "unknown command '$1'. See ./start.sh --help." ;;
        esac
    done
}

main "$@"

# shellcheck shell=bash
# What the scripts share: talking, asking, reading settings, installing. Sourced from the project's
# own folder, never run. Everything said goes to stderr: stdout belongs to the program's answers.

# Set to 1 by --yes: install without asking.
ASSUME_YES=${ASSUME_YES:-0}

say() { printf '%s\n' "$*" >&2; }
warn() { printf 'warning: %s\n' "$*" >&2; }
# fail STATUS MESSAGE...: says it and ends the script.
fail() {
    local status=$1
    shift
    printf 'error: %s\n' "$*" >&2
    exit "$status"
}
have() { command -v "$1" >/dev/null 2>&1; }
on_terminal() { [ -t 0 ] && [ -t 2 ]; }

# Yes unless a person at a terminal says no.
agreed() {
    local answer
    if [ "$ASSUME_YES" = 1 ] || ! on_terminal; then return 0; fi
    printf '%s [Y/n] ' "$1" >&2
    read -r answer || return 1
    case $answer in '' | y | Y | yes | Yes | YES) return 0 ;; *) return 1 ;; esac
}

env_file=${ENV_FILE:-.env}

# env_value NAME DEFAULT: what is configured, for the few settings that a script has to know. The program
# itself checks them all.
env_value() {
    local value=${!1:-}
    if [ -z "$value" ] && [ -f "$env_file" ]; then
        value=$(sed -n -E "s/^[[:space:]]*(export[[:space:]]+)?$1[[:space:]]*=[[:space:]]*//p" "$env_file" | head -n 1)
        case $value in
        \'*) value=${value#\'} && value=${value%%\'*} ;;
        \"*) value=${value#\"} && value=${value%%\"*} ;;
        *) value=$(sed -E 's/(^|[[:space:]]+)#.*//; s/[[:space:]]+$//' <<<"$value") ;;
        esac
    fi
    printf '%s' "${value:-$2}"
}

# Does RECOGNISER name this machine, or servers alone?
recognises_locally() {
    local recogniser
    recogniser=$(env_value RECOGNISER local)
    case ,${recogniser//[[:space:]]/}, in *,local,*) return 0 ;; *) return 1 ;; esac
}

# The file of the configured model; fails where the owner named a file, which nobody can fetch, and where RECOGNISER
# names servers alone. Without MODEL it is the model that `stenogram models pull` chose for this machine, or else base.
model_file() {
    local model folder
    recognises_locally || return 1
    folder=$(env_value MODEL_DIR ./models)
    model=$(env_value MODEL '')
    if [ -z "$model" ]; then model=$(cat "$folder/chosen-model" 2>/dev/null || echo base); fi
    case $model in
    */* | *.bin) printf '%s' "$model" && return 1 ;;
    *) printf '%s/ggml-%s.bin' "$folder" "$model" ;;
    esac
}

# Is somebody logged in? A login that was broken off leaves a session without a user.
logged_in() {
    local session
    session=$(env_value DATA_DIR ./data)/account.session
    [ -s "$session" ] && ! grep -Eq '"user": *null' "$session"
}

# as_root COMMAND...: runs it as root, through sudo where needed.
as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif on_terminal; then
        sudo "$@"
    else
        # Without a terminal sudo could only wait for a password that never comes.
        sudo -n "$@"
    fi
}

can_be_root() {
    if [ "$(id -u)" = 0 ]; then return 0; fi
    have sudo || return 1
    on_terminal || sudo -n true 2>/dev/null
}

# The oldest Rust that builds this, from Cargo.toml.
wanted_rust() { sed -n 's/^rust-version *= *"\([0-9.]*\)".*/\1/p' Cargo.toml; }

# Succeeds when version $1 is at least version $2.
at_least() { [ "$(printf '%s\n%s\n' "$2" "$1" | sort -V | head -n 1)" = "$2" ]; }

# "1.95.0", or nothing.
cargo_version() { cargo --version 2>/dev/null | sed -n 's/^cargo \([0-9][0-9.]*\).*/\1/p'; }

# rustup's cargo goes before the distribution's, which is too old; a fresh one is not in PATH yet.
cargo_bin=${CARGO_HOME:-${HOME:-/root}/.cargo}/bin
if [ -x "$cargo_bin/cargo" ]; then PATH="$cargo_bin:$PATH"; fi

rust_is_there() {
    local found
    found=$(cargo_version)
    [ -n "$found" ] && at_least "$found" "$(wanted_rust)"
}

# Debian packages for what is missing to build, one a line.
missing_build_packages() {
    if ! have gcc || ! have g++ || ! have make; then echo build-essential; fi
    # whisper.cpp and libopus are built by cmake.
    have cmake || echo cmake
    if ! rust_is_there && ! have rustup && ! have curl; then echo curl; fi
    [ -e /etc/ssl/certs/ca-certificates.crt ] || [ -d /etc/pki/tls ] || echo ca-certificates
}

# Debian packages for what is missing to test, one a line.
missing_test_packages() {
    have redis-server || echo redis-server
    have espeak-ng || echo espeak-ng
    have ffmpeg || echo ffmpeg
    have python3 || echo python3
    # Clocks that differ, in tests/chaos.
    have faketime || echo faketime
}

# install_packages WHY PACKAGE...: says what and why, asks, installs with apt. Ends the script with
# status 1 and the command to type where that is impossible.
install_packages() {
    local why=$1
    shift
    if [ $# -eq 0 ]; then return 0; fi
    say "Missing $why: $*"
    if ! have apt-get; then
        fail 1 "this script installs with apt only. Install what these Debian packages hold ($*)" \
            "with your system's own package manager, then run it again."
    fi
    if ! can_be_root; then
        fail 1 "installing needs root, and neither root nor a usable sudo is here. Let root run" \
            "'apt-get install $*', then run this again."
    fi
    agreed "Install them now with apt?" || fail 1 "not installed: $*"
    say "Installing: $*"
    # A lock held by another apt (unattended-upgrades on a fresh machine) is waited for. policy-rc.d
    # is Debian's way to keep a package from starting its service; a redis-server of the
    # system is not wanted by tests that start their own.
    # shellcheck disable=SC2016 # expanded by the inner shell
    if ! as_root sh -c '
        export DEBIAN_FRONTEND=noninteractive
        policy=/usr/sbin/policy-rc.d
        apt="apt-get -q -y -o DPkg::Lock::Timeout=300 -o Acquire::Retries=2"
        tries=1
        until $apt update; do
            [ $tries -lt 3 ] || { echo "apt-get update failed; trying with the lists that are here" >&2; break; }
            tries=$((tries + 1)); sleep 5
        done
        if [ ! -e $policy ]; then
            trap "rm -f $policy" EXIT
            trap "exit 130" HUP INT TERM
            printf "#!/bin/sh\nexit 101\n" >$policy && chmod 755 $policy
        fi
        $apt install --no-install-recommends "$@"
    ' sh "$@" >&2; then
        fail 1 "apt could not install: $*. Its own lines above say why: no network, another apt at" \
            "work, a full disk. Mend that and run this again, or 'apt-get install $*' by hand."
    fi
    case " $* " in
    *" redis-server "*)
        # It came by us and for the tests, so it is not to start with the machine either.
        if have systemctl; then as_root systemctl disable redis-server >/dev/null 2>&1 || true; fi
        ;;
    esac
}

# Puts a cargo that is new enough into PATH, by rustup where there is none.
ensure_rust() {
    local wanted installer
    if rust_is_there; then return 0; fi
    wanted=$(wanted_rust)
    say "Missing to build: Rust $wanted or newer (here: $(cargo_version | grep . || echo none))." \
        "It comes from https://rustup.rs into ${cargo_bin%/bin}."
    agreed "Install it now?" || fail 1 "not installed: Rust $wanted or newer"
    if have rustup; then
        rustup toolchain install stable --profile minimal --no-self-update >&2 ||
            fail 1 "rustup could not fetch Rust. Is https://static.rust-lang.org reachable from here?"
        export RUSTUP_TOOLCHAIN=stable
    else
        installer=$(mktemp)
        if ! curl --proto '=https' --tlsv1.2 -fsSL --retry 3 --connect-timeout 20 \
            https://sh.rustup.rs -o "$installer"; then
            rm -f "$installer"
            fail 1 "https://sh.rustup.rs cannot be reached from here. Install Rust $wanted or newer" \
                "yourself (https://rust-lang.org/tools/install), then run this again."
        fi
        if ! RUSTUP_INIT_SKIP_PATH_CHECK=yes sh "$installer" -y --profile minimal >&2; then
            rm -f "$installer"
            fail 1 "rustup could not install Rust; its own lines above say why."
        fi
        rm -f "$installer"
        PATH="$cargo_bin:$PATH"
    fi
    hash -r
    rust_is_there || fail 1 "Rust $wanted or newer is needed and cargo still says '$(cargo_version)'."
}

# Everything that building needs.
ensure_build_tools() {
    local packages
    mapfile -t packages < <(missing_build_packages)
    install_packages "to build" "${packages[@]}"
    ensure_rust
}

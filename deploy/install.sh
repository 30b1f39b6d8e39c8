#!/usr/bin/env bash
# Installs stenogram as a systemd service, upgrades it, takes it away again. `deploy/install.sh --help` says the rest.
set -euo pipefail

called_from=$PWD
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/setup.sh
. scripts/setup.sh

# What is where, below $root.
bin=/usr/local/bin
unit=/etc/systemd/system/stenogram.service
drop_ins=$unit.d
drop_in=$drop_ins/without-namespaces.conf
configuration=/etc/stenogram/stenogram.env
state=/var/lib/stenogram
logs=/var/log/stenogram
licences=/usr/local/share/doc/stenogram/THIRD-PARTY.txt

usage() {
    cat <<'END'
stenogram as a systemd service.

  sudo deploy/install.sh [--binary FILE] [--without-namespaces | --with-namespaces]
      Installs, or upgrades: configuration, state and what `systemctl edit` made stay, and the service is
      restarted only if it was running. Without --binary it builds what is here, as start.sh does.
  sudo deploy/install.sh uninstall [--purge]
      Stops the service and removes it. Configuration, session, queue and models stay, for a later install;
      with --purge they go too, and the user.

  --binary FILE          this program instead of a build
  --without-namespaces   with the drop-in for containers that refuse namespaces (243/CREDENTIALS, 226/NAMESPACE):
                         LXC without nesting. An upgrade keeps it; --with-namespaces removes it.
  --root DIR             below DIR, as for a package: no user is made, systemd is not asked
  --help, -h             this text

Installed are
  /usr/local/bin/stenogram                    the program
  /usr/local/bin/stenogramctl                 any of its commands as the service: sudo stenogramctl doctor
  /etc/systemd/system/stenogram.service       the unit
  /etc/stenogram/stenogram.env                the configuration; it is root's, and root alone may read it
                                              (without namespaces, the service too)
  /var/lib/stenogram, /var/log/stenogram      session, queue, models; log files, if LOG_DIR wants them
  /usr/local/share/doc/stenogram              the licences of the software in the program, from beside FILE
                                              or from the build
and the user stenogram.

Exit status: 0 done, 1 failed, 2 wrong usage.
END
}

# run_systemctl ARGUMENT...: nothing below --root, where the service is not this machine's.
run_systemctl() { [ -n "$root" ] || systemctl "$@"; }

# put MODE FROM TO: in one step, also over a program that runs.
put() {
    mkdir -p "$root${3%/*}"
    install -m "$1" "$2" "$root$3.new"
    mv -f "$root$3.new" "$root$3"
}

check_surroundings() {
    [ -z "$root" ] || return 0
    [ "$(id -u)" = 0 ] || fail 1 "this needs root: sudo deploy/install.sh ${given[*]}"
    [ -d /run/systemd/system ] ||
        fail 1 "systemd does not run here. ./start.sh runs stenogram without it, docker-compose up -d in containers."
}

# Sets $binary: the one given, or one built now by whoever called sudo, whose Rust and whose files these are. And
# $licences_file, a list of the licences of what is in it, if there is one.
find_binary() {
    local builder=()
    licences_file=${binary%/*}/THIRD-PARTY.txt
    if [ -n "$binary" ]; then
        if [ ! -f "$binary" ] || [ ! -x "$binary" ]; then fail 1 "--binary $binary: that is no program."; fi
    else
        if [ -n "${SUDO_USER:-}" ] && [ "$SUDO_USER" != root ] && [ "$(id -u)" = 0 ]; then
            builder=(sudo -u "$SUDO_USER" -H)
        fi
        "${builder[@]}" ./start.sh --yes build || fail 1 "nothing was installed: there is no program to install."
        binary=${CARGO_TARGET_DIR:-target}/release/stenogram
        licences_file=${binary%/*}/THIRD-PARTY.txt
        # shellcheck disable=SC2016
        "${builder[@]}" bash -c 'PATH=$PATH:$HOME/.cargo/bin scripts/third-party.sh >"$1"' - "$licences_file" ||
            warn "the licences of the software in the program could not be collected"
    fi
    "$binary" --version >/dev/null ||
        fail 1 "$binary does not run on this machine, the line above says why; nothing was installed." \
            "A program that was built elsewhere needs libgomp1 and libstdc++6, and a glibc not older than there."
}

make_user() {
    if [ -n "$root" ] || getent passwd stenogram >/dev/null; then return 0; fi
    useradd --system --user-group --home-dir "$state" --no-create-home --shell /usr/sbin/nologin \
        --comment "stenogram" stenogram || fail 1 "the user stenogram could not be made; useradd's line above says why."
}

# Does this machine give a service the namespaces that the unit asks for?
namespaces_are_refused() {
    local status=0
    if [ -n "$root" ]; then return 1; fi
    systemd-run --quiet --collect --wait --pipe --property=ProtectSystem=strict --property=ProtectHome=yes \
        --property=PrivateTmp=yes --property=PrivateDevices=yes --property=PrivateUsers=yes \
        --property=ProtectProc=invisible --property=ProtectKernelTunables=yes \
        --property=LoadCredential=probe:/etc/passwd true >/dev/null 2>&1 || status=$?
    [ $status = 226 ] || [ $status = 243 ]
}

install_all() {
    local kind=installed was_active=0 next=()
    check_surroundings
    find_binary
    make_user
    if [ -e "$root$unit" ]; then kind=upgraded; fi
    if [ -z "$root" ] && systemctl is-active --quiet stenogram; then was_active=1; fi
    put 0755 "$binary" $bin/stenogram
    # A build with the feature transcribe-cpp has a second program, which is looked for beside the first.
    if [ -x "${binary%/*}/stenogram-transcribe-cpp" ]; then
        put 0755 "${binary%/*}/stenogram-transcribe-cpp" $bin/stenogram-transcribe-cpp
    fi
    put 0755 deploy/stenogramctl $bin/stenogramctl
    put 0644 deploy/stenogram.service "$unit"
    if [ -s "$licences_file" ]; then put 0644 "$licences_file" $licences; fi
    # A drop-in that is there belongs to this machine, and is brought up to date.
    if [ "$namespaces" = no ] || { [ -z "$namespaces" ] && [ -e "$root$drop_in" ]; }; then
        put 0644 deploy/without-namespaces.conf "$drop_in"
    elif [ "$namespaces" = yes ]; then
        rm -f "$root$drop_in"
    fi
    if [ ! -e "$root$configuration" ]; then put 0600 .env.example "$configuration"; fi
    chmod 0600 "$root$configuration"
    # Without namespaces the service cannot be handed a copy, and reads the file itself.
    if [ -z "$root" ]; then
        if [ -e $drop_in ]; then
            chown root:stenogram $configuration
            chmod 0640 $configuration
        else
            chown root:root $configuration
        fi
    fi
    if [ ! -e "$root$drop_in" ] && namespaces_are_refused; then
        warn "this container refuses namespaces, so the service would end with 243/CREDENTIALS or 226/NAMESPACE. On the Proxmox host:" \
            "pct set ID --features nesting=1,keyctl=1, and restart the container; or, with less protection:" \
            "sudo deploy/install.sh --binary $bin/stenogram --without-namespaces"
    fi
    run_systemctl daemon-reload
    # Only what runs: not what was stopped on purpose.
    run_systemctl try-restart stenogram.service ||
        fail 1 "stenogram is $kind and does not start. journalctl -u stenogram -n 50 says why."

    say "stenogram is $kind: $("$binary" --version)."
    if [ -n "$root" ]; then return 0; fi
    env_file=$configuration
    if [ -z "$(env_value API_ID '')$(env_value API_ID_FILE '')" ]; then
        next+=("sudoedit $configuration             fill in API_ID and API_HASH; the file says from where")
    fi
    if ! DATA_DIR=$state/data logged_in; then
        next+=("sudo stenogramctl login                           with phone, code and password")
    fi
    if [ $was_active = 0 ]; then
        next+=("sudo systemctl enable --now stenogram             the first start fetches the model; to see how far it is,"
            "                                                  sudo stenogramctl models pull before")
    fi
    if [ ${#next[@]} -gt 0 ]; then
        say "Next:"
        printf '  %s\n' "${next[@]}" >&2
    fi
}

uninstall() {
    check_surroundings
    if [ -z "$root" ] && [ -e $unit ]; then systemctl disable --now --quiet stenogram.service; fi
    rm -f "$root$unit" "$root$drop_in" "$root$bin/stenogram" "$root$bin/stenogram-transcribe-cpp" "$root$bin/stenogramctl" "$root$licences"
    if [ -d "$root${licences%/*}" ]; then rmdir --ignore-fail-on-non-empty "$root${licences%/*}"; fi
    if [ "$purge" = 1 ]; then
        rm -rf "$root$drop_ins" "$root${configuration%/*}" "$root$state" "$root$logs"
        if [ -z "$root" ] && getent passwd stenogram >/dev/null; then userdel stenogram; fi
    elif [ -d "$root$drop_ins" ]; then
        rmdir --ignore-fail-on-non-empty "$root$drop_ins"
    fi
    run_systemctl daemon-reload
    run_systemctl reset-failed stenogram.service 2>/dev/null || true
    if [ "$purge" = 1 ]; then
        say "stenogram is removed, with its configuration, session, queue, models and logs."
        say "Telegram still lists the session: Settings -> Devices ends it."
    else
        say "stenogram is removed. Left: $root${configuration%/*}, $root$state, $root$logs and the user stenogram."
        say "The session in $root$state/data is worth your account: 'sudo deploy/install.sh uninstall --purge' removes it all."
    fi
}

root=''
binary=''
namespaces=''
purge=0
command=install
given=("$@")
while [ $# -gt 0 ]; do
    case $1 in
    install | uninstall) command=$1 ;;
    --binary | --root)
        if [ $# -lt 2 ] || [ -z "$2" ]; then fail 2 "$1 wants a path. See deploy/install.sh --help."; fi
        # Meant from where the caller stands.
        case $2 in /*) path=$2 ;; *) path=$called_from/$2 ;; esac
        if [ "$1" = --binary ]; then binary=$path; else root=${path%/}; fi
        shift
        ;;
    --without-namespaces) namespaces=no ;;
    --with-namespaces) namespaces=yes ;;
    --purge) purge=1 ;;
    -h | --help) usage && exit 0 ;;
    *) fail 2 "unknown argument '$1'. See deploy/install.sh --help." ;;
    esac
    shift
done
if [ "$command" = uninstall ] && [ -n "$binary$namespaces" ]; then fail 2 "uninstall takes only --purge and --root."; fi
if [ "$command" = install ] && [ $purge = 1 ]; then fail 2 "--purge belongs to uninstall."; fi
if [ "$command" = install ]; then install_all; else uninstall; fi

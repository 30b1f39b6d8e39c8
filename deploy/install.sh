#!/usr/bin/env bash
# Installs stenogram as a systemd service, upgrades it, takes it away again. `deploy/install.sh --help` says the rest.
set -euo pipefail

called_from=$PWD
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/setup.sh
. scripts/setup.sh

# What is where, below $root.
bin=/usr/local/bin
units=/etc/systemd/system
settings=/etc/stenogram
state=/var/lib/stenogram
logs=/var/log/stenogram
licences=/usr/local/share/doc/stenogram/THIRD-PARTY.txt

usage() {
    cat <<'END'
stenogram as a systemd service.

  sudo deploy/install.sh [--worker] [--account NAME] [--binary FILE] [--without-namespaces | --with-namespaces]
      Installs, or upgrades: configuration, state and what `systemctl edit` made stay, and services are
      restarted only if they were running. Without --binary it builds what is here, as start.sh does.
  sudo deploy/install.sh uninstall [--purge]
      Stops the services and removes them. Configuration, sessions, queue and models stay, for a later install;
      with --purge they go too, and the user.

  --worker               the service stenogram-worker, which recognises for gateways
  --account NAME         the service stenogram@NAME: a gateway with an account of its own. It may be given several times.
                         Without these two, what is installed is upgraded; where nothing is, it is the service
                         stenogram, which does everything.
  --binary FILE          this program instead of a build
  --without-namespaces   with the drop-in for containers that refuse namespaces (243/CREDENTIALS, 226/NAMESPACE):
                         LXC without nesting. An upgrade keeps it; --with-namespaces removes it.
  --root DIR             below DIR, as for a package: no user is made, systemd is not asked
  --help, -h             this text

Installed are
  /usr/local/bin/stenogram                    the program
  /usr/local/bin/stenogramctl                 any of its commands as the service: sudo stenogramctl doctor
  /etc/systemd/system                         stenogram.service, stenogram-worker.service, stenogram@.service
  /etc/stenogram                              their configuration: stenogram.env, worker.env, accounts/NAME.env; it is
                                              root's, and root alone may read it (without namespaces, the service too)
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

# The unit's file of a service: those of all accounts have one.
unit_of() { case $1 in stenogram@*) echo $units/stenogram@.service ;; *) echo "$units/$1.service" ;; esac; }
drop_in_of() { echo "$(unit_of "$1").d/without-namespaces.conf"; }
configuration_of() {
    case $1 in
    stenogram@*) echo "$settings/accounts/${1#stenogram@}.env" ;;
    stenogram-worker) echo $settings/worker.env ;;
    *) echo $settings/stenogram.env ;;
    esac
}

# The services that are installed, one a line.
installed_services() {
    local service file account
    for service in stenogram stenogram-worker; do
        if [ -e "$root$(unit_of $service)" ]; then echo $service; fi
    done
    if [ ! -e "$root$units/stenogram@.service" ]; then return 0; fi
    for file in "$root$settings"/accounts/*.env; do
        account=${file##*/}
        if [ -e "$file" ]; then echo "stenogram@${account%.env}"; fi
    done
}

# install_service NAME: its unit, its drop-in and its configuration.
install_service() {
    local drop_in configuration named unit
    unit=$(unit_of "$1")
    drop_in=$(drop_in_of "$1")
    configuration=$(configuration_of "$1")
    # As the drop-in names it, which all accounts share.
    case $1 in stenogram@*) named=$settings/accounts/%i.env ;; *) named=$configuration ;; esac
    put 0644 "deploy/${unit##*/}" "$unit"
    # A drop-in that is there belongs to this machine, and is brought up to date.
    if [ "$namespaces" = no ] || { [ -z "$namespaces" ] && [ -e "$root$drop_in" ]; }; then
        put 0644 deploy/without-namespaces.conf "$drop_in"
        sed -i "s|^Environment=ENV_FILE=.*|Environment=ENV_FILE=$named|" "$root$drop_in"
    elif [ "$namespaces" = yes ]; then
        rm -f "$root$drop_in"
    fi
    if [ ! -e "$root$configuration" ]; then put 0600 .env.example "$configuration"; fi
    chmod 0600 "$root$configuration"
    # Without namespaces the service cannot be handed a copy, and reads the file itself.
    if [ -z "$root" ]; then
        if [ -e "$drop_in" ]; then
            chown root:stenogram "$configuration"
            chmod 0640 "$configuration"
        else
            chown root:root "$configuration"
        fi
    fi
}

# next_steps SERVICE: what is to be typed until it runs, one a line. Its configuration is what the owner has typed.
next_steps() {
    local configuration ctl=stenogramctl data=$state/data
    configuration=$(configuration_of "$1")
    # For env_value and logged_in.
    # shellcheck disable=SC2034
    env_file=$configuration
    case $1 in
    stenogram@*) ctl="stenogramctl --account ${1#stenogram@}" data=$state/accounts/${1#stenogram@} ;;
    esac
    if [ "$1" != stenogram ] && [ -z "$(env_value REDIS_URL '')$(env_value REDIS_URL_FILE '')$(env_value REDIS_HOST '')" ]; then
        printf '%-49s %s\n' "sudoedit $configuration" "fill in REDIS_URL, the Redis that gateways and workers share"
    fi
    if [ "$1" != stenogram-worker ]; then
        if [ -z "$(env_value API_ID '')$(env_value API_ID_FILE '')" ]; then
            printf '%-49s %s\n' "sudoedit $configuration" "fill in API_ID and API_HASH; the file says from where"
        fi
        if ! DATA_DIR=$data logged_in; then
            printf '%-49s %s\n' "sudo $ctl login" "with phone, code and password"
        fi
    fi
    if systemctl is-active --quiet "$1"; then return 0; fi
    case $1 in
    stenogram@*) echo "sudo systemctl enable --now $1" ;;
    stenogram-worker) printf '%-49s %s\n' "sudo systemctl enable --now $1" "the first start fetches the model" ;;
    *)
        printf '%-49s %s\n' "sudo systemctl enable --now stenogram" "the first start fetches the model; to see how far it is," \
            "" "sudo stenogramctl models pull before"
        ;;
    esac
}

install_all() {
    local kind=installed service refused=0 next=''
    check_surroundings
    find_binary
    make_user
    if [ -n "$(installed_services)" ]; then kind=upgraded; fi
    put 0755 "$binary" $bin/stenogram
    # A build with the feature transcribe-cpp has a second program, which is looked for beside the first.
    if [ -x "${binary%/*}/stenogram-transcribe-cpp" ]; then
        put 0755 "${binary%/*}/stenogram-transcribe-cpp" $bin/stenogram-transcribe-cpp
    fi
    put 0755 deploy/stenogramctl $bin/stenogramctl
    if [ -s "$licences_file" ]; then put 0644 "$licences_file" $licences; fi
    # All share the program, so all are brought up to date.
    mapfile -t services < <({ printf '%s\n' "${services[@]}" && installed_services; } | sed '/^$/d' | sort -u)
    if [ ${#services[@]} = 0 ]; then services=(stenogram); fi
    for service in "${services[@]}"; do
        install_service "$service"
        if [ ! -e "$root$(drop_in_of "$service")" ]; then refused=1; fi
    done
    if [ $refused = 1 ] && namespaces_are_refused; then
        warn "this container refuses namespaces, so the service would end with 243/CREDENTIALS or 226/NAMESPACE. On the Proxmox host:" \
            "pct set ID --features nesting=1,keyctl=1, and restart the container; or, with less protection:" \
            "sudo deploy/install.sh --binary $bin/stenogram --without-namespaces"
    fi
    run_systemctl daemon-reload
    # Only what runs: not what was stopped on purpose.
    for service in "${services[@]}"; do
        run_systemctl try-restart "$service.service" ||
            fail 1 "$service is $kind and does not start. journalctl -u $service -n 50 says why."
    done

    say "stenogram is $kind: $("$binary" --version)."
    if [ -n "$root" ]; then return 0; fi
    next=$(for service in "${services[@]}"; do next_steps "$service"; done)
    if [ -n "$next" ]; then
        say "Next:"
        printf '  %s\n' "${next//$'\n'/$'\n  '}" >&2
    fi
}

uninstall() {
    local service unit drop_in
    check_surroundings
    mapfile -t services < <(installed_services)
    if [ -z "$root" ] && [ ${#services[@]} -gt 0 ]; then
        systemctl disable --now --quiet "${services[@]/%/.service}"
    fi
    for service in stenogram stenogram-worker stenogram@; do
        unit=$(unit_of $service) drop_in=$(drop_in_of $service)
        rm -f "$root$unit" "$root$drop_in"
        if [ "$purge" = 1 ]; then
            rm -rf "$root$unit.d"
        elif [ -d "$root$unit.d" ]; then
            rmdir --ignore-fail-on-non-empty "$root$unit.d"
        fi
    done
    rm -f "$root$bin"/stenogram{,-transcribe-cpp,ctl} "$root$licences"
    if [ -d "$root${licences%/*}" ]; then rmdir --ignore-fail-on-non-empty "$root${licences%/*}"; fi
    if [ "$purge" = 1 ]; then
        rm -rf "$root$settings" "$root$state" "$root$logs"
        if [ -z "$root" ] && getent passwd stenogram >/dev/null; then userdel stenogram; fi
    fi
    run_systemctl daemon-reload
    run_systemctl reset-failed "${services[@]/%/.service}" 2>/dev/null || true
    if [ "$purge" = 1 ]; then
        say "stenogram is removed, with its configuration, session, queue, models and logs."
        say "Telegram still lists the session: Settings -> Devices ends it."
    else
        say "stenogram is removed. Left: $root$settings, $root$state, $root$logs and the user stenogram."
        say "A session in $root$state is worth its account: 'sudo deploy/install.sh uninstall --purge' removes it all."
    fi
}

root=''
binary=''
namespaces=''
purge=0
services=()
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
    --worker) services+=(stenogram-worker) ;;
    --account)
        # What can be part of a file's name and of a unit's.
        [[ ${2:-} =~ ^[A-Za-z0-9_]+$ ]] || fail 2 "--account wants a name of letters, digits and underscores."
        services+=("stenogram@$2")
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
if [ "$command" = uninstall ] && [ -n "$binary$namespaces${services[*]}" ]; then fail 2 "uninstall takes only --purge and --root."; fi
if [ "$command" = install ] && [ $purge = 1 ]; then fail 2 "--purge belongs to uninstall."; fi
if [ "$command" = install ]; then install_all; else uninstall; fi

#!/usr/bin/env bash
# Says what is well and what is not, each with its remedy: `stenogram doctor`, and what only the host knows.
# Changes nothing. Exit status: 0 all well (warnings included), 1 something failed.
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
# WHAT FINDING
ok() { printf 'ok    %-14s  %s\n' "$1" "$2"; }
# WHAT FINDING REMEDY
doubtful() { printf 'warn  %-14s  %s\n      %-14s  -> %s\n' "$1" "$2" '' "$3"; }
failed() {
    printf 'FAIL  %-14s  %s\n      %-14s  -> %s\n' "$1" "$2" '' "$3"
    failures=$((failures + 1))
}

# Docker's compose, as either of its names; fails where there is none.
compose() {
    if have docker-compose; then
        timeout 60 docker-compose "$@"
    elif have docker && docker compose version >/dev/null 2>&1; then
        timeout 60 docker compose "$@"
    else
        return 127
    fi
}

# The containers that docker-compose.yml has made here, running or not, by service.
container_of() { compose ps -a -q "$1" 2>/dev/null | head -n 1; }

check_containers() {
    local service container state health
    for service in userbot redis; do
        container=$(container_of "$service")
        if [ -z "$container" ]; then
            failed "$service" "has no container" "docker-compose up -d"
            continue
        fi
        state=$(docker inspect -f '{{.State.Status}}' "$container" 2>/dev/null)
        health=$(docker inspect -f '{{if .State.Health}}{{.State.Health.Status}}{{end}}' "$container" 2>/dev/null)
        if [ "$(docker inspect -f '{{.State.OOMKilled}}' "$container" 2>/dev/null)" = true ]; then
            failed "$service" "was killed for want of memory" \
                "raise USERBOT_MEMORY in .env (2g unless set), then docker-compose up -d; or take a smaller model"
        elif [ "$state" != running ]; then
            failed "$service" "its container is ${state:-not to be seen}" "docker-compose up -d; docker-compose logs $service"
        elif [ "$health" = unhealthy ]; then
            failed "$service" "is running and unhealthy" "docker-compose logs $service"
        else
            ok "$service" "container running${health:+, $health}"
        fi
    done
}

# The doctor where the daemon lives: in its container, or here. It says itself what it finds.
run_doctor() {
    local doctor said
    if [ "$in_docker" = 1 ]; then
        doctor=(compose exec -T userbot stenogram doctor)
    elif [ "$in_systemd" = 1 ] && have stenogramctl; then
        # As the service's user, with its configuration.
        doctor=(as_root stenogramctl doctor)
    elif [ -x "$built" ]; then
        doctor=(env STENOGRAM_RUN_BY=start.sh "$built" doctor)
    elif have stenogram; then
        doctor=(stenogram doctor)
    else
        failed program "is not built ($built)" "./start.sh"
        return
    fi
    said=$("${doctor[@]}" 2>&1)
    case $? in
    0) ;;
    1) failures=$((failures + 1)) ;;
    *) failed doctor "could not be asked" "the lines below say why; is the daemon's container running?" ;;
    esac
    printf '%s\n' "$said"
    # The doctor may be called before the first start; here a daemon is expected.
    if grep -q '^warn  daemon .* is not running' <<<"$said"; then failures=$((failures + 1)); fi
}

check_service() {
    local state
    state=$(systemctl is-active stenogram 2>/dev/null)
    if [ "$state" = active ]; then
        ok service "stenogram.service is active"
    else
        failed service "stenogram.service is ${state:-not to be seen}" \
            "systemctl start stenogram; journalctl -u stenogram -n 50 says why it ended"
    fi
}

# An LXC container says what it is to its first process, which only root can read; systemd notes it too.
in_lxc() {
    [ "$(cat /run/systemd/container 2>/dev/null)" = lxc ] || { tr '\0' '\n' </proc/1/environ | grep -qx 'container=lxc'; } 2>/dev/null
}

check_lxc() {
    in_lxc || return 0
    # nesting=1 has LXC mount a second /proc and /sys, for containers within.
    if [ -d /dev/.lxc/proc ]; then
        ok LXC "nesting is on"
    else
        doubtful LXC "nesting seems to be off: Docker and hardened systemd units need it" \
            "on the Proxmox host: pct set ID --features nesting=1,keyctl=1, then restart the container"
    fi
    if [ "$(awk 'NR == 1 { print $2 }' /proc/self/uid_map)" = 0 ]; then
        doubtful LXC "the container is privileged: its root is the host's" "make an unprivileged one"
    fi
}

check_host() {
    local free memory root
    memory=$(awk '/^MemTotal:/ { print int($2 / 1024) }' /proc/meminfo)
    if [ "${memory:-0}" -lt 1900 ]; then
        doubtful memory "${memory:-0} MiB in all" "2 GB carry tiny and base, 4 GB small; README has the sizes"
    else
        ok memory "$memory MiB in all"
    fi
    if [ "$in_docker" = 1 ]; then
        root=$(docker info -f '{{.DockerRootDir}}' 2>/dev/null)
        free=$(df -Pm "${root:-/var/lib/docker}" 2>/dev/null | awk 'NR == 2 { print $4 }')
        if [ -z "$free" ]; then
            doubtful "Docker's disk" "cannot be looked at" "df ${root:-/var/lib/docker}, as root"
        elif [ "$free" -lt 500 ]; then
            failed "Docker's disk" "only $free MB free" "docker system prune, or make room: queue, session and models are there"
        else
            ok "Docker's disk" "$free MB free"
        fi
    fi
}

check_clock() {
    local synchronised=''
    if have timedatectl; then synchronised=$(timedatectl show -p NTPSynchronized --value 2>/dev/null); fi
    if [ "$synchronised" != yes ] && have chronyc && chronyc -n tracking 2>/dev/null | grep -q 'Leap status *: Normal'; then
        synchronised=yes
    fi
    case $synchronised in
    yes) ok "host's clock" "is kept right by NTP" ;;
    no) doubtful "host's clock" "is not kept right by anything" \
        "timedatectl set-ntp true; in a container it is the host's, so do it there" ;;
    *) ;; # nobody here knows; the doctor has compared it with Telegram's
    esac
}

built=${CARGO_TARGET_DIR:-target}/release/stenogram
in_docker=0
in_systemd=0
if [ -n "$(container_of userbot)" ]; then
    in_docker=1
elif have systemctl && systemctl cat stenogram.service >/dev/null 2>&1; then
    in_systemd=1
fi
run_doctor
if [ "$in_docker" = 1 ]; then check_containers; fi
if [ "$in_systemd" = 1 ]; then check_service; fi
check_lxc
check_host
check_clock
[ $failures -eq 0 ]

#!/usr/bin/env bash
# The systemd home, tried for real: a container in which systemd is PID 1, deploy/install.sh, the unit, stenogramctl, and the
# loopback Telegram. One line for each check, the total at the end. Needs root, a Docker engine, and programs that are built:
#
#   cargo build --package stenogram --package fake-telegram && tests/systemd/run.sh
#
# --keep leaves the containers for a look inside: docker exec -it stenogram-systemd bash
#
# The container has CAP_SYS_ADMIN and a cgroup v2 of its own; its kernel is the host's. Not covered by that: other
# distributions than Debian 12, a reboot, AppArmor or SELinux, and a real LXC, which a filter of system calls stands for.
# shellcheck disable=SC2016 # what stands in single quotes is for the shell in the container
set -euo pipefail

cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.."
# shellcheck source=scripts/setup.sh
. scripts/setup.sh
# shellcheck source=tests/docker/bases.sh
. tests/docker/bases.sh

keep=0
case ${1:-} in
'') ;;
--keep) keep=1 ;;
-h | --help) sed -n '2,10s/^# \{0,1\}//p' "$0" && exit 0 ;;
*) fail 2 "tests/systemd/run.sh takes --keep, and here is '$1'." ;;
esac

skip() {
    printf 'SKIPPED: tests/systemd: %s\n' "$*"
    exit 0
}

image='stenogram-test-systemd'
base='debian:bookworm-slim'
machine='stenogram-systemd'
without='stenogram-systemd-refused'
telegram=127.0.0.1:4432
hash=0123456789abcdef0123456789abcdef
program=''
scratch=$(mktemp -d)
# For bases.sh.
# shellcheck disable=SC2034
work=$scratch made_bases=()

clean_up() {
    rm -rf "$scratch"
    if [ $keep = 0 ]; then docker rm -f $machine $without >/dev/null 2>&1 || true; fi
}
trap clean_up EXIT

# --- What it needs ---

# The newest build of a program.
newest() {
    local target=${CARGO_TARGET_DIR:-target} found=''
    for file in "$target/debug/$1" "$target/release/$1"; do
        if [ -x "$file" ] && { [ -z "$found" ] || [ "$file" -nt "$found" ]; }; then found=$file; fi
    done
    [ -n "$found" ] || fail 1 "no $1 is built: cargo build --package $1"
    realpath "$found"
}

ensure_image() {
    # It is that of tests/docker too: one that is made has to be labelled as made.
    if ! docker image inspect $base >/dev/null 2>&1 && ! have debootstrap && ! docker pull --quiet $base >/dev/null 2>&1; then
        (install_packages "to make the image, for no registry can be reached" debootstrap) || skip "no registry and no debootstrap"
    fi
    (ensure_base $base "$suite" make_debian) || skip "the base image can neither be pulled nor made"
    docker build --quiet --tag $image - >"$scratch/log" 2>&1 <<END || { tail -n 5 "$scratch/log" && skip "the image cannot be built"; }
FROM $base
RUN apt-get update && apt-get install -y --no-install-recommends \
    busybox ca-certificates dbus libgomp1 libstdc++6 procps sudo systemd systemd-sysv && rm -rf /var/lib/apt/lists/*
END
}

# What a container needs to be a machine. Without SYS_RESOURCE, which this machine may be denied itself; nothing here
# needs it.
rights=(--cap-add ALL --cap-drop SYS_RESOURCE --security-opt seccomp=unconfined --security-opt apparmor=unconfined
    --cgroupns private)

# boot NAME INIT: a container in which INIT becomes systemd. It gets a cgroup v2 of its own, and mounts that propagate, as
# systemd expects them of a machine.
boot() {
    docker rm -f "$1" >/dev/null 2>&1 || true
    docker run --detach --name "$1" --hostname "$1" --add-host mirror.test:127.0.0.1 "${rights[@]}" \
        --env container=docker --stop-signal SIGRTMIN+3 --tmpfs /run --tmpfs /run/lock --tmpfs /tmp \
        --volume "$PWD:/src:ro" --volume "$stenogram:/programs/stenogram:ro" \
        --volume "$fake_telegram:/programs/fake-telegram:ro" $image \
        sh -c "umount -R /sys/fs/cgroup; mount -t cgroup2 cgroup2 /sys/fs/cgroup && mount --make-rshared / && exec $2" >/dev/null
    program=$1
    eventually 60 is_up
}

is_up() { [[ $(inside systemctl is-system-running 2>/dev/null) =~ ^(running|degraded)$ ]]; }

# --- Looking ---

checks=0
failures=0
# check WHAT COMMAND...
check() {
    local what=$1
    shift
    checks=$((checks + 1))
    if "$@"; then
        printf 'ok    %s\n' "$what"
    else
        printf 'FAIL  %s\n' "$what"
        failures=$((failures + 1))
    fi
}

# inside COMMAND...: in the machine that was booted last.
inside() { docker exec "$program" "$@"; }
# The same through a shell there.
shell() { docker exec "$program" bash -c "$1" shell "${@:2}"; }

# eventually SECONDS COMMAND...: until it succeeds.
eventually() {
    local end=$((SECONDS + $1))
    shift
    until "$@"; do
        if [ $SECONDS -ge $end ]; then return 1; fi
        sleep 0.1 # between two looks
    done
}

property() { inside systemctl show stenogram --property "$1" --value; }
is() { [ "$(property "$1")" = "$2" ]; }
pid() { property MainPID; }
# Everything that the service has said. In a variable, as grep -q leaves a pipe half read.
journal() { inside journalctl --unit stenogram --output cat --no-pager; }
said() {
    local lines
    lines=$(journal)
    [[ $lines == *"$1"* ]]
}
not_said() { ! said "$1"; }
# says WHAT COMMAND...: its output, of either kind, holds WHAT; its status is left in $status.
says() {
    local output
    status=0
    output=$("${@:2}" 2>&1) || status=$?
    if [[ $output != *"$1"* ]]; then printf '%s\n' "$output" && return 1; fi
}
# ends STATUS COMMAND...: it ends so.
ends() {
    local output status=0
    output=$("${@:2}" 2>&1) || status=$?
    if [ $status != "$1" ]; then printf 'exit status %s:\n%s\n' $status "$output" && return 1; fi
}
ends_and_says() { says "${@:2}" && { [ "$status" = "$1" ] || { echo "exit status $status" && false; }; }; }

# --- Telegram ---

# start_telegram FLAG...: with a session file for the daemon, and its commands at $telegram.
start_telegram() {
    inside systemd-run --quiet --unit=telegram --working-directory=/src /programs/fake-telegram serve \
        --control $telegram --session /run/owner.session "$@"
    eventually 20 shell 'test -s /run/owner.session'
    eventually 20 tell '{"do":"calls"}' >/dev/null
}

# tell JSON: does it and prints the answer.
tell() {
    shell 'exec 3<>"/dev/tcp/${1/://}" || exit 1; printf "%s\n" "$2" >&3
        IFS= read -r -t 100 line <&3; printf "%s\n" "$line"; [[ $line == *\"ok\":true* ]]' $telegram "$1" 2>/dev/null
}

# voice CHAT NAME: sends a recording; its number.
voice() {
    local answer
    answer=$(tell "{\"do\":\"voice\",\"chat\":$1,\"file\":\"tests/fixtures/voices/$2.ogg\",\"seconds\":3}")
    sed -n 's/.*"message":\([0-9]*\).*/\1/p' <<<"$answer"
}
# What is said in a recording.
text_of() { awk -F '\t' -v file="$1.ogg" '$1 == file { print $4 }' tests/fixtures/voices/voices.tsv; }

# answered CHAT MESSAGE NAME: it is, in time, with the right text.
answered() {
    local answer
    answer=$(tell "{\"do\":\"wait_for_reply\",\"chat\":$1,\"message\":$2,\"seconds\":90}") || return 1
    [[ $answer == *"\"text\":\"$(text_of "$3")\""* ]] || { printf '%s\n' "$answer" && false; }
}

# flood N: sends so many recordings at once, to two chats in turn.
flood() {
    local n lines='' answers answer
    for n in $(seq "$1"); do
        lines+="{\"do\":\"voice\",\"chat\":$((2000 + n % 2)),\"file\":\"tests/fixtures/voices/en-$((n % 3 + 1)).ogg\",\"seconds\":3}"$'\n'
    done
    mapfile -t answers < <(printf '%s' "$lines" | docker exec -i "$program" bash -c 'exec 3<>"/dev/tcp/${1/://}"
        while IFS= read -r line; do
            printf "%s\n" "$line" >&3
            IFS= read -r -t 100 answer <&3 && printf "%s\n" "$answer"
        done' shell $telegram)
    for n in $(seq "$1"); do
        answer=$(sed -n 's/.*"message":\([0-9]*\).*/\1/p' <<<"${answers[n - 1]}")
        sent+=("$((2000 + n % 2)):$answer:en-$((n % 3 + 1))")
    done
}
# is_made_busy N: with so many recordings, or more where the daemon is done with them before anybody has looked.
is_made_busy() {
    local times
    sent=()
    for times in 1 3 9; do
        flood $((times * $1))
        if eventually 5 is_recognising; then return 0; fi
    done
    return 1
}
# Everything sent by `flood` is answered, and nothing is answered twice.
all_answered_once() {
    local one chat message name posts
    for one in "${sent[@]}"; do
        IFS=: read -r chat message name <<<"$one"
        answered "$chat" "$message" "$name" || return 1
    done
    for one in "${sent[@]}"; do
        IFS=: read -r chat message name <<<"$one"
        posts=$(tell "{\"do\":\"posts\",\"chat\":$chat}")
        [ "$(grep -o "\"reply_to\":$message," <<<"$posts" | wc -l)" = 1 ] || { echo "$one was answered twice" && return 1; }
    done
}
# Connected, with or without something to do.
is_connected() { [[ $(property StatusText) =~ ^(Connected|Working|Fetching|Decoding|Recognising|Sending) ]]; }
is_idle() { is StatusText "Connected, waiting for voice messages"; }
is_recognising() { [[ $(property StatusText) =~ ^(Recognising|Working) ]]; }

# --- The service ---

start() { inside systemctl start stenogram && eventually 60 is_connected; }
goes_on() { start && all_answered_once; }
goes_on_after_restore() { answered 2001 "$(voice 2001 ru-1)" ru-1 && all_answered_once; }
typed_and_says() { says "$2" typed "$1"; }
install_and_start() { inside "${install[@]}" >/dev/null 2>&1 && start; }

# configure NAME VALUE...
configure() {
    while [ $# -gt 0 ]; do
        shell 'sed -i -E "s|^#?$1=.*|$1=$2|" /etc/stenogram/stenogram.env' "$1" "$2"
        shift 2
    done
}

# Not running, and not about to be started again.
is_left_alone() { is ActiveState failed && is NRestarts 0; }
ended_with() { is ExecMainStatus "$1" && is_left_alone; }

# restarted_from PID: the service runs as another process, and is connected.
restarted_from() {
    local now
    now=$(pid)
    [ "$now" != 0 ] && [ "$now" != "$1" ] && is_connected
}

# The session that the loopback Telegram wrote, with somebody logged in or not.
lay_session() {
    shell 'sed -E "$1" /run/owner.session >/run/session
        install -D -o stenogram -g stenogram -m 0600 /run/session /var/lib/stenogram/data/account.session' "$1"
}

# The test model and the one for voice activity.
lay_models() {
    shell 'install -d -o stenogram -g stenogram -m 0700 /var/lib/stenogram /var/lib/stenogram/models
        install -o stenogram -g stenogram -m 0600 /src/tests/fixtures/micro/ggml-micro-q8_0.bin "$1" /var/lib/stenogram/models' \
        /src/tests/fixtures/vad/ggml-silero-v5.1.2.bin
}

# log_in: phone and code typed at a terminal, once each is asked for. What the terminal has shown is in $shown.
log_in() {
    local status=0
    shown=''
    coproc terminal { docker exec -i "$program" script -qefc 'stenogramctl login' /dev/null; }
    # shellcheck disable=SC2154 # set by coproc
    local process=$terminal_PID
    # Copies: bash closes its own as soon as the process has ended, whatever is still to be read.
    exec {screen}<&"${terminal[0]}" {keyboard}>&"${terminal[1]}"
    wait_for 'Phone number with country code' && printf '+4915100000000\r' >&"$keyboard"
    wait_for 'Code (not shown): ' && eventually 30 has_no_echo && printf '12345\r' >&"$keyboard"
    wait_for 'Logged in as user 1000' || status=1
    wait_for 'systemctl enable --now stenogram' || status=1
    exec {screen}<&- {keyboard}>&-
    wait "$process" || status=$?
    return $status
}
# The prompt comes before the echo is off.
has_no_echo() { shell 'stty --file "/dev/$(ps -C stenogram -o tty= | tail -n 1)" --all | grep -q -e "-echo "'; }
is_not_shown() { [[ ${shown##*(not shown)} != *$1* ]] || { printf '%s\n' "$shown" && false; }; }
wait_for() {
    local char
    while [[ $shown != *"$1"* ]]; do
        IFS= read -r -N 1 -t 30 char <&"$screen" || { printf 'no "%s" in: %s\n' "$1" "$shown" && return 1; }
        shown+=$char
    done
}

# Of the process itself, from the kernel's side.
is_confined() {
    local status
    status=$(inside cat "/proc/$(pid)/status")
    for line in 'Seccomp:	2' 'NoNewPrivs:	1' 'CapBnd:	0000000000000000' 'CapEff:	0000000000000000'; do
        [[ $status == *"$line"* ]] || { printf '%s is missing in\n%s\n' "$line" "$status" && return 1; }
    done
    [ "$(inside stat -c %U "/proc/$(pid)")" = stenogram ]
}
# Seen through its own mounts even root can neither write to the system nor look into homes.
sees_little() {
    shell 'in_there() { nsenter --target "$1" --mount -- "${@:2}"; }
        ! in_there "$1" touch /usr/local/x 2>/dev/null && ! in_there "$1" ls /root/private 2>/dev/null &&
        [ "$(in_there "$1" ls /tmp | wc -l)" = 0 ] && in_there "$1" touch /var/lib/stenogram/data' "$(pid)"
}
# The hash stands in the configuration, and nowhere else.
is_nowhere_else() {
    local everything
    everything=$(inside journalctl --no-pager --output export; inside systemctl show stenogram
        inside systemctl cat stenogram; inside cat "/proc/$(pid)/environ" "/proc/$(pid)/cmdline" | tr '\0' '\n')
    [[ $everything == *stenogram* && $everything != *$1* ]]
}

stop_in_time() {
    local begin took
    begin=$(date +%s%N)
    inside systemctl stop stenogram
    took=$((($(date +%s%N) - begin) / 1000000))
    printf '      stopped after %s ms\n' $took
    [ $took -le 8000 ] && is Result success
}

# documented SECTION: the commands of docs/OPERATING.md for this home, as one types them in the folder of the clone. Archives
# go where they may be written.
documented() {
    awk -v section="$1" '/^##/ { within = $0 == section } within && $0 == "systemd:" { here = 1; next }
        here && /^```sh/ { inside = 1; next } inside && /^```/ { exit } inside { print }' docs/OPERATING.md |
        sed -E 's#([<>] *)stenogram-data#\1/root/stenogram-data#'
}
typed() {
    local commands
    commands=$(documented "$1")
    [ -n "$commands" ] && shell "set -e; cd /src; $commands"
}

# --- The checks ---

if ! have docker || ! docker info >/dev/null 2>&1; then skip "no Docker engine answers here"; fi
if [ "$(id -u)" != 0 ]; then skip "it needs root"; fi
stenogram=$(newest stenogram)
fake_telegram=$(newest fake-telegram)
ensure_image
docker run --rm "${rights[@]}" $image sh -c 'umount -R /sys/fs/cgroup; mount -t cgroup2 cgroup2 /sys/fs/cgroup' 2>"$scratch/log" ||
    { cat "$scratch/log" && skip "the engine does not let a container mount what systemd needs"; }
install=(/src/deploy/install.sh --binary /programs/stenogram)

installed_service() {
    check "systemd is PID 1 of a container" boot $machine /sbin/init
    is_up || return 0

    check "the installer names what is next" says 'sudo systemctl enable --now stenogram' inside "${install[@]}"
    check "root alone can read the configuration" says '600 root' inside stat -c '%a %U' /etc/stenogram/stenogram.env
    check "installing again changes nothing" says 'stenogram is upgraded' inside "${install[@]}"
    check "a user who is not root is told to use sudo" ends_and_says 1 'sudo stenogramctl doctor' \
        docker exec --user nobody "$program" stenogramctl doctor

    check "without configuration it does not start" ends 1 inside systemctl start stenogram
    check "... ends with 2, and is not restarted" ended_with 2
    check "... and says what is missing, and where" said 'Mend /etc/stenogram/stenogram.env'

    configure API_ID 12345 API_HASH $hash MODEL tiny MODEL_URL http://mirror.test:8080 RECONNECT_DELAY 1
    shell 'mkdir -p /srv/mirror && cp /src/tests/fixtures/vad/ggml-silero-v5.1.2.bin /srv/mirror'
    inside systemd-run --quiet --unit=mirror busybox httpd -f -p 127.0.0.1:8080 -h /srv/mirror
    check "not logged in it does not start" ends 1 inside systemctl start stenogram
    check "... ends with 3, and is not restarted" ended_with 3
    check "... and says how to log in" said 'Log in: sudo stenogramctl login'
    check "... in the daemon's own words too" said 'run `sudo stenogramctl login` at a terminal'
    check "... and has not fetched the model for nothing" not_said ggml-tiny.bin

    start_telegram --logged-out
    lay_session 's/"user":\{[^}]*\}/"user":null/'
    check "the doctor names the login as it is typed here" says 'run `sudo stenogramctl login` at a terminal' \
        inside stenogramctl doctor
    check "... and has asked Telegram about API_ID and API_HASH" says 'accepts API_ID and API_HASH' inside stenogramctl doctor
    check "stenogramctl login asks at the terminal and logs in" log_in
    check "... the code is not shown" is_not_shown 12345
    check "... the session is the service's alone" says '600 stenogram' \
        inside stat -c '%a %U' /var/lib/stenogram/data/account.session
    check "stenogramctl models pull fetches through the sandbox, by name" says silero-v5.1.2 \
        inside stenogramctl models pull silero-v5.1.2
    inside systemctl start stenogram 2>/dev/null || true
    check "a start first tries to fetch the model that is not there" said 'http://mirror.test:8080/ggml-tiny.bin'
    check "without its model it says so and goes on trying" eventually 30 said 'ggml-tiny.bin cannot be read'
    check "... that is no end" eventually 30 is SubState auto-restart
    inside systemctl stop stenogram

    lay_models
    configure MODEL /var/lib/stenogram/models/ggml-micro-q8_0.bin
    check "systemctl start returns when it is ready" start
    check "... and the status says that it waits for voice messages" eventually 30 is_idle
    check "an English voice message is answered under the sandbox" answered 2000 "$(voice 2000 en-1)" en-1
    check "a Russian one too" answered 2001 "$(voice 2001 ru-1)" ru-1
    check "it has a filter of system calls and no capability" is_confined
    check "it sees the system read-only, no homes, and a /tmp of its own" sees_little
    check "the hash is in no log, environment, command line or unit" is_nowhere_else $hash

    check "stenogramctl health: ready" says ready inside stenogramctl health
    check "stenogramctl doctor finds nothing wrong" ends_and_says 0 'daemon          is running' inside stenogramctl doctor
    check "stenogramctl queue looks beside it" ends_and_says 0 'The queue is empty.' inside stenogramctl queue
    shell 'install -m 0600 /src/tests/fixtures/voices/en-2.ogg "/root/a voice.ogg"'
    check "stenogramctl transcribe reads what only root may" says "$(text_of en-2)" \
        inside stenogramctl transcribe --language en "/root/a voice.ogg"
    check "stenogramctl hands exit codes through" ends 2 inside stenogramctl queue retry nonsense
    check "health_check.sh asks the service" ends_and_says 0 'stenogram.service is active' inside /src/health_check.sh

    local before
    before=$(pid)
    check "the status says when it recognises" is_made_busy 12
    inside kill -KILL "$before"
    check "killed at work, it is started again" eventually 30 restarted_from "$before"
    check "... and all is answered, once" all_answered_once

    shell 'mkdir -p /etc/systemd/system/stenogram.service.d
        printf "[Service]\nWatchdogSec=4s\n" >/etc/systemd/system/stenogram.service.d/override.conf'
    check "an upgrade restarts it" says 'stenogram is upgraded' inside "${install[@]}"
    check "... and it is connected again" eventually 30 is_connected
    check "... and leaves the configuration and what systemctl edit made" shell \
        'grep -q ^API_ID=12345 /etc/stenogram/stenogram.env && systemctl show stenogram -p WatchdogUSec --value | grep -qx 4s'
    before=$(pid)
    inside kill -STOP "$before"
    check "stopped dead, the watchdog has it started again" eventually 60 restarted_from "$before"
    check "... as the journal says" said 'Watchdog timeout'
    check "... and it answers" answered 2000 "$(voice 2000 en-3)" en-3

    check "busy" is_made_busy 24
    check "... it stops within 8 s" stop_in_time
    check "stenogramctl queue lists what is not finished" says ' waiting, 0 delayed, 0 dead' inside stenogramctl queue
    check "an upgrade of what is stopped starts nothing" says 'stenogram is upgraded' inside "${install[@]}"
    check "... it is still stopped" is ActiveState inactive
    check "./start.sh service enables and starts what has its configuration and its login" \
        ends_and_says 0 'stenogram runs, and starts with the machine' inside /src/start.sh service --binary /programs/stenogram
    check "... for the next boot too" says enabled inside systemctl is-enabled stenogram
    check "started again, it answers the rest, all once" goes_on

    check "the documented commands make a backup" typed "### Making one"
    check "... which its owner alone can read" says '600 root' inside stat -c '%a %U' /root/stenogram-data.tar.gz
    check "... of session, position, budgets and queue" says 'data/account.session data/budgets.redb data/queue.redb data/updates.redb' \
        shell 'tar -tzf /root/stenogram-data.tar.gz | grep -E "session|redb" | sort | xargs'
    check "... and the daemon is connected again" eventually 30 is_connected
    inside systemctl stop stenogram
    shell 'rm -r /var/lib/stenogram/data'
    check "with the data lost" ends 1 inside systemctl start stenogram
    check "... it is not logged in" ended_with 3
    check "the documented commands restore it" typed "### Restoring"
    check "... no login is needed" eventually 30 is_connected
    check "... the session is the service's alone" says '600 stenogram' \
        inside stat -c '%a %U' /var/lib/stenogram/data/account.session
    check "... and it answers, nothing twice" goes_on_after_restore

    tell '{"do":"revoke","reason":"session_revoked"}' >/dev/null
    tell '{"do":"cut"}' >/dev/null
    check "logged out by Telegram it ends with 3, and is not restarted" eventually 30 ended_with 3
    tell '{"do":"restore"}' >/dev/null

    check "uninstall says what is left" says '/var/lib/stenogram' inside /src/deploy/install.sh uninstall
    check "... unit and programs are gone, session and configuration are there" shell \
        '! systemctl cat stenogram >/dev/null 2>&1 && ! ls /usr/local/bin/stenogram* >/dev/null 2>&1 &&
         test -s /var/lib/stenogram/data/account.session && test -s /etc/stenogram/stenogram.env'
    check "installed anew it goes on with them" install_and_start
    check "... and answers" answered 2001 "$(voice 2001 ru-2)" ru-2
    check "the documented commands erase everything" typed_and_says "## Erasing everything" 'Logged out;'
    check "... leaves nothing" shell '! getent passwd stenogram && ! ls -d /etc/stenogram /var/lib/stenogram /var/log/stenogram \
         /etc/systemd/system/stenogram.service* /usr/local/bin/stenogram* 2>/dev/null && ! pgrep -x stenogram'
}

# What an LXC container without nesting does to a service, by a filter of system calls under all of systemd.
refused_namespaces() {
    check "systemd is PID 1 where mounting is refused" boot $without 'perl /src/tests/systemd/refuse-mounts.pl'
    is_up || return 0
    check "the installer sees that namespaces are refused" says 'refuses namespaces' inside "${install[@]}"
    configure API_ID 12345 API_HASH $hash MODEL /var/lib/stenogram/models/ggml-micro-q8_0.bin
    start_telegram
    lay_session ''
    lay_models
    check "the unit as it is does not start" ends 1 inside systemctl start stenogram
    check "... ends with 243/CREDENTIALS, and is not restarted" ended_with 243
    check "the installer lays the drop-in" says 'stenogram is upgraded' inside "${install[@]}" --without-namespaces
    check "the configuration stays root's, and the service can read it" says '640 root stenogram' \
        inside stat -c '%a %U %G' /etc/stenogram/stenogram.env
    check "with it the service starts" start
    check "... and answers" answered 2000 "$(voice 2000 en-1)" en-1
    check "... and still has a filter of system calls and no capability" is_confined
    check "stenogramctl works there too" ends_and_says 0 'daemon          is running' inside stenogramctl doctor
    check "an upgrade keeps the drop-in" says 'stenogram is upgraded' inside "${install[@]}"
    check "... and it runs" eventually 30 is_connected
}

installed_service
refused_namespaces

if [ $failures -gt 0 ]; then
    for program in $machine $without; do
        printf '\n== journal of %s\n' "$program"
        journal 2>/dev/null | tail -n 60 || true
    done
fi
printf '\n%d checks, %d failed\n' $checks $failures
[ $failures -eq 0 ]

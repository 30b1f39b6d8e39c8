#!/usr/bin/env bash
# Tries the Docker home for real: builds the image, brings docker-compose.yml up as its header says, with a Telegram of
# our own on its network, logs in, sends voice messages, kills, stops, and looks whether everything is as promised.
#
#   tests/docker/run.sh              every check prints a line; the last one is their total
#   tests/docker/run.sh --remove     removes the images afterwards too; else they stay, for the next run's sake
#
# COMPOSE="docker compose" takes that instead of docker-compose. Without an engine it says so and is content. Where no
# registry can be reached the base images are made, see bases.sh. Project, image, volumes and networks have names of
# their own; the session, the queue and the containers of an owner on the same machine are left alone.
set -euo pipefail

cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.."
# shellcheck source=scripts/setup.sh
. scripts/setup.sh
# shellcheck source=tests/docker/bases.sh
. tests/docker/bases.sh

remove=0
case ${1:-} in
'') ;;
--remove) remove=1 ;;
-h | --help) sed -n '2,/^set /s/^# \{0,1\}//p' "$0" && exit 0 ;;
*) fail 2 "run.sh takes --remove or nothing, and here is '$1'." ;;
esac

skip() {
    echo "SKIPPED: tests/docker: $*"
    exit 0
}

have docker || skip "docker is not installed"
timeout 120 docker info >/dev/null 2>&1 || skip "no Docker engine answers"
compose=${COMPOSE:-}
if [ -z "$compose" ]; then
    if have docker-compose; then
        compose=docker-compose
    elif docker compose version >/dev/null 2>&1; then
        compose="docker compose"
    else
        skip "there is neither docker-compose nor docker compose"
    fi
fi
have python3 || skip "python3 is not installed"

# Not in /tmp: an engine of another namespace may not see that, and images are large.
mkdir -p target
made_bases=() unpinned=0
work=$(mktemp -d -p "$PWD/target" docker.XXXXXX)
export COMPOSE_PROJECT_NAME=stenogramtest$$
clean_up() {
    local mine="label=com.docker.compose.project=$COMPOSE_PROJECT_NAME"
    {
        docker ps -aq --filter "$mine" | xargs -r docker rm -f -v
        docker volume ls -q --filter "$mine" | xargs -r docker volume rm -f
        docker network ls -q --filter "$mine" | xargs -r docker network rm
        if [ $remove = 1 ]; then docker image rm -f stenogram:test "${made_bases[@]}"; fi
    } >/dev/null 2>&1 || true
    rm -rf "$work"
}
trap clean_up EXIT
trap 'exit 130' INT TERM HUP

ensure_bases

# The Telegram for the network: the one that the tests have built, where it starts on the image's Debian; else built there.
fake_telegram() {
    local found
    for found in target/debug/fake-telegram target/release/fake-telegram; do
        if [ -x "$found" ] && [ -z "$(find tests/fake-telegram/src tests/fake-telegram/Cargo.toml -newer "$found")" ] &&
            docker run --rm --network none -v "$PWD/$found:/fake-telegram:ro" "$(base_of RUNTIME_IMAGE)" \
                /fake-telegram --version >/dev/null 2>&1; then
            cp "$found" "$work/fake-telegram"
            return
        fi
    done
    say "building fake-telegram"
    docker run --rm -v "$PWD:/src:ro" -v "$work:/out" -w /src -e CARGO_TARGET_DIR=/tmp/target "$(base_of BUILD_IMAGE)" \
        sh -c 'cargo build --quiet --locked --package fake-telegram && cp /tmp/target/debug/fake-telegram /out/'
}
fake_telegram

# What an owner has after `git clone`, with this working tree's changes.
mkdir "$work/clone"
git ls-files -z --cached --others --exclude-standard | while IFS= read -r -d '' file; do
    if [ -e "$file" ]; then printf '%s\0' "$file"; fi
done | tar --null -T - -c | tar -x -C "$work/clone"
# An image that was made here has not the digest of the real one.
if [ "$unpinned" = 1 ]; then
    sed -i 's/@sha256:[0-9a-f]\{64\}//' "$work/clone/Dockerfile" "$work/clone/docker-compose.yml"
fi

COMPOSE=$compose WORK=$work python3 tests/docker/checks.py

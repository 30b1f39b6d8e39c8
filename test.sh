#!/usr/bin/env bash
# Installs what the tests need and runs every one of them. Arguments go to cargo test:
#   ./test.sh queue::             the tests of one file, tests/queue.rs
#   ./test.sh policy              tests whose name contains "policy"
#   ./test.sh --test idle         a program of its own: aborts, audio_hostile, idle
# --yes (first) installs without asking.
set -euo pipefail

cd -- "$(dirname -- "${BASH_SOURCE[0]}")"
# shellcheck source=scripts/setup.sh
. scripts/setup.sh

case ${1:-} in -h | --help) sed -n '2,/^set /s/^# \{0,1\}//p' "$0" && exit 0 ;; esac
if [ "${1:-}" = --yes ] || [ "${1:-}" = -y ]; then ASSUME_YES=1 && shift; fi

say "This builds stenogram for tests and runs all of them against the real parts: a redis-server of
their own, ffmpeg, espeak-ng, faketime, whisper.cpp with a small model, Chromium, and a Telegram on this
machine. No account is needed, and a network only to fetch the crates and some Python packages. On two cores:
about 15 minutes the first time, about 5 after that."

mapfile -t packages < <(missing_build_packages; missing_test_packages)
install_packages "to build and test" "${packages[@]}"
ensure_rust
# Each of these is wanted by a check or two, which say aloud when they are skipped.
if ! python3 -c 'import ensurepip, venv' 2>/dev/null; then
    (install_packages "for the checks with Telethon and axe" python3-venv) || warn "going on without python3-venv"
fi
if ! have chromium && ! have chromium-browser && ! have google-chrome; then
    (install_packages "to look at the status page (122 MB to fetch)" chromium) || warn "going on without a browser"
fi
if ! have strace; then
    (install_packages "to see every connection of the program" strace) || warn "going on without strace"
fi
if [ "$(uname -m)" = x86_64 ] && ! have qemu-x86_64; then
    (install_packages "to run on an older CPU (12 MB to fetch)" qemu-user) || warn "going on without qemu-user"
fi

log=$(mktemp)
trap 'rm -f "$log"' EXIT
status=0
cargo test --workspace --locked --no-fail-fast "$@" 2>&1 | tee "$log" || status=$?

# A test program that dies prints no result of its own: cargo's status counts it. A test that leaves
# something out because this machine lacks it prints `SKIPPED: test: why` and passes, see
# tests/support/skipped.rs. It is counted once, as skipped. Such a line can follow unfinished output.
awk -v status=$status '
    { gsub(/\033\[[0-9;]*m/, "") }
    match($0, /SKIPPED: [^ ]+: /) { left_out[substr($0, RSTART + 9, RLENGTH - 11)] }
    /^test [^ ]+ \.\.\. FAILED/ { failures[$2] }
    /^test result: / {
        for (i = 2; i <= NF; i++) {
            if ($i == "passed;") passed += $(i - 1)
            if ($i == "failed;") failed += $(i - 1)
            if ($i == "ignored;") skipped += $(i - 1)
        }
        ran = 1
    }
    END {
        for (test in left_out) if (!(test in failures)) { passed--; skipped++ }
        if (!ran) print "\nNo test ran to its end."
        else if (status && !failed) { failed = 1; print "\nA test program ended without a result." }
        printf "\n%d passed, %d failed, %d skipped\n", passed, failed, skipped
    }' "$log"
exit $status

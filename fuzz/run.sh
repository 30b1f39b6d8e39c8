#!/usr/bin/env bash
# Looks for inputs that break a promise, with libFuzzer. Needs stable Rust, a C++ compiler, ffmpeg and
# espeak-ng, and nothing else.
#   fuzz/run.sh                       every target of tests/fuzz for a minute, one for each core at a time
#   fuzz/run.sh --seconds 3600 audio  one target for an hour
# What was learned stays in target/fuzz/corpus and is where the next run starts from. An input that fails is
# kept in target/fuzz/failures: copy it to tests/fuzz/regressions/TARGET, so that the tests try it from then
# on. Ends with 1 if an input failed.
set -euo pipefail

cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."

seconds=60
targets=()
while [ $# -gt 0 ]; do
    case $1 in
        -h | --help) sed -n '2,/^set /s/^# \{0,1\}//p' "$0" && exit 0 ;;
        --seconds) seconds=${2:?"--seconds wants a number"} && shift 2 ;;
        -*) printf 'fuzz/run.sh: no such option: %s\n' "$1" >&2 && exit 2 ;;
        *) targets+=("$1") && shift ;;
    esac
done
all=$(sed -n '/TARGETS/,/^]/s/^    ("\(.*\)", .*/\1/p' tests/fuzz/src/lib.rs)
[ ${#targets[@]} -gt 0 ] || mapfile -t targets <<<"$all"
for target in "${targets[@]}"; do
    grep -qx -- "$target" <<<"$all" || { printf 'fuzz/run.sh: no such target: %s\n' "$target" >&2 && exit 2; }
done

work=$PWD/target/fuzz
mkdir -p "$work/failures" "$work/logs"

# The crates that are fuzzed are those of the product; libFuzzer is added to them.
cp Cargo.lock fuzz/Cargo.lock

# Coverage, as cargo-fuzz asks for it. With --target, it is not asked of build scripts.
host=$(rustc -vV | sed -n 's/^host: //p')
coverage="-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table
    -Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1 --cfg fuzzing"
RUSTFLAGS=$(tr -s ' \n' '  ' <<<"$coverage") CARGO_TARGET_DIR=$work/build \
    cargo build --quiet --release --manifest-path fuzz/Cargo.toml --target "$host"
program=$work/build/$host/release/fuzz
(cd "$work" && FUZZ_SEEDS=$work/seeds "$program" -runs=1 >"$work/logs/seeds.log" 2>&1) ||
    { tail -n 5 "$work/logs/seeds.log" && exit 1; }

# fuzz TARGET: runs it for its time, from what is known.
fuzz() {
    local target=$1 log=$work/logs/$1.log
    mkdir -p "$work/corpus/$target"
    # Longer inputs are slower and find the same. A target's own limits are far below these of time (s) and
    # memory (MB).
    if FUZZ_TARGET=$target "$program" "$work/corpus/$target" "$work/seeds/$target" -max_total_time="$seconds" \
        -max_len=16384 -timeout=60 -rss_limit_mb=1500 -print_final_stats=1 \
        -artifact_prefix="$work/failures/$target-" >"$log" 2>&1; then
        awk -v target="$target" '
            / cov: / { for (i = 1; i < NF; i++) if ($i == "cov:") covered = $(i + 1) }
            /number_of_executed_units/ { runs = $2 }
            END { printf "ok    %-14s %9d executions, %6d places of the code reached\n", target, runs, covered }
        ' "$log"
    else
        printf 'FAIL  %s: the end of %s:\n' "$target" "$log"
        grep -v '^#' "$log" | tail -n 30
        return 1
    fi
}

status=0
running=0
for target in "${targets[@]}"; do
    if [ "$running" -ge "$(nproc)" ]; then
        wait -n || status=1
        running=$((running - 1))
    fi
    fuzz "$target" &
    running=$((running + 1))
done
while [ "$running" -gt 0 ]; do
    wait -n || status=1
    running=$((running - 1))
done
exit "$status"

#!/usr/bin/env bash
# Recognitions aborted at random moments (tests/aborts.rs) under valgrind's memory checker: no invalid read or write,
# no use of what was never written, in our callbacks or in whisper.cpp. Wants valgrind, and an hour: 10 minutes for
# the build and 40 of one core.
# STENOGRAM_TEST_SEED=N aborts at the same passes again.
set -euo pipefail

cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.."
command -v valgrind >/dev/null || { echo "valgrind is not here: apt-get install valgrind" >&2 && exit 1; }

# The instructions that the portable image uses: valgrind knows no AVX-512.
export GGML_NATIVE=OFF GGML_SSE42=ON GGML_AVX=ON GGML_AVX2=ON GGML_FMA=ON GGML_F16C=ON GGML_BMI2=ON
runner=CARGO_TARGET_$(uname -m | tr '[:lower:]' '[:upper:]')_UNKNOWN_LINUX_GNU_RUNNER
export "$runner=valgrind --error-exitcode=9 --leak-check=no --num-callers=20"
# A folder of its own, for whisper.cpp is compiled anew.
cargo test --locked --test aborts --target-dir target/valgrind -- --nocapture

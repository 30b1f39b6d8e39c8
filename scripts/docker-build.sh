#!/bin/sh
# The one command of the Dockerfile's build stage. It runs twice, for the dependencies alone and for all, and
# must not differ between the two, or everything is built twice.
set -eu

# The image runs elsewhere than it was built, so whisper.cpp must not tune itself to this CPU. Each set of
# instructions is named because ggml drops them all where SOURCE_DATE_EPOCH is set. build.rs of whisper-rs-sys
# hands every GGML_* and CMAKE_* variable to cmake. On ARM these sets mean nothing.
if [ "${NATIVE:-}" = 1 ]; then
    export GGML_NATIVE=ON
else
    export GGML_NATIVE=OFF GGML_SSE42=ON GGML_AVX=ON GGML_AVX2=ON GGML_FMA=ON GGML_F16C=ON GGML_BMI2=ON
    # build.rs of transcribe-cpp-sys takes them from here.
    export TRANSCRIBE_CMAKE_ARGS="-DGGML_NATIVE=OFF -DGGML_SSE42=ON -DGGML_AVX=ON -DGGML_AVX2=ON -DGGML_FMA=ON -DGGML_F16C=ON -DGGML_BMI2=ON"
fi
if [ -n "${CUDA_ARCHITECTURES:-}" ]; then export CMAKE_CUDA_ARCHITECTURES="$CUDA_ARCHITECTURES"; fi

exec cargo build --release --locked --package stenogram --features "${FEATURES:-}"

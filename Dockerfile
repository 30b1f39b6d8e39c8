# Two stages: one builds, one runs. Works with BuildKit and with the older builder that docker-compose 1.29 uses.
#
#   docker build -t stenogram .
#
# The base images are pinned; scripts/renew-images.sh sets them to what their tags mean today. Where no registry can be
# reached, remove the part from "@" on and have images of these names.
#
# The licences of the software in the program are in /usr/share/doc/stenogram/THIRD-PARTY.txt.
#
# The image is about 102 MB, without models; tests/docker/run.sh refuses more than 120.
#
# Without arguments the image runs on any x86-64 CPU since Haswell (2013) and Zen (2017), that is with AVX2, FMA, F16C
# and BMI2, and on any 64-bit ARM. Build arguments:
#
#   NATIVE=1            tunes whisper.cpp for the CPU that builds; on another one the daemon says what is missing
#   FEATURES            cargo features, separated by commas: transcribe-cpp for GigaAM and Parakeet; cuda, hipblas, openblas,
#                       vulkan (its headers in Debian 12 are too old: images of Debian 13)
#   BUILD_IMAGE         where it is built: a Debian or Ubuntu; Rust is fetched where it has none
#   RUNTIME_IMAGE       where it runs: a Debian or Ubuntu not older than that
#   BUILD_PACKAGES      Debian packages that the features want for building
#   RUNTIME_PACKAGES    and for running
#   CUDA_ARCHITECTURES  for cuda: the GPUs to build for, as in "86" (default: all that ggml knows, which takes long)
ARG BUILD_IMAGE=rust:1.95.0-slim-bookworm@sha256:d7482085ff5b415f84dba5647ae71606650bdef00db7aeb69f4b3d170c3e4082
ARG RUNTIME_IMAGE=debian:bookworm-slim@sha256:3783cc01769c7b2b1b83a5c5ad96c815348e28ed7da68e2e3687004faa906251

FROM ${BUILD_IMAGE} AS build
ARG BUILD_PACKAGES=
RUN apt-get update \
    && apt-get install -y --no-install-recommends cmake g++ make $BUILD_PACKAGES \
    && rm -rf /var/lib/apt/lists/*
# The folders are those of the rust image, which has all of this.
ENV RUSTUP_HOME=/usr/local/rustup CARGO_HOME=/usr/local/cargo PATH=/usr/local/cargo/bin:$PATH
ARG RUST_VERSION=1.95.0
RUN if ! command -v cargo; then \
        apt-get update && apt-get install -y --no-install-recommends ca-certificates curl \
        && curl --proto '=https' --tlsv1.2 -fsSL https://sh.rustup.rs -o /tmp/rustup.sh \
        && sh /tmp/rustup.sh -y --no-modify-path --profile minimal --default-toolchain "$RUST_VERSION" \
        && rm -rf /tmp/rustup.sh /var/lib/apt/lists/*; \
    fi
WORKDIR /src

ARG NATIVE=
ARG FEATURES=
ARG CUDA_ARCHITECTURES=

# The dependencies are a layer of their own, compiled against empty sources: it is built again only when they
# change. Benchmarks and tests are not built here, so their tables may go from this manifest.
COPY .cargo .cargo
COPY Cargo.toml Cargo.lock ./
COPY tests/fake-telegram/Cargo.toml tests/fake-telegram/
COPY tests/chaos/Cargo.toml tests/chaos/
COPY tests/eval/Cargo.toml tests/eval/
COPY tests/fuzz/Cargo.toml tests/fuzz/
COPY tests/support/Cargo.toml tests/support/
COPY scripts/docker-build.sh /usr/local/bin/
RUN sed -i '/^\[\[\(bench\|test\)\]\]/,/^$/d' Cargo.toml \
    && mkdir -p src/bin/stenogram-transcribe-cpp tests/fake-telegram/src tests/chaos/src tests/fuzz/src \
    && touch src/lib.rs tests/fake-telegram/src/lib.rs tests/eval/lib.rs tests/fuzz/src/lib.rs tests/support/lib.rs \
    && echo 'fn main() {}' | tee src/main.rs src/bin/stenogram-transcribe-cpp/main.rs tests/fake-telegram/src/main.rs tests/chaos/src/main.rs >/dev/null \
    && docker-build.sh \
    && rm -r src

COPY src src
# Copied files keep their age; cargo must not take them for older than the empty ones.
RUN touch src/main.rs src/lib.rs src/bin/*/main.rs \
    && docker-build.sh \
    && mkdir /programs \
    && for program in stenogram stenogram-transcribe-cpp; do \
        if [ -e "target/release/$program" ]; then strip -o "/programs/$program" "target/release/$program"; fi; \
    done
COPY scripts/third-party.sh /usr/local/bin/
RUN third-party.sh "$FEATURES" >/THIRD-PARTY.txt


FROM ${RUNTIME_IMAGE}
ARG RUNTIME_PACKAGES=
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates libgomp1 libstdc++6 $RUNTIME_PACKAGES \
    && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/cache/debconf/*-old /var/log/apt /var/log/dpkg.log
# A volume is born with the owner and mode of the folder it covers.
RUN install -d -o 10001 -g 10001 -m 0700 /data /logs \
    && install -d -o 10001 -g 10001 -m 0755 /models /work
COPY --from=build /programs/ /usr/local/bin/
COPY --from=build /THIRD-PARTY.txt /usr/share/doc/stenogram/
COPY scripts/docker-supervise.sh /usr/local/bin/stenogram-supervise
COPY scripts/docker-setup.sh /usr/local/bin/stenogram-setup
# Threads that wait must sleep: recognition is ten times slower on a busy machine when they spin.
ENV DATA_DIR=/data MODEL_DIR=/models LOG_DIR=/logs OMP_WAIT_POLICY=passive
VOLUME ["/data", "/models", "/logs"]
WORKDIR /work
USER 10001:10001
STOPSIGNAL SIGTERM
# "healthy" means that voice messages can be answered now: logged in, connected, queue and model there. Docker itself does
# nothing about an unhealthy container, so an outage of Telegram or Redis shows and costs no restart. Loading a large model
# takes a minute on a slow disk.
HEALTHCHECK --interval=30s --timeout=10s --start-period=90s --retries=3 CMD ["stenogram", "health"]
ENTRYPOINT ["stenogram"]
CMD ["run"]

# Two stages: one builds, one runs. Built for any x86-64 CPU since Haswell/Zen (AVX2, FMA, F16C, BMI2),
# and for any 64-bit ARM.

FROM rust:1.95.0-slim-bookworm AS build
RUN apt-get update \
    && apt-get install -y --no-install-recommends cmake g++ make \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src

# The image runs elsewhere than it was built, so whisper.cpp must not tune itself to this CPU. Each set is
# named because ggml drops them all where SOURCE_DATE_EPOCH is set. build.rs of whisper-rs-sys hands
# every GGML_* variable to cmake. On ARM they mean nothing.
ENV GGML_NATIVE=OFF GGML_SSE42=ON GGML_AVX=ON GGML_AVX2=ON GGML_FMA=ON GGML_F16C=ON GGML_BMI2=ON

# The dependencies are a layer of their own, compiled against empty sources: it is built again only when they
# change. Benchmarks and tests are not built here, so their tables may go from this manifest.
COPY .cargo .cargo
COPY Cargo.toml Cargo.lock ./
COPY tests/fake-telegram/Cargo.toml tests/fake-telegram/
COPY tests/chaos/Cargo.toml tests/chaos/
RUN sed -i '/^\[\[\(bench\|test\)\]\]/,/^$/d' Cargo.toml \
    && mkdir -p src tests/fake-telegram/src tests/chaos/src \
    && touch src/lib.rs tests/fake-telegram/src/lib.rs \
    && echo 'fn main() {}' | tee src/main.rs tests/fake-telegram/src/main.rs tests/chaos/src/main.rs >/dev/null \
    && cargo build --release --locked --package stenogram \
    && rm -rf src tests

COPY . .
# Copied files keep their age; cargo must not take them for older than the empty ones.
RUN touch src/main.rs src/lib.rs \
    && cargo build --release --locked --package stenogram \
    && strip -o /stenogram target/release/stenogram


FROM debian:bookworm-slim
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates libgomp1 libstdc++6 \
    && rm -rf /var/lib/apt/lists/*
COPY --from=build /stenogram /usr/local/bin/stenogram
COPY scripts/docker-supervise.sh /usr/local/bin/stenogram-supervise
# A volume is born with the owner and mode of the folder it covers.
RUN install -d -o 10001 -g 10001 -m 0700 /data \
    && install -d -o 10001 -g 10001 -m 0755 /models /work
# Threads that wait must sleep: recognition is ten times slower on a busy machine when they spin.
ENV DATA_DIR=/data MODEL_DIR=/models OMP_WAIT_POLICY=passive
VOLUME ["/data", "/models"]
WORKDIR /work
USER 10001:10001
STOPSIGNAL SIGTERM
ENTRYPOINT ["stenogram"]
CMD ["run"]

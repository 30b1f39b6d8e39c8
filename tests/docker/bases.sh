# shellcheck shell=bash
# The base images where no registry can be reached: made with debootstrap under the same names. Sourced by run.sh.
#
# What they do not cover: the real images' own contents. Here Redis is Debian's 7.0 instead of 7.4, its entrypoint a
# shorter one, and Rust this machine's toolchain with its registry, so that cargo in the build needs no network.

# What an image of ours was made from, as a label; one made from something else is made anew.
made_label=stenogram.test.made-from
suite=bookworm

# What `docker image inspect` says of the label; nothing where there is no image, or where it is a real one.
made_from() { docker image inspect -f "{{index .Config.Labels \"$made_label\"}}" "$1" 2>/dev/null; }

# ensure_base IMAGE FINGERPRINT FUNCTION: the image, NAME:TAG@DIGEST, is here, or is pulled, and has the name NAME:TAG;
# or the function makes one of that name in the folder it is given, which is in the caller's $work. Then $unpinned is 1,
# for nothing that is made here can have the digest.
ensure_base() {
    local pinned=$1 image=${1%@*} fingerprint=$2 make=$3 folder
    if docker image inspect "$pinned" >/dev/null 2>&1; then
        docker tag "$pinned" "$image"
        say "base image $image: is here"
        return
    elif [ "$(made_from "$image")" = "$fingerprint" ]; then
        # shellcheck disable=SC2034
        unpinned=1
        say "base image $image: is here, made by an earlier run of this"
        return
    elif timeout 900 docker pull --quiet "$pinned" >/dev/null 2>&1; then
        docker tag "$pinned" "$image"
        say "base image $image: pulled"
        return
    fi
    # Read by run.sh.
    # shellcheck disable=SC2034
    unpinned=1
    made_bases+=("$image")
    folder=$(mktemp -d -p "${work:?}")
    if ! "$make" "$image" "$fingerprint" "$folder" >"$work/base.log" 2>&1; then
        tail -n 20 "$work/base.log" >&2
        fail 1 "the base image $image can neither be pulled nor made, see above"
    fi
    rm -rf "$folder"
    say "base image $image: made with debootstrap, for no registry can be reached; the real one is not covered"
}

# As debian:bookworm-slim: the smallest Debian, less what its makers leave out.
make_debian() {
    local image=$1 fingerprint=$2 root=$3/root path
    (
        set -e
        debootstrap --variant=minbase "$suite" "$root" http://deb.debian.org/debian
        rm -rf "$root"/var/{cache/apt,lib/apt/lists,log}/* "$root"/var/cache/debconf/*-old
        for path in doc info linda lintian locale man groff; do rm -rf "${root:?}/usr/share/$path"/*; done
        tar -C "$root" -c . | docker import --change "LABEL $made_label=$fingerprint" --change 'CMD ["bash"]' - "$image"
    )
}

# As rust:…-slim: a C compiler, and a toolchain in /usr/local.
make_rust() {
    local image=$1 fingerprint=$2 context=$3 sysroot
    (
        set -e
        sysroot=$(rustc --print sysroot)
        mkdir -p "$context/rustup" "$context/cargo/registry"
        cp -a "$sysroot/bin" "$sysroot/lib" "$sysroot/libexec" "$context/rustup/"
        # Whatever Cargo.lock names is then there.
        cargo fetch --locked
        cp -a "${CARGO_HOME:-$HOME/.cargo}"/registry/{cache,index} "$context/cargo/registry/"
        cat >"$context/Dockerfile" <<END
FROM debian:$suite-slim
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates gcc libc6-dev && rm -rf /var/lib/apt/lists/*
COPY rustup /usr/local/rustup
COPY cargo /usr/local/cargo
ENV RUSTUP_HOME=/usr/local/rustup CARGO_HOME=/usr/local/cargo CARGO_NET_OFFLINE=true PATH=/usr/local/rustup/bin:\$PATH
LABEL $made_label=$fingerprint
END
        DOCKER_BUILDKIT=0 docker build --quiet -t "$image" "$context"
    )
}

# As redis:…: the server, its user with the same number, a volume.
make_redis() {
    local image=$1 fingerprint=$2 context=$3
    (
        set -e
        cat >"$context/docker-entrypoint.sh" <<'END'
#!/bin/sh
set -e
case $1 in -* | *.conf) set -- redis-server "$@" ;; esac
if [ "$1" = redis-server ] && [ "$(id -u)" = 0 ]; then
    find . ! -user redis -exec chown redis '{}' +
    exec setpriv --reuid redis --regid redis --clear-groups "$0" "$@"
fi
if [ "$(umask)" = 0022 ]; then umask 0077; fi
exec "$@"
END
        chmod 755 "$context/docker-entrypoint.sh"
        cat >"$context/Dockerfile" <<END
FROM debian:$suite-slim
RUN groupadd -r -g 999 redis && useradd -r -g redis -u 999 redis \\
    && apt-get update && apt-get install -y --no-install-recommends redis-server && rm -rf /var/lib/apt/lists/* \\
    && mkdir /data && chown redis:redis /data
COPY docker-entrypoint.sh /usr/local/bin/
VOLUME /data
WORKDIR /data
ENTRYPOINT ["docker-entrypoint.sh"]
EXPOSE 6379
CMD ["redis-server"]
LABEL $made_label=$fingerprint
END
        DOCKER_BUILDKIT=0 docker build --quiet -t "$image" "$context"
    )
}

# What the two files name: with the digest, and by what it is called here.
pinned_base_of() { sed -n "s/^ARG $1=//p" Dockerfile; }
base_of() { pinned_base_of "$1" | sed 's/@.*//'; }
pinned_redis() { sed -n 's/^ *image: \(redis:.*\)/\1/p' docker-compose.yml; }

ensure_bases() {
    local debian rust tools
    debian=$(pinned_base_of RUNTIME_IMAGE)
    rust=$({ rustc -V && sha256sum <Cargo.lock; } 2>/dev/null | sha256sum | cut -c 1-16)
    tools=$(sha256sum "${BASH_SOURCE[0]}" | cut -c 1-16)
    # Only a machine that must make them needs this.
    if ! docker image inspect "$debian" >/dev/null 2>&1 && ! docker image inspect "${debian%@*}" >/dev/null 2>&1 &&
        ! have debootstrap && ! timeout 900 docker pull --quiet "$debian" >/dev/null 2>&1; then
        install_packages "to make base images, for no registry can be reached" debootstrap
    fi
    ensure_base "$debian" "$suite" make_debian
    ensure_base "$(pinned_base_of BUILD_IMAGE)" "$rust" make_rust
    ensure_base "$(pinned_redis)" "$tools" make_redis
}

#!/usr/bin/env bash
# Packs what somebody needs who installs stenogram without building it, for this machine's kind of processor:
# the program, the service and its installer, the licences of all that is in the program, and its SBOM.
#   scripts/release.sh                  builds, and writes target/release-files/stenogram-VERSION-KIND.tar.gz
#                                       with its SHA256SUMS beside it
#   scripts/release.sh --binary FILE    packs this program instead of building one
# The build is the one of the Docker image, so it runs on any x86-64 CPU with AVX2, and on any 64-bit ARM. The SBOM
# (CycloneDX 1.5, JSON) is made by cargo-cyclonedx, which is built where it is missing: about two minutes.
set -euo pipefail

called_from=$PWD
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/setup.sh
. scripts/setup.sh

binary=
case ${1:-} in
'') ;;
--binary)
    binary=${2:?"--binary wants a file"}
    case $binary in /*) ;; *) binary=$called_from/$binary ;; esac
    ;;
-h | --help) sed -n '2,/^set /s/^# \{0,1\}//p' "$0" && exit 0 ;;
*) fail 2 "release.sh takes --binary FILE or nothing, and here is '$1'." ;;
esac

ensure_cyclonedx() {
    if cargo cyclonedx --version >/dev/null 2>&1; then return 0; fi
    say "Building cargo-cyclonedx, which makes the SBOM."
    cargo install --locked --quiet cargo-cyclonedx || fail 1 "cargo-cyclonedx cannot be built; cargo's lines above say why"
}

# sbom TO: of the program alone, without tests and without what only builds it. The tool writes beside every
# manifest of the workspace, so it works on a copy.
sbom() {
    local copy=$work/sources
    mkdir "$copy"
    git ls-files -z | tar --null -T - -c | tar -x -C "$copy"
    (cd "$copy" && cargo cyclonedx --quiet --format json --spec-version 1.5 --no-build-deps --override-filename sbom.cdx)
    mv "$copy/sbom.cdx.json" "$1"
}

have git || fail 1 "git is needed to know which files belong to the project"
ensure_cyclonedx
if [ -z "$binary" ]; then
    scripts/docker-build.sh
    binary=${CARGO_TARGET_DIR:-target}/release/stenogram
fi
version=$("$binary" --version) || fail 1 "$binary does not run on this machine; the line above says why"
name=stenogram-${version##* }-$(uname -m)-linux

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/$name" "$work/$name/scripts"
cp -R deploy docs .env.example README.md README.ru.md TROUBLESHOOTING.md TROUBLESHOOTING.ru.md CHANGELOG.md \
    LICENSE-MIT LICENSE-APACHE "$work/$name/"
cp scripts/setup.sh "$work/$name/scripts/"
strip -o "$work/$name/stenogram" "$binary"
if [ -x "$binary-transcribe-cpp" ]; then strip -o "$work/$name/stenogram-transcribe-cpp" "$binary-transcribe-cpp"; fi
scripts/third-party.sh "${FEATURES:-}" >"$work/$name/THIRD-PARTY.txt"
sbom "$work/$name/sbom.cdx.json"

out=target/release-files
mkdir -p "$out"
tar -C "$work" --owner=0 --group=0 --sort=name -czf "$out/$name.tar.gz" "$name"
(cd "$out" && sha256sum "$name.tar.gz" >SHA256SUMS)
say "$out/$name.tar.gz; install it with: sudo deploy/install.sh --binary ./stenogram"

#!/usr/bin/env bash
# Writes the licences of everything that is compiled into stenogram to its standard output: which crate has which
# licence and where its source is, then every licence text once, under the names of the crates it is from.
#   scripts/third-party.sh [FEATURES] >THIRD-PARTY.txt
# FEATURES are those of the build, separated by commas. The sources must be here: run it after a build.
set -euo pipefail

case ${1:-} in -h | --help) sed -n '2,/^set /s/^# \{0,1\}//p' "$0" && exit 0 ;; esac

# "NAME VERSION|LICENCE" of each crate that is linked; those that only build are not part of the program.
crates=$(cargo tree --locked --package stenogram --features "${1:-}" --edges normal --prefix none --no-dedupe \
    --format '{p}|{l}' | sed -n 's/^\([^ ]*\) v\([^ |]*\)[^|]*|\(.*\)$/\1 \2|\3/p' | grep -v '^stenogram ' | sort -u)
registry=${CARGO_HOME:-$HOME/.cargo}/registry/src
texts=$(mktemp -d)
trap 'rm -rf "$texts"' EXIT

cat <<'END'
The software that is compiled into stenogram, with its licences.

Every crate's source is at https://crates.io/crates/NAME/VERSION, unchanged; that is also where to get the source of
the crates under the Mozilla Public License 2.0. whisper-rs-sys contains whisper.cpp and ggml, transcribe-cpp-sys
contains transcribe.cpp and ggml, and opusic-sys contains libopus. Rust's own library is under MIT or Apache-2.0.

END
while IFS='|' read -r crate licence; do
    printf '%-40s %s\n' "$crate" "$licence"
    folder=$(find "$registry" -mindepth 2 -maxdepth 2 -type d -name "${crate/ /-}" | head -n 1)
    [ -n "$folder" ] || { printf 'error: the source of %s is not in %s; build first.\n' "$crate" "$registry" >&2 && exit 1; }
    while IFS= read -r -d '' file; do
        sum=$(sha256sum <"$file" | cut -c 1-32)
        [ -e "$texts/$sum.text" ] || cp "$file" "$texts/$sum.text"
        printf '%s: %s\n' "$crate" "${file#"$folder/"}" >>"$texts/$sum.from"
    done < <(find "$folder" -maxdepth 4 -type f \( -iname 'licen[sc]e*' -o -iname 'copying*' -o -iname 'notice*' \
        -o -iname 'unlicense*' -o -iname 'third-party*' \) ! -name '*.rs' -print0 | sort -z)
done <<<"$crates"
for from in "$texts"/*.from; do
    printf '\n%s\n\n' "--------------------------------------------------------------------------------"
    cat "$from"
    printf '\n'
    cat "${from%.from}.text"
done

#!/usr/bin/env bash
# Sets the base images of Dockerfile and the compose files to what their registry has today under the same
# tags. An image is named as NAME:TAG@sha256:DIGEST, so a build takes exactly what was tried before.
#   scripts/renew-images.sh           writes the new digests and says which images changed
#   scripts/renew-images.sh --check   changes nothing; ends with 1 if a registry has something newer
# Needs curl, and the way to registry-1.docker.io and auth.docker.io.
set -euo pipefail

cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/setup.sh
. scripts/setup.sh

check=0
case ${1:-} in
'') ;;
--check) check=1 ;;
-h | --help) sed -n '2,/^set /s/^# \{0,1\}//p' "$0" && exit 0 ;;
*) fail 2 "renew-images.sh takes --check or nothing, and here is '$1'." ;;
esac
have curl || fail 1 "curl is needed to ask the registry; install it: apt-get install curl"

# Other values are for the test of this script.
registry=${IMAGE_REGISTRY:-https://registry-1.docker.io}
tokens=${IMAGE_TOKENS:-https://auth.docker.io/token?service=registry.docker.io}
retries=${IMAGE_RETRIES:-2}
files=(Dockerfile docker-compose.yml docker-compose.family.yml)
pinned='[a-z0-9./_-]+:[A-Za-z0-9._-]+@sha256:[0-9a-f]{64}'
# A list of images for several kinds of machine, or the image where there is only one.
kinds='application/vnd.oci.image.index.v1+json, application/vnd.docker.distribution.manifest.list.v2+json,
    application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json'

# digest_of REPOSITORY TAG: as the registry names what is there now.
digest_of() {
    local token
    token=$(curl -fsS --max-time 30 --retry "$retries" "$tokens&scope=repository:$1:pull" |
        sed -n 's/.*"token" *: *"\([^"]*\)".*/\1/p')
    curl -fsS --max-time 30 --retry "$retries" --head -H "Authorization: Bearer $token" -H "Accept: $(tr -d '\n' <<<"$kinds")" \
        "$registry/v2/$1/manifests/$2" | tr -d '\r' | sed -n 's/^docker-content-digest: *\(sha256:[0-9a-f]\{64\}\)$/\1/Ip'
}

newer=0
mapfile -t images < <(grep -hoE "$pinned" "${files[@]}" | sort -u)
for image in "${images[@]}"; do
    name=${image%%:*} tag=${image#*:} tag=${tag%@*}
    repository=$name
    case $name in */*) ;; *) repository=library/$name ;; esac
    digest=$(digest_of "$repository" "$tag") || fail 1 "the registry does not answer for $name:$tag; nothing more was changed"
    [ -n "$digest" ] || fail 1 "the registry named no digest of $name:$tag; nothing more was changed"
    if [ "$image" = "$name:$tag@$digest" ]; then
        say "$name:$tag is what the registry has"
        continue
    fi
    newer=1
    say "$name:$tag has changed: $digest"
    if [ "$check" = 0 ]; then sed -i "s|$image|$name:$tag@$digest|" "${files[@]}"; fi
done
[ "$check" = 0 ] || exit "$newer"

#!/usr/bin/env bash
# Builds both targets of the Dockerfile with docker or podman, whichever is there, and tries them
# (Tests/Image). Where neither is there podman is installed (Debian), and where no registry can be reached
# the base images are made first. martlet:test and martlet:test-minimal stay, for a quick next time.
set -euo pipefail
cd "$(dirname "$0")/.."
. Docker/podman.sh

# Whether the base images are (or must be) of this machine's own making.
bases_are_own() {
    local made_by
    made_by=$(podman image inspect "$SWIFT" --format '{{index .Labels "made-by"}}' 2> /dev/null) || true
    [ "$made_by" = base-images.sh ] || ! timeout 60 podman pull -q "$BASE" > /dev/null 2>&1
}

flags=()
if docker info > /dev/null 2>&1 && timeout 60 docker pull -q "$BASE" > /dev/null 2>&1; then
    engine=docker
else
    engine=podman
    need podman buildah runc netavark aardvark-dns iptables
    flags+=(--format docker) # an OCI image has no HEALTHCHECK
    if bases_are_own; then
        echo "no registry is reached: with base images of this machine's own"
        Docker/base-images.sh
        read -r -a own <<< "$(Docker/base-images.sh --flags) --pull=never"
        flags+=("${own[@]}")
    fi
fi

build() {
    local started=$SECONDS log=$IMAGE_STATE/build-$1.log before after
    before=$("$engine" images -q "$2")
    "$engine" build ${flags[@]+"${flags[@]}"} --build-arg REVISION="$(git rev-parse HEAD)" \
        --target "$1" -t "$2" -f Docker/Dockerfile . > "$log" 2>&1 ||
        { tail -30 "$log" >&2; echo "the image does not build; whole log: $log" >&2; return 1; }
    echo "$2 built in $((SECONDS - started)) s"
    after=$("$engine" images -q "$2")
    [ -z "$before" ] || [ "$before" = "$after" ] || "$engine" rmi "$before" > /dev/null 2>&1 || true
}
build martlet martlet:test
build minimal martlet:test-minimal
export ENGINE=$engine
python3 -m unittest discover -v -s Tests/Image

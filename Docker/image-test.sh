#!/usr/bin/env bash
# Builds both targets of the Dockerfile with docker or podman, whichever is there, and tries them
# (Tests/Image). Where neither is there podman is installed, and where no registry can be reached the base
# images are made first. The images martlet:test and martlet:test-minimal stay, for a quick next time.
set -euo pipefail
cd "$(dirname "$0")/.."
. Docker/podman.sh

flags=()
if docker info > /dev/null 2>&1; then
    engine=docker
else
    engine=podman
    need podman buildah runc netavark aardvark-dns iptables
    if podman image exists "$SWIFT" && podman image exists "$BASE" ||
        ! timeout 20 podman pull -q "$BASE" > /dev/null 2>&1; then
        echo "no registry: base images of this machine's own"
        Docker/base-images.sh
        read -r -a flags <<< "$(Docker/base-images.sh --flags) --pull=never"
    fi
    flags+=(--format docker) # an OCI image has no HEALTHCHECK
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

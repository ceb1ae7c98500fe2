#!/usr/bin/env bash
# Makes the Dockerfile's two base images where no registry can be reached, so that it builds unchanged:
#   debian:bookworm-slim   bootstrapped from Debian's packages
#   swift:6.3-bookworm     that, and what the compiler links with; this machine's Swift is mounted when building
# Usage: base-images.sh          makes those that are not there
#        base-images.sh --flags  prints what `podman build` then needs besides
set -euo pipefail
. "$(dirname "$0")/podman.sh"

toolchain=$(readlink -f "$(command -v swift)")
toolchain=${toolchain%/usr/bin/*}
# Where git takes GitHub's repositories from on this machine, if it is a folder.
mirror=$(git config --get-regexp '^url\..*\.insteadof$' |
    sed -n 's#^url\.\(file://\)\{0,1\}\(/.*\)/\.insteadof https://github.com/$#\2#p' | head -1)
if [ "${1:-}" = --flags ]; then
    echo "-v $toolchain:$toolchain:ro${mirror:+ -v $mirror:$mirror:ro}"
    exit
fi
need podman buildah runc netavark aardvark-dns iptables mmdebstrap uidmap

make_base() {
    local arguments=() folder sources
    # Documentation and translations are left out, as in Debian's own slim images.
    for folder in doc groff info linda lintian locale man; do
        arguments+=(--dpkgopt="path-exclude=/usr/share/$folder/*")
    done
    sources=$(mktemp --suffix=.sources)
    grep -hv '^#' /etc/apt/sources.list.d/debian.sources > "$sources"
    mmdebstrap --quiet --variant=minbase --hook-dir=/usr/share/mmdebstrap/hooks/merged-usr \
        "${arguments[@]}" --dpkgopt='path-include=/usr/share/doc/*/copyright' --dpkgopt=force-unsafe-io \
        --aptopt='Acquire::Languages "none"' --aptopt='Apt::AutoRemove::SuggestsImportant "false"' \
        --aptopt='DPkg::Post-Invoke { "rm -f /var/cache/apt/archives/*.deb /var/cache/apt/*.bin || true"; }' \
        --customize-hook='printf "#!/bin/sh\nexit 101\n" > "$1/usr/sbin/policy-rc.d"; chmod 755 "$1/usr/sbin/policy-rc.d"' \
        --customize-hook='rm -f "$1/etc/resolv.conf" "$1/etc/hostname"' \
        --customize-hook='rm -rf "$1/var/cache/debconf/"*-old "$1/var/lib/dpkg/"*-old "$1/var/log/"*.log "$1/var/log/apt"' \
        bookworm - "$sources" 2> "$IMAGE_STATE/bootstrap.log" |
        podman import -q -c 'CMD ["bash"]' - "$BASE" > /dev/null
    rm -f "$sources"
}

make_swift() {
    local container
    container=$(buildah from --pull-never "$BASE")
    trap 'buildah rm "$container" > /dev/null 2>&1 || true' RETURN
    # What the official image installs, less what only the debugger and the REPL want.
    buildah run --network=host --env MIRROR="$mirror" "$container" -- sh -ec '
        apt-get update -qq
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
            binutils gcc git ca-certificates libc6-dev libcurl4-openssl-dev libncurses-dev libsqlite3-dev \
            libstdc++-12-dev libxml2 pkg-config tzdata uuid-dev zlib1g-dev
        rm -rf /var/lib/apt/lists/*
        [ -z "$MIRROR" ] || git config --system "url.$MIRROR/.insteadOf" https://github.com/
        git config --system safe.directory "*"' > "$IMAGE_STATE/swift.log" 2>&1 ||
        { tail -20 "$IMAGE_STATE/swift.log" >&2; return 1; }
    buildah config --env PATH="$toolchain/usr/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin" \
        --cmd bash --label made-by=base-images.sh "$container"
    buildah commit -q "$container" "$SWIFT" > /dev/null
}

podman image exists "$BASE" || make_base
podman image exists "$SWIFT" || make_swift

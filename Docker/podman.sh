# Sourced by the scripts beside it: makes podman usable where there is no systemd, for example in a
# container or a bare virtual machine, by settings of its own; nothing under /etc is touched.
BASE=docker.io/library/debian:bookworm-slim
SWIFT=docker.io/library/swift:6.3-bookworm
: "${IMAGE_STATE:=${XDG_CACHE_HOME:-$HOME/.cache}/martlet-image}"
mkdir -p "$IMAGE_STATE"

# The least of a wanted limit and what this session may have: podman's own defaults may be above it.
at_most() {
    local hard
    hard=$(ulimit -H"$1")
    if [ "$hard" = unlimited ] || [ "$hard" -gt "$2" ]; then echo "$2"; else echo "$hard"; fi
}

if [ ! -d /run/systemd/system ] && [ -z "${CONTAINERS_CONF:-}" ]; then
    nofile=$(at_most n 65536) nproc=$(at_most u 16384)
    # runc, since Debian 12's crun refuses hybrid cgroup mounts; cgroupfs, since nobody answers systemd's calls.
    cat > "$IMAGE_STATE/containers.conf" <<END
[containers]
default_ulimits = ["nofile=$nofile:$nofile", "nproc=$nproc:$nproc"]
log_driver = "k8s-file"
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
[network]
network_backend = "netavark"
END
    export CONTAINERS_CONF=$IMAGE_STATE/containers.conf
    # podman schedules health checks by systemd timers; without them `podman healthcheck run` does it.
    export DISABLE_HC_SYSTEMD=true
fi

# Installs Debian packages that are missing, quietly.
need() {
    local missing=() package
    for package in "$@"; do
        dpkg-query -W -f '${db:Status-Status}' "$package" 2> /dev/null | grep -qx installed || missing+=("$package")
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" > "$IMAGE_STATE/apt.log" 2>&1 ||
        { tail -20 "$IMAGE_STATE/apt.log" >&2; return 1; }
}

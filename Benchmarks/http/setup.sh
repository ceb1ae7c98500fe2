#!/bin/bash
# Builds and fetches what Martlet's HTTP server is measured beside: the Swift peers into .build,
# nginx from Debian into .peers (unpacked, so that no service is started). Skipped when it is there.
set -euo pipefail
cd "$(dirname "$0")"
missing=()
for pair in wrk:wrk h2load:nghttp2-client; do
    command -v "${pair%%:*}" >/dev/null || missing+=("${pair##*:}")
done
if [ ${#missing[@]} -gt 0 ]; then
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "${missing[@]}" >/dev/null
fi
if [ ! -x .peers/nginx/usr/sbin/nginx ]; then
    folder=$(mktemp -d)
    trap 'rm -rf "$folder"' EXIT
    chmod 755 "$folder"
    (cd "$folder" && apt-get update -qq && apt-get download -qq nginx 2>/dev/null)
    mkdir -p .peers/nginx
    dpkg -x "$folder"/nginx_*.deb .peers/nginx
fi
swift build -c release --quiet

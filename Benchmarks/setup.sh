#!/bin/bash
# Installs what the benchmarks compare Martlet with, into Benchmarks/.peers: Debian packages, a virtual environment of
# Python peers, and the load generator. Skipped when it is there.
set -euo pipefail
cd "$(dirname "$0")"
home=.peers
mkdir -p "$home"
missing=()
for package in redis-server wrk nghttp2-client nginx-light libnginx-mod-http-echo curl gcc libc6-dev python3-venv; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' || missing+=("$package")
done
if [ ${#missing[@]} -gt 0 ]; then
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "${missing[@]}" >/dev/null
fi
if ! cmp -s requirements.txt "$home/requirements.txt"; then
    [ -x "$home/venv/bin/python" ] || python3 -m venv "$home/venv"
    "$home/venv/bin/pip" install -q --disable-pip-version-check -r requirements.txt
    cp requirements.txt "$home/requirements.txt"
fi
if [ jobload.c -nt "$home/jobload" ]; then gcc -O2 -Wall -o "$home/jobload" jobload.c; fi

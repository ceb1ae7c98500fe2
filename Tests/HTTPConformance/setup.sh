#!/bin/bash
# Installs the clients that the suite drives: Debian packages and a virtual environment in .peers.
# Quiet; skipped when all is there. Node and a JDK are used where they are.
set -euo pipefail
cd "$(dirname "$0")"
missing=()
for pair in curl:curl nghttp:nghttp2-client h2load:nghttp2-client slowhttptest:slowhttptest \
    openssl:openssl prlimit:util-linux java:default-jdk-headless node:nodejs; do
    command -v "${pair%%:*}" >/dev/null || missing+=("${pair##*:}")
done
python3 -c "import ensurepip" 2>/dev/null || missing+=(python3-venv)
if [ ${#missing[@]} -gt 0 ]; then
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
        "${missing[@]}" >/dev/null
fi
mkdir -p .peers
if ! cmp -s requirements.txt .peers/requirements.txt; then
    [ -x .peers/venv/bin/python ] || python3 -m venv .peers/venv
    .peers/venv/bin/pip install -q --disable-pip-version-check -r requirements.txt
    cp requirements.txt .peers/requirements.txt
fi

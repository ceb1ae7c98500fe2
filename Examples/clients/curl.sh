#!/bin/bash
# Martlet with curl: a job, a map whose results come while it runs, a refusal.
set -euo pipefail
url=${MARTLET_URL:-http://127.0.0.1:8080}
ask() {
    local path=$1; shift
    curl --silent --show-error ${MARTLET_TOKEN:+--oauth2-bearer "$MARTLET_TOKEN"} "$@" "$url$path"
}
post() { ask /v1/jobs --header 'Content-Type: application/json' "$@"; }
id() { sed -E 's/^\{"id":"([^"]+)".*/\1/'; }

# The key makes a repeat after a lost answer the same job.
job=$(post --retry 5 --retry-connrefused --header "Idempotency-Key: $(< /proc/sys/kernel/random/uuid)" \
    --data '{"function":"square","args":[12]}' | id)
echo "square(12) = $(ask "/v1/jobs/$job/result?wait=30")"

map=$(post --data '{"function":"square","map":[1,2,3,4,5]}' | id)
ask "/v1/jobs/$map/items?wait=30" --no-buffer

refused=$(post --data '{"function":"squere","args":[12]}')
sed -E 's/.*"status":([0-9]+).*"detail":"(([^"\\]|\\.)*)".*/\1 \2/; s/\\"/"/g' <<< "$refused"

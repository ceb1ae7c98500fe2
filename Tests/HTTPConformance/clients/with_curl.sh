#!/bin/sh
# $1 is the address, $2 an option of curl that chooses the version.
set -eu
place=$(curl -fsS "$2" -H 'Content-Type: application/json' -H 'Expect: 100-continue' \
    -d '{"function":"square","args":[12]}' -D - -o /dev/null "$1/v1/jobs" |
    tr -d '\r' | sed -n 's/^[Ll]ocation: //p')
curl -fsS "$2" -o /dev/null "$1$place?wait=20"
curl -fsS "$2" "$1$place/result"

#!/bin/bash
# repeat.sh TIMES AT_ONCE: the tests so many times, several rounds at once, which take the processors
# from each other: what depends on the machine's timing fails here. FILES="test_logs test_maps" takes
# these end to end, else all are. When a round fails no other begins, and its output is printed.
set -uo pipefail
cd "$(dirname "$0")/.."

if [ "$1" != round ]; then
  logs=$(mktemp -d)
  trap 'rm -rf "$logs"' EXIT
  seq "$1" | xargs -P "$2" -I{} "$0" round {} "$logs" "$1" && exit
  cat "$logs"/failed-* 2>/dev/null
  exit 1
fi

number=$2 logs=$3 times=$4
compgen -G "$logs/failed-*" > /dev/null && exit
export TMPDIR=$logs/$number  # SwiftPM leaves folders there
mkdir "$TMPDIR"
log=$logs/log-$number
begin=$SECONDS
# Not by SwiftPM, which lets one process at a time into a build folder.
if .build/debug/martletPackageTests.xctest --testing-library swift-testing >"$log" 2>&1 &&
  if [ -n "${FILES-}" ]; then
    (cd Tests/EndToEnd && exec python3 -m unittest -q $FILES)
  else
    python3 -m unittest discover -q -s Tests/EndToEnd
  fi >"$log" 2>&1
then
  echo "$number of $times: passed in $((SECONDS - begin)) s"
  rm -rf "$TMPDIR"
else
  mv "$log" "$logs/failed-$number"
  echo "$number of $times: failed"
  exit 1
fi

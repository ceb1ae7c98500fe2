#!/bin/bash
# All tests under a sanitizer, `thread` or `address`: Swift's, those end to end, HTTP's. A report of the
# sanitizer fails it, in whichever process. Bounds of memory are not looked at.
set -euo pipefail
cd "$(dirname "$0")/../.."
kind=$1
build=.build/${kind:0:1}san
here=$PWD/Tests/Sanitizers
reports=$PWD/$build/reports

swift build --build-tests --sanitize="$kind" --scratch-path "$build"
"$(dirname "$(readlink -f "$(command -v swift)")")/clang" -Wall -Wextra -Werror -O1 -shared -fPIC \
  -o "$build/mutex.so" "$here/mutex.c"
rm -rf "$reports"
mkdir "$reports"
TMPDIR=$(mktemp -d)  # SwiftPM leaves folders there
trap 'rm -rf "$TMPDIR"' EXIT
export TMPDIR

export TSAN_OPTIONS="suppressions=$here/thread.txt"
export ASAN_OPTIONS=detect_leaks=1 LSAN_OPTIONS="suppressions=$here/leak.txt print_suppressions=0"
[ "$kind" = address ] || export LD_PRELOAD=$PWD/$build/mutex.so
# There are no tests for XCTest, which leaks what it is made of.
swift test --skip-build --disable-xctest --sanitize="$kind" --scratch-path "$build"

# A server that is killed cannot tell by its exit status: reports go to files.
export TSAN_OPTIONS="$TSAN_OPTIONS log_path=$reports/server"
export ASAN_OPTIONS="$ASAN_OPTIONS log_path=$reports/server"
export MARTLET_BINARY=$build/debug/martlet MARTLET_SANITIZER=$kind
status=0
python3 -m unittest discover -s Tests/EndToEnd || status=$?
python3 -m unittest discover -s Tests/HTTPConformance || status=$?
if [ -n "$(ls -A "$reports")" ]; then
  cat "$reports"/*
  status=1
fi
exit "$status"

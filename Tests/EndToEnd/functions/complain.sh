#!/bin/sh
# Says something on its standard error, then returns what it was told of the trace.
echo "first" >&2
sleep 0.3
printf 'second\nlast' >&2
printf '"%s"' "$TRACEPARENT"

#!/bin/sh
# Returns its environment as a JSON string.
cat > /dev/null
printf '"'
env | tr -d '"\\\\\000-\037' | tr '\n' ' '
printf '"'

#!/bin/sh
# Fails after reading what it is to do.
cat > /dev/null
exit 3

#!/bin/sh
# Leaves a child in a group of its own, which ends by itself a little later.
setsid sleep 0.2 > /dev/null 2>&1 < /dev/null &
sleep 0.1
echo '"left"'

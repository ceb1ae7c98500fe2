#!/bin/sh
# Reads [SECONDS], waits so long, and returns its argument.
read -r arguments
seconds=${arguments#[}
sleep "${seconds%]}"
echo "$arguments"

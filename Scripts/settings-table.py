#!/usr/bin/env python3
"""Puts the table of the server's settings, as the binary prints it, into the README.

    Scripts/settings-table.py .build/debug/martlet
"""
import re
import subprocess
import sys

table = subprocess.run(
    [sys.argv[1], "config", "--markdown"], check=True, capture_output=True, text=True).stdout
with open("README.md") as file:
    text = file.read()
new, count = re.subn(r"^\| setting \|.*\n(\|.*\n)+", lambda _: table, text, flags=re.MULTILINE)
if count != 1:
    sys.exit("README.md has no table of settings, or more than one")
with open("README.md", "w") as file:
    file.write(new)

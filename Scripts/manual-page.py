#!/usr/bin/env python3
"""Prints the manual page, martlet(1), from the binary's own description of its commands.

    Scripts/manual-page.py .build/debug/martlet > Docs/martlet.1
"""
import json
import subprocess
import sys

# Groups of options that several commands have are described once.
SHARED = {
    "Job": ("JOB OPTIONS", "Taken by submit and map."),
    "Server": ("SERVER OPTIONS", "Taken by every command but serve and config."),
}

STATUSES = [
    (0, "All went well."),
    (1, "A job, or an item of a map, has failed."),
    (2, "The server did not take the request, or input could not be read."),
    (3, "There is no server, or the connection to it broke."),
    (4, "The token is missing or wrong."),
    (5, "There is no such job, function or result."),
    (6, "A job was cancelled."),
    (7, "A job has not ended in the time given."),
    (64, "The command line is wrong."),
]

ENVIRONMENT = [
    ("MARTLET_CONFIG", "The file of settings of the server, as --config."),
    ("MARTLET_NAME", "Each setting of serve, as --name: MARTLET_MAX_QUEUED is --max-queued."
     " A flag goes before a variable, this before the file. martlet config tells what is in force."),
    ("MARTLET_URL", "The server that commands talk to, as --server."),
    ("MARTLET_TOKEN", "The token that a server wants and that commands send."),
    ("MARTLET_TOKEN_FILE", "A file with the token that commands send, as --token-file."),
    ("MARTLET_CA", "A PEM file with the authorities that commands trust, as --ca."),
]

EXAMPLES = [
    ("Submit a call, wait and print its result:", "martlet submit sha256 hello --wait"),
    ("Square the numbers to 1000 on all workers:", "seq 1000 | martlet map square"),
    ("Fetch the pages of a list, 50 at once:",
     "martlet map fetch --lines --concurrency 50 --continue < urls.txt"),
    ("Cancel all that waits:", "martlet list --state queued --all -q | xargs martlet cancel"),
    ("Complete commands in this bash:",
     'source <(martlet --generate-completion-script bash)'),
]


def escape(text):
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return "\n".join("\\&" + line if line[:1] in (".", "'") else line for line in text.split("\n"))


def name(argument):
    names = sorted(argument["names"], key=lambda name: name["kind"] != "short")
    shown = ", ".join(
        "\\fB%s%s\\fR" % ("\\-" if one["kind"] == "short" else "\\-\\-", escape(one["name"]))
        for one in names)
    if argument["kind"] == "option":
        shown += " \\fI%s\\fR" % escape(argument["valueName"])
    return shown


def described(argument):
    text = " ".join(
        part for part in (argument.get("abstract"), argument.get("discussion")) if part)
    value = argument.get("defaultValue")
    if value and "(default" not in text and argument["kind"] != "flag":
        text += " (default: %s)" % value
    return escape(text)


def options(arguments):
    for argument in arguments:
        yield ".TP\n" + name(argument)
        yield described(argument)


def visible(command):
    return [
        argument for argument in command.get("arguments", [])
        if argument["shouldDisplay"] and argument["valueName"] not in ("help", "version")]


def command_section(command):
    arguments = visible(command)
    synopsis = "\\fBmartlet %s\\fR" % escape(command["commandName"])
    if any(argument["kind"] != "positional" for argument in arguments):
        synopsis += " [\\fIoptions\\fR]"
    for argument in arguments:
        if argument["kind"] == "positional":
            shown = "\\fI%s\\fR" % escape(argument["valueName"])
            if argument["isRepeating"]:
                shown += " ..."
            synopsis += " [%s]" % shown if argument["isOptional"] else " " + shown
    yield ".SS " + command["commandName"]
    yield synopsis
    yield ".PP"
    yield escape(command["abstract"])
    if command.get("discussion"):
        yield escape(command["discussion"])
    for argument in arguments:
        if argument["kind"] == "positional":
            yield ".TP\n\\fI%s\\fR" % escape(argument["valueName"])
            yield described(argument)
    yield from options(
        argument for argument in arguments
        if argument["kind"] != "positional" and argument.get("sectionTitle") not in SHARED
        and not is_setting(command, argument))


def is_setting(command, argument):
    """Whether it is one of those that `config` has of `serve`, where it is described."""
    return command["commandName"] == "config" and argument["names"][0]["name"] != "json"


def page(command):
    commands = [
        sub for sub in command["subcommands"] if sub["shouldDisplay"] and sub["commandName"] != "help"]
    yield '.\\" Made by Scripts/manual-page.py; do not edit.'
    yield ".TH MARTLET 1"
    yield ".SH NAME\nmartlet \\- " + escape(command["abstract"][0].lower() + command["abstract"][1:-1])
    yield ".SH SYNOPSIS\n\\fBmartlet\\fR \\fIcommand\\fR [\\fIoptions\\fR] [\\fIarguments\\fR]"
    yield ".SH DESCRIPTION"
    yield ("\\fBmartlet serve\\fR is the server; it is what \\fBmartlet\\fR without a command starts. "
           "The other commands talk to a server.")
    yield ".SH COMMANDS"
    for sub in commands:
        yield from command_section(sub)
    for title, (heading, text) in SHARED.items():
        holder = next(
            sub for sub in commands
            if any(argument.get("sectionTitle") == title for argument in visible(sub)))
        yield ".SH %s\n%s" % (heading, text)
        yield from options(
            argument for argument in visible(holder) if argument.get("sectionTitle") == title)
    yield ".SH ENVIRONMENT"
    for variable, text in ENVIRONMENT:
        yield ".TP\n.B %s\n%s" % (variable, escape(text))
    yield ".SH EXIT STATUS"
    for status, text in STATUSES:
        yield ".TP\n.B %d\n%s" % (status, escape(text))
    yield ".SH EXAMPLES"
    for text, line in EXAMPLES:
        yield ".PP\n%s\n.PP\n.nf\n.RS\n%s\n.RE\n.fi" % (escape(text), escape(line))


def main():
    dump = subprocess.run(
        [sys.argv[1], "--experimental-dump-help"], check=True, capture_output=True, text=True)
    print("\n".join(page(json.loads(dump.stdout)["command"])))


if __name__ == "__main__":
    main()

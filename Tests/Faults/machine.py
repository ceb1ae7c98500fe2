"""The machine under the faults: processes, descriptors and memory, as /proc shows them."""

import collections
import os
import time


class Broken(Exception):
    """A promise that did not hold."""


def check(condition, *what):
    if not condition:
        raise Broken(" ".join(map(str, what)))


def until(condition, what, seconds=30):
    deadline = time.monotonic() + seconds
    while not condition():
        check(time.monotonic() < deadline, "did not come true:", what)
        time.sleep(0.01)


def descendants(pid):
    """The processes below one, found by their parents; zombies left out."""
    parents = collections.defaultdict(list)
    for name in os.listdir("/proc"):
        if name.isdigit():
            state, parent = status_of(int(name))
            if state not in ("Z", None):
                parents[parent].append(int(name))
    found, open_ = [], [pid]
    while open_:
        below = parents[open_.pop()]
        found += below
        open_ += below
    return found


def status_of(pid):
    try:
        with open("/proc/%d/stat" % pid) as file:
            state, parent = file.read().rsplit(")", 1)[1].split()[:2]
            return state, int(parent)
    except OSError:
        return None, 0


def is_alive(pid):
    return status_of(pid)[0] not in ("Z", None)


def descriptors(pid):
    return len(os.listdir("/proc/%d/fd" % pid))


def memory(pid):
    """Bytes that the process has in memory."""
    with open("/proc/%d/statm" % pid) as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE")


def zombies(pid):
    """The processes that have ended and that their parent, this one, has not reaped."""
    return [int(name) for name in os.listdir("/proc")
            if name.isdigit() and status_of(int(name)) == ("Z", pid)]

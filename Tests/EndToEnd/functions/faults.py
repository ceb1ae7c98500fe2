"""Functions for the tests of faults."""
import os
import time

import martlet


@martlet.function(retry=5)
def permanent(path):
    with open(path, "a") as file:
        file.write("x")
    raise martlet.Permanent("it would only fail again")


@martlet.function
def asks_for_time(path, seconds):
    """Fails once, and asks to be tried again after some seconds."""
    if not os.path.exists(path):
        open(path, "w").close()
        raise martlet.Retry("not yet", after=seconds)
    return "now"


@martlet.function
def grow_and_die(megabytes):
    held = bytearray(megabytes << 20)
    os._exit(len(held) % 251 or 7)


@martlet.function
def die_of(path, number):
    """Notes that it ran, then has a signal end its worker."""
    with open(path, "a") as file:
        file.write("x")
    os.kill(os.getpid(), number)


@martlet.function
def hold(megabytes):
    """Holds so much memory for a moment; tells the worker."""
    held = bytearray(megabytes << 20)
    return [os.getpid(), len(held) >> 20]


@martlet.function(max_memory_bytes=200 << 20)
def hold_within(megabytes):
    return len(bytearray(megabytes << 20)) >> 20


@martlet.function
def burn(seconds):
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass
    return os.getpid()


@martlet.function
async def half_a_pair():
    """What os.fsdecode makes of a name that is not UTF-8."""
    return os.fsdecode(b"caf\xe9")


@martlet.function
async def nest(levels):
    nested = []
    for _ in range(levels):
        nested = [nested]
    return nested


@martlet.function
def repeat(count):
    return "x" * count


@martlet.function
def keep_and_tell(megabytes):
    """Leaks so much memory; tells the worker."""
    kept.append(b"x" * (megabytes << 20))
    return os.getpid()


kept = []


@martlet.function
def open_files(count):
    files = [open("/dev/null") for _ in range(count)]
    return len(files)

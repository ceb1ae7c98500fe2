"""Functions that hold memory, or have processes, in other ways than by themselves."""

import mmap
import os
import subprocess
import sys
import time

import martlet

HOLD = "import sys; held = b'x' * (int(sys.argv[1]) << 20); print('held', flush=True); sys.stdin.read()"
kept = []


@martlet.function
def hold_itself(megabytes):
    """Tells the worker."""
    return [os.getpid(), len(b"x" * (megabytes << 20)) >> 20]


@martlet.function
def hold_in_children(count, megabytes):
    """Has so many processes, each in a session of its own, hold so much at once; tells the worker.

    An rlimit of the worker's is each child's too, but of that child alone.
    """
    children = [subprocess.Popen([sys.executable, "-c", HOLD, str(megabytes)], text=True,
                                 stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                 start_new_session=True) for _ in range(count)]
    said = [child.stdout.readline().strip() for child in children]
    for child in children:
        child.communicate()
    return [os.getpid(), said]


@martlet.function
def hold_in_shared_memory(megabytes):
    """No rlimit knows of it."""
    with mmap.mmap(-1, megabytes << 20) as shared:
        for offset in range(0, len(shared), 4096):
            shared[offset] = 1
    return os.getpid()


@martlet.function
def keep(megabytes, seconds=0):
    """Leaks so much, and stays for so long; tells the worker."""
    kept.append(b"x" * (megabytes << 20))
    time.sleep(seconds)
    return os.getpid()


@martlet.function
def work(seconds):
    """Tells the worker."""
    time.sleep(seconds)
    return os.getpid()


@martlet.function
def start_many(count):
    """Tells how many processes it could start."""
    started = []
    try:
        for _ in range(count):
            started.append(subprocess.Popen(["sleep", "100"]))
    except OSError:
        pass
    finally:
        for child in started:
            child.kill()
            child.wait()
    return len(started)


@martlet.function
def be_killed():
    os.kill(os.getpid(), 9)

"""Functions that try to reach past their sandbox, and say how far they got."""

import os
import random
import resource
import signal
import socket
import subprocess
import sys
import time

import martlet

# Another one in each worker, whose process ids are all alike.
worker = random.random()
held = []


def refused(attempt):
    """The name of the error that an attempt ends with; None when it is let."""
    try:
        attempt()
    except OSError as error:
        return type(error).__name__
    return None


@martlet.function(pools=["process", "thread"])
def connect(host, port):
    return refused(lambda: socket.create_connection((host, port), 5).close())


@martlet.function
async def connect_later(host, port):
    return refused(lambda: socket.create_connection((host, port), 5).close())


@martlet.function(pools=["process", "thread"])
def write(path):
    def attempt():
        with open(path, "w") as file:
            file.write("x")
    return refused(attempt)


@martlet.function(pools=["process", "thread"])
def read(path):
    try:
        with open(path, "rb") as file:
            return file.read(1000).decode("latin-1")
    except OSError as error:
        return {"error": type(error).__name__}


@martlet.function
def exists(paths):
    return [path for path in paths if os.path.exists(path)]


@martlet.function
def processes():
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            with open("/proc/%s/cmdline" % name, "rb") as file:
                found.append(file.read().split(b"\0")[0].decode())
    return sorted(found)


@martlet.function
def mount():
    return subprocess.run(["unshare", "--user", "--map-root-user", "true"],
                          capture_output=True).returncode


@martlet.function
def has_terminal():
    return refused(lambda: os.close(os.open("/dev/tty", os.O_RDWR))) is None


@martlet.function
def leave_others(seconds):
    """Starts processes, one in a session of its own, and works on."""
    subprocess.Popen(["sleep", "1000"])
    subprocess.Popen(["sleep", "1000"], start_new_session=True)
    time.sleep(seconds)


@martlet.function
def refuse_to_stop(seconds):
    signal.signal(signal.SIGTERM, lambda *_: print("asked to stop", flush=True))
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        time.sleep(0.05)


@martlet.function
def end_by(how, value):
    if how == "signal":
        os.kill(os.getpid(), value)
    elif how == "abort":
        os.abort()
    else:
        os._exit(value)


@martlet.function
def burn(seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass


@martlet.function
def hold(megabytes):
    return len(bytearray(megabytes << 20)) >> 20


@martlet.function
def grow(megabytes):
    held.append(bytearray(b"x") * (megabytes << 20))
    return worker


@martlet.function
def open_files():
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


@martlet.function
def in_parallel(items):
    """As libraries do, which share locks and memory in /dev/shm."""
    import multiprocessing
    with multiprocessing.Pool(2) as pool:
        return pool.map(abs, items)


@martlet.function
def blob_sum(digest):
    return sum(martlet.blob(digest))


@martlet.function
def depth(n):
    if n == 0:
        return 0
    with martlet.Client() as client:
        return 1 + client.run("depth", args=[n - 1], wait=60)


@martlet.function
def where():
    return [sys.executable, os.getcwd(), os.environ["HOME"]]

"""Functions for the fault suite: each run of a job leaves a line in a file of notes."""
import asyncio
import contextlib
import os
import signal
import subprocess
import time

import martlet


def note(path, text):
    with open(path, "a") as file:
        file.write(text + "\n")


@martlet.function(pools=["process", "thread"])
def work(name, path, seconds, ballast=""):
    """Notes that it ran to its end."""
    time.sleep(seconds)
    note(path, name)
    return name + ballast


@martlet.function
async def work_async(name, path, seconds, ballast=""):
    await asyncio.sleep(seconds)
    note(path, name)
    return name + ballast


@martlet.function
def end_by(number):
    os.kill(os.getpid(), number)


@martlet.function
def exit_with(status):
    os._exit(status)


@martlet.function
def want_memory(megabytes):
    return len(bytearray(megabytes << 20))


@martlet.function
def want_descriptors():
    return len([open("/dev/null") for _ in range(1_000_000)])


@martlet.function
def raise_error():
    raise KeyError("as planned")


def begin(path):
    """Notes the process's id, whole or not at all."""
    with open(path + ".part", "w") as file:
        file.write(str(os.getpid()))
    os.rename(path + ".part", path)


@contextlib.contextmanager
def ended(path):
    """Notes that nothing of the call runs any more."""
    try:
        yield
    finally:
        note(path + ".ended", "")


@martlet.function(pools=["process", "thread"])
def compute(path):
    with ended(path):
        begin(path)
        while True:
            pass


@martlet.function(pools=["process", "thread"])
def sleep_long(path):
    begin(path)
    time.sleep(600)


@martlet.function
def sleep_once(path):
    if not os.path.exists(path):
        begin(path)
        time.sleep(600)


@martlet.function(pools=["thread"])
def fail_once(path):
    if not os.path.exists(path):
        begin(path)
        raise OSError("the first time")


@martlet.function
def ignore_the_signal(path):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    begin(path)
    while True:
        time.sleep(1)


@martlet.function
def fork_a_grandchild(path):
    child = subprocess.Popen(
        ["sh", "-c", 'setsid sh -c "echo \\$\\$ > %s.part; mv %s.part %s; sleep 600" & wait'
         % (path, path, path)])
    child.wait()


@martlet.function
async def wait_async(path):
    with ended(path):
        begin(path)
        await asyncio.sleep(600)

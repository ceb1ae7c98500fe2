"""Functions that pay no heed when they are asked to stop."""
import asyncio
import os
import time

import martlet


def begin(path):
    """Notes the process's id, whole or not at all."""
    with open(path + ".part", "w") as file:
        file.write(str(os.getpid()))
    os.rename(path + ".part", path)


@martlet.function(pool="thread")
def sleep_deaf(path):
    begin(path)
    time.sleep(600)  # in C: an exception in the thread waits for its end


@martlet.function
async def catch_all(path):
    begin(path)
    while True:
        try:
            await asyncio.sleep(600)
        except asyncio.CancelledError:
            pass


@martlet.function(pools=["thread", "process"])
def count_to(path, seconds):
    begin(path)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        time.sleep(0.05)
    return os.getpid()


@martlet.function
async def count_async(path, seconds):
    begin(path)
    await asyncio.sleep(seconds)
    return os.getpid()

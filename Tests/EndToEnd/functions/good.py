import asyncio
import os
import signal
import time

import martlet


@martlet.function
def py_square(x):
    return x * x


@martlet.function
async def later_square(x):
    return x * x


@martlet.function
async def later(seconds):
    await asyncio.sleep(seconds)


@martlet.function
def nap(seconds):
    time.sleep(seconds)


@martlet.function
def even_only(x):
    if x % 2:
        raise ValueError("odd")
    return x


@martlet.function
def fail(message):
    raise ValueError(message)


@martlet.function
def spin(seconds):
    end = time.time() + seconds
    while time.time() < end:
        pass


@martlet.function
def write_pid_and_spin(path):
    with open(path, "w") as file:
        file.write(str(os.getpid()))
    spin(60)


@martlet.function
def noted_square(x, path):
    """Squares after a moment, and notes that it ran."""
    time.sleep(0.02)
    with open(path, "a") as file:
        file.write("%d\n" % x)
    return x * x


@martlet.function
def note_when_open(name, gate, notes):
    """Waits for the file `gate`, then appends its name to the file `notes`."""
    while not os.path.exists(gate):
        time.sleep(0.01)
    with open(notes, "a") as file:
        file.write(name + "\n")
    return name


@martlet.function
def kill_oneself():
    os.kill(os.getpid(), signal.SIGKILL)

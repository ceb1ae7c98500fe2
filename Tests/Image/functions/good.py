import os
import time

import martlet


@martlet.function
def py_square(x):
    return x * x


@martlet.function
def nap(seconds):
    time.sleep(seconds)
    return seconds


@martlet.function
def can_write(path):
    """Whether the root of the container lets itself be written to."""
    try:
        with open(path, "w"):
            return True
    except OSError:
        return False


@martlet.function
def user():
    return [os.getuid(), os.getgid()]


@martlet.function
async def later(x):
    return x

"""What the tests of the client call by name."""

import os
import time

import martlet


@martlet.function
def square(x: int) -> int:
    return x * x


@martlet.function
def power(base, exponent=2):
    return base ** exponent


@martlet.function
def odd_only(x):
    if x % 2 == 0:
        raise ValueError("%d is even" % x)
    return x


@martlet.function
def nap(seconds):
    time.sleep(seconds)
    return seconds


@martlet.function
def die(status):
    os._exit(status)


@martlet.function
async def later(x):
    return x


@martlet.function
def blob_length(digest):
    return len(martlet.blob(digest))

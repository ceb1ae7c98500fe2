"""What Martlet runs in the benchmarks; the peers run the same functions."""
import asyncio

import martlet


@martlet.function(name="py_square")  # "square" is the native one
def square(x):
    return x * x


@martlet.function
def burn(n):
    total = 0
    for i in range(n):
        total += i * i
    return total


@martlet.function
async def nap(seconds):
    await asyncio.sleep(seconds)
    return seconds

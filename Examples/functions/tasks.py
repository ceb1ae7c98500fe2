"""The functions of the demo; every file in this folder is served by `martlet serve --functions`."""

import asyncio
import time

import martlet


@martlet.function
def py_square(x: float):
    """The square of a number, in Python."""
    return x * x


@martlet.function(pools=["process", "thread"])
def nap(seconds: float) -> float:
    """Sleeps, holding its worker or thread."""
    time.sleep(seconds)
    return seconds


@martlet.function
def blob_mean(digest: str) -> float:
    """The mean of the 64-bit numbers of a blob, which is mapped into memory and not read."""
    numbers = martlet.blob(digest).cast("d")
    return sum(numbers) / len(numbers)


@martlet.function
async def pause(seconds: float) -> float:
    """Sleeps as a coroutine: thousands at once."""
    await asyncio.sleep(seconds)
    return seconds


@martlet.function
def heavy_task(n: int) -> int:
    """Sums squares in pure Python: about a second for ten million."""
    return sum(i * i for i in range(n))


@martlet.function
def merge(counts: list) -> dict:
    """Adds up word counts."""
    total = {}
    for count in counts:
        for word, number in count.items():
            total[word] = total.get(word, 0) + number
    return total


@martlet.function
def fail(message: str):
    """Raises a ValueError."""
    raise ValueError(message)

"""The peers that are used inside a Python program: `programs.py CASE` prints {"seconds": …} for one run.

Pools exist and have run one item before the clock starts.
"""
import json
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "peers"))
from tasks import burn, square

ITEMS = list(range(100_000))
BURN = 12_000_000  # about a second


def pool_map(**options):
    import multiprocessing
    with multiprocessing.Pool(2) as pool:
        pool.map(square, [1, 2])
        yield
        yield pool.map(square, ITEMS, **options) == [x * x for x in ITEMS]


def loky_map():
    from joblib import Parallel, delayed
    with Parallel(n_jobs=2) as parallel:
        parallel(delayed(square)(x) for x in range(4))
        yield
        yield parallel(delayed(square)(x) for x in ITEMS) == [x * x for x in ITEMS]


def serial_burn():
    yield
    yield len({burn(BURN) for _ in range(8)}) == 1


def executor_burn():
    from concurrent.futures import ProcessPoolExecutor
    with ProcessPoolExecutor(2) as pool:
        list(pool.map(burn, [1, 1]))
        yield
        yield len(set(pool.map(burn, [BURN] * 8))) == 1


def asyncio_sleeps():
    import asyncio

    async def all_of_them():
        return await asyncio.gather(*(asyncio.sleep(1, 1) for _ in range(10_000)))
    yield
    yield sum(asyncio.run(all_of_them())) == 10_000


def executor_latency():
    """Median seconds of submit().result()."""
    from concurrent.futures import ProcessPoolExecutor
    with ProcessPoolExecutor(2) as pool:
        yield from latency(lambda: pool.submit(square, 5).result())


def celery_latency():
    """Median seconds of delay().get(); the stack is started by the caller."""
    import celery_app
    yield from latency(lambda: celery_app.square.delay(5).get())


def latency(call):
    times = []
    for _ in range(50):
        call()
    for _ in range(1000):
        began = time.perf_counter()
        call()
        times.append(time.perf_counter() - began)
    yield
    yield sorted(times)[len(times) // 2]


def aiohttp_fetch():
    """Seconds of 2,000 pages over 100 connections; BENCH_URL is the first part of their URL."""
    import asyncio

    import aiohttp
    url, count = os.environ["BENCH_URL"], int(os.environ["BENCH_PAGES"])

    async def all_of_them():
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=100)) as session:
            async def get(n):
                async with session.get(url + str(n)) as response:
                    return len(await response.read())
            return await asyncio.gather(*(get(n) for n in range(count)))
    yield
    yield set(asyncio.run(all_of_them())) == {2048}


CASES = {
    "aiohttp_fetch": aiohttp_fetch,
    "pool_map": pool_map, "pool_map_chunk1": lambda: pool_map(chunksize=1), "loky_map": loky_map,
    "serial_burn": serial_burn, "executor_burn": executor_burn, "asyncio_sleeps": asyncio_sleeps,
    "executor_latency": executor_latency, "celery_latency": celery_latency,
}

if __name__ == "__main__":
    steps = CASES[sys.argv[1]]()
    next(steps)
    began = time.perf_counter()
    outcome = next(steps)
    seconds = time.perf_counter() - began
    if outcome is False:
        sys.exit("%s: wrong result" % sys.argv[1])
    for _ in steps:
        pass
    print(json.dumps({"seconds": seconds if outcome is True else outcome}))

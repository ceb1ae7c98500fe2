"""The programs of parallel Python as jobs: what each did, its wall time, and the time one by one.

The time one by one is measured where the program computes or fetches, and is the sum of the
sleeps where it sleeps. Ends with an error when a result is wrong or a bound is passed.
"""

import glob
import json
import sys
import time

from server import ROOT, Server
from website import Website

# What the server itself, without its workers, may need for the programs here; about 300 MiB are
# usual on two cores.
MEMORY_BOUND_MIB = 400


def main():
    with Server(".build/release/martlet", ROOT + "/Examples/functions", processes=5) as server:
        warm_up(server)
        print("%-52s %9s %12s" % ("the program as a job", "took", "one by one"))
        for program in (sleep_in_threads, sleep_in_processes, pool_map, gather, joblib_parallel,
                        scrape, count_words, compute, square_a_million):
            program(server)
        if server.stop() != 0:
            sys.exit("the server did not stop well")
    print("stopped")


def warm_up(server):
    """Starts each kind of worker, which takes longer than what is to be timed."""
    for pool, function in ("process", "nap"), ("thread", "nap"), ("async", "pause"):
        server.run(function=function, pool=pool, map=[0.1] * 5, chunk=1)


def sleep_in_threads(server):
    show("five threads that sleep 2 s", 10, lambda: expect(
        server.run(function="nap", pool="thread", map=[2] * 5, chunk=1), [2] * 5))


def sleep_in_processes(server):
    show("five processes that sleep 2 s", 10, lambda: expect(
        server.run(function="nap", pool="process", map=[2] * 5, chunk=1), [2] * 5))


def pool_map(server):
    items = [1, 2, 3, 4, 5]
    show("Pool(4).map(square, [1, 2, 3, 4, 5])", timed(lambda: [x * x for x in items]),
         lambda: expect(server.run(function="py_square", map=items, concurrency=4),
                        [1, 4, 9, 16, 25]))


def gather(server):
    for count in 5, 5000:
        show("asyncio.gather of %d coroutines that sleep 1 s" % count, count, lambda: expect(
            server.run(function="pause", map=[1] * count), [1] * count))


def joblib_parallel(server):
    items = [200_000 + i for i in range(20)]
    local = []
    serial = timed(lambda: local.extend(sum(i * i for i in range(n)) for n in items))
    show("Parallel(n_jobs=4)(delayed(heavy_task)(i) …)", serial, lambda: expect(
        server.run(function="heavy_task", map=items, concurrency=4), local))


def scrape(server):
    """200 pages that take 20 ms each, from a site of our own."""
    with Website(delay=0.02) as site:
        urls = ["%s/page/%d" % (site.address, i) for i in range(200)]
        titles = ["Page %d" % i for i in range(200)]

        def run(function, **how):
            return expect(server.run(function=function, map=urls, **how), titles)

        serial = timed(lambda: run("scrape", concurrency=1))
        show("scrape of 200 pages, 8 threads", serial, lambda: run("scrape", chunk=1))
        show("scrape of 200 pages, coroutines", serial, lambda: run("scrape_async", chunk=1))


def count_words(server):
    paths = sorted(glob.glob("/usr/share/common-licenses/*"))

    def merged(**how):
        counts = server.run(function="word_count", map=paths, **how)
        total = server.run(function="merge", args=[counts])
        word = max(total, key=total.get)
        return "%d texts, most often “%s”, %d times" % (len(paths), word, total[word])

    serial = timed(lambda: merged(concurrency=1, chunk=1))
    show("word counts of the Debian licences, merged", serial, merged)


def compute(server):
    n = 2_000_000
    right = [sum(i * i for i in range(n))] * 6
    took = {}
    for width in 1, 2:
        took[width] = show(
            "heavy_task of 2,000,000, six times, concurrency %d" % width, took.get(1),
            lambda: expect(server.run(
                function="heavy_task", map=[n] * 6, concurrency=width, chunk=1), right))
    print("    speed-up at concurrency 2: %.2f" % (took[1] / took[2]))


def square_a_million(server):
    items = list(range(1_000_000))
    right = [i * i for i in items]
    serial = timed(lambda: [i * i for i in items])
    for title, function in ("native", "square"), ("Python", "py_square"):
        show("%s square of 1,000,000 integers" % title, serial, lambda: expect(
            server.run(function=function, map=items), right))
    peak = peak_memory(server.process.pid)
    print("    the server's peak memory: %d MiB" % peak)
    if peak > MEMORY_BOUND_MIB:
        sys.exit("that is more than %d MiB" % MEMORY_BOUND_MIB)


def show(title, serial, program):
    """Runs a program, prints its line, and returns the seconds that it took."""
    start = time.perf_counter()
    said = program()
    took = time.perf_counter() - start
    beside = "%10.2f s" % serial if serial is not None else " " * 12
    print("%-52s %7.2f s %s   %s" % (title, took, beside, said), flush=True)
    return took


def expect(result, wanted):
    if result != wanted:
        sys.exit("wrong result: %.200r" % (result,))
    text = json.dumps(result)
    return text if len(text) < 30 else "{:,} results".format(len(result))


def timed(program):
    start = time.perf_counter()
    program()
    return time.perf_counter() - start


def peak_memory(process):
    """MiB that the process has had resident at most."""
    with open("/proc/%d/status" % process) as file:
        line = next(line for line in file if line.startswith("VmHWM:"))
    return int(line.split()[1]) // 1024


if __name__ == "__main__":
    main()

"""The programs of parallel Python as jobs: what each did, its wall time, and the time one by one.

The latter is measured for computing; for sleeps it is their sum.
"""

import glob
import sys
import time

from server import ROOT, Server


def show(title, serial, did):
    start = time.perf_counter()
    said = did()
    took = time.perf_counter() - start
    beside = "one by one %8.2f s" % serial if serial else " " * 21
    print("%-46s %7.2f s   %s   %s" % (title, took, beside, said), flush=True)


def timed(did):
    start = time.perf_counter()
    did()
    return time.perf_counter() - start


def main():
    with Server(".build/release/martlet", ROOT + "/Examples/functions") as server:
        run = server.run
        run(function="py_square", map=[1, 2])
        run(function="pause", args=[0])
        run(function="nap", pool="thread", args=[0])

        def expect(result, wanted):
            if result != wanted:
                sys.exit("wrong result: %r" % (result,))
            return repr(result) if len(repr(result)) < 40 else "%d results" % len(result)

        show("Pool(4).map(square, [1, 2, 3, 4, 5])", 0, lambda: expect(
            run(function="py_square", map=[1, 2, 3, 4, 5], concurrency=4), [1, 4, 9, 16, 25]))
        show("5 threads sleeping 2 s", 10, lambda: expect(
            run(function="nap", pool="thread", map=[2] * 5, chunk=1), [2] * 5))
        show("5 processes (2 at a time) sleeping 0.5 s", 2.5, lambda: expect(
            run(function="nap", map=[0.5] * 5, chunk=1), [0.5] * 5))
        for count in (5, 5000):
            show("asyncio.gather of %d sleeps of 1 s" % count, count, lambda: expect(
                run(function="pause", map=[1] * count), [1] * count))
        n = 3_000_000
        serial = timed(lambda: [sum(i * i for i in range(n)) for _ in range(4)])
        for width in (1, 2):
            show("4 × heavy_task, concurrency %d" % width, serial, lambda: expect(
                run(function="heavy_task", map=[n] * 4, concurrency=width, chunk=1),
                [sum(i * i for i in range(n))] * 4))
        paths = sorted(p for p in glob.glob("/usr/share/common-licenses/*"))

        def words():
            counts = run(function="word_count", map=paths)
            total = run(function="merge", args=[counts])
            word = max(total, key=total.get)
            return "%d texts, most frequent: %s (%d)" % (len(paths), word, total[word])

        show("word counts of the licences, merged", 0, words)
        items = list(range(100_000))
        show("native square over 100,000 integers", 0, lambda: expect(
            run(function="square", map=items), [i * i for i in items]))
        show("Python square over 100,000 integers", 0, lambda: expect(
            run(function="py_square", map=items), [i * i for i in items]))
        if server.stop() != 0:
            sys.exit("the server did not stop well")
    print("stopped")


main()

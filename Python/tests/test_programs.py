"""Programs as people write them, run on a Martlet server."""

import collections
import csv
import io
import os
import random
import subprocess
import sys
import tempfile
import unittest

import support
import martlet

# A program for concurrent.futures, of which nothing but the import is changed.
PRIMES = '''
import math
import concurrent.futures

NUMBERS = [112272535095293, 112582705942171, 115280095190773, 115797848077099, 1099726899285419]

def is_prime(n):
    if n % 2 == 0:
        return False
    return all(n % i for i in range(3, math.isqrt(n) // 100, 2))

def main():
    with concurrent.futures.ProcessPoolExecutor() as executor:
        for number, prime in zip(NUMBERS, executor.map(is_prime, NUMBERS)):
            print("%d is prime: %s" % (number, prime))
        futures = {executor.submit(pow, n, 2, 97): n for n in NUMBERS}
        found = {futures[f]: f.result() for f in concurrent.futures.as_completed(futures)}
        print(sorted(found.items()))

if __name__ == "__main__":
    main()
'''
COUNTS = '''
import multiprocessing
import time

def work(x):
    time.sleep(0.001)
    return x, x * x

def add(x, y):
    return x + y

if __name__ == "__main__":
    with multiprocessing.Pool(4) as pool:
        print(pool.map(work, range(10)))
        print(dict(pool.imap_unordered(work, range(100))) == {x: x * x for x in range(100)})
        print(pool.starmap(add, [(1, 2), (3, 4)]), pool.apply_async(add, (5, 6)).get(timeout=30))
        try:
            pool.apply(add, (1, "a"))
        except TypeError as error:
            print(error)
'''


def setUpModule():
    global server
    server = support.start("--allow-pickle")


def tearDownModule():
    server.__exit__()


def run(program):
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=100,
        env=dict(os.environ, MARTLET_URL=support.url(server),
                 PYTHONPATH=os.path.dirname(support.TESTS)))
    if done.returncode:
        raise AssertionError(done.stderr)
    return done.stdout


class UnchangedProgramTests(unittest.TestCase):
    def both(self, program, old, new):
        with tempfile.TemporaryDirectory() as folder:
            path = folder + "/program.py"
            with open(path, "w") as file:
                file.write(program)
            local = subprocess.run([sys.executable, path], capture_output=True, text=True,
                                   timeout=100)
        self.assertEqual(local.returncode, 0, local.stderr)
        self.assertIn(old, program)
        self.assertEqual(run(program.replace(old, new)), local.stdout)

    def test_a_program_for_futures_says_what_it_says_locally(self):
        self.both(PRIMES, "import concurrent.futures\n",
                  "import concurrent.futures, martlet\n"
                  "concurrent.futures.ProcessPoolExecutor = martlet.Executor\n")

    def test_a_program_for_multiprocessing_says_what_it_says_locally(self):
        self.both(COUNTS, "import multiprocessing\n",
                  "import multiprocessing, martlet\nmultiprocessing.Pool = martlet.Pool\n")


def totals(path, start, end):
    """Count and sum of the amounts by shop, of the lines that begin between two offsets."""
    found = collections.defaultdict(lambda: [0, 0])
    with open(path, "rb") as file:
        if start:
            file.seek(start - 1)
            file.readline()  # the rest of a line that began before
        lines = []
        while file.tell() < end:
            line = file.readline()
            if not line:
                break
            lines.append(line)
    for shop, amount, _ in csv.reader(io.StringIO(b"".join(lines).decode())):
        entry = found[shop]
        entry[0] += 1
        entry[1] += int(amount)
    return {shop: tuple(entry) for shop, entry in found.items()}


def merged(parts):
    whole = collections.defaultdict(lambda: (0, 0))
    for part in parts:
        for shop, (count, amount) in part.items():
            whole[shop] = (whole[shop][0] + count, whole[shop][1] + amount)
    return dict(whole)


class DataTests(unittest.TestCase):
    def test_a_large_file_is_grouped_by_map_and_reduce(self):
        numbers = random.Random(7)
        with tempfile.TemporaryDirectory() as folder:
            path = folder + "/sales.csv"
            with open(path, "w") as file:
                for _ in range(70):
                    file.write("".join(
                        "shop %d,%d,%s\n" % (numbers.randrange(40), numbers.randrange(1000), "x" * 30)
                        for _ in range(17_000)))
            size = os.path.getsize(path)
            self.assertGreater(size, 50_000_000)
            parts = [(path, start, min(start + (4 << 20), size))
                     for start in range(0, size, 4 << 20)]
            with martlet.Executor(url=support.url(server)) as executor:
                mapped = list(executor.map(totals, *zip(*parts)))
                reduced = executor.submit(merged, mapped).result()
            self.assertEqual(reduced, totals(path, 0, size))
            self.assertEqual(sum(count for count, _ in reduced.values()), 70 * 17_000)


if __name__ == "__main__":
    unittest.main()

"""martlet.Pool as multiprocessing.Pool promises."""

import gc
import itertools
import multiprocessing
import os
import pickle
import tempfile
import threading
import time
import unittest
import weakref

import support
import martlet


def setUpModule():
    global server, client, pool
    server = support.start("--allow-pickle")
    client = martlet.Client(support.url(server))
    pool = new_pool(4)


def tearDownModule():
    pool.terminate()
    pool.join()
    client.close()
    server.__exit__()


def new_pool(*args, **members):
    return martlet.Pool(*args, url=support.url(server), **members)


def square(x, wait=0.0):
    time.sleep(wait)
    return x * x


def fail_at_three(x):
    if x == 3:
        raise KeyError(x)
    return x


class ApplyTests(unittest.TestCase):
    def test_apply(self):
        self.assertEqual(pool.apply(square, (5,)), 25)
        self.assertEqual(pool.apply(square, (), {"x": 3}), 9)
        self.assertEqual(pool.apply("power", (2, 3)), 8)
        with self.assertRaises(KeyError) as raised:
            pool.apply(fail_at_three, (3,))
        self.assertIn("in fail_at_three", str(raised.exception.__cause__))

    def test_an_asynchronous_result(self):
        result = pool.apply_async(square, (7, 0.4))
        self.assertFalse(result.ready())
        with self.assertRaises(ValueError):
            result.successful()
        with self.assertRaises(multiprocessing.TimeoutError):
            result.get(timeout=0.01)
        result.wait(20)
        self.assertTrue(result.ready() and result.successful())
        self.assertEqual((result.get(), result.get()), (49, 49))
        failed = pool.apply_async(fail_at_three, (3,))
        failed.wait()
        self.assertFalse(failed.successful())
        with self.assertRaises(KeyError):
            failed.get()

    def test_callbacks_are_called_before_the_result_is_ready(self):
        seen = []
        pool.apply_async(square, (2,), callback=seen.append).wait()
        pool.apply_async(fail_at_three, (3,), error_callback=seen.append).wait()
        pool.map_async(square, [1, 2], callback=seen.append).wait()
        pool.map_async(fail_at_three, [3], error_callback=seen.append).wait()
        self.assertEqual([seen[0], seen[2]], [4, [1, 4]])
        self.assertEqual([type(each) for each in (seen[1], seen[3])], [KeyError, KeyError])

    def test_what_cannot_be_pickled_is_told_by_get(self):
        seen = []
        result = pool.apply_async(id, (threading.Lock(),), error_callback=seen.append)
        with self.assertRaises(TypeError):
            result.get(20)
        self.assertEqual(len(seen), 1)
        with self.assertRaises(Exception):
            pool.apply(lambda: threading.Lock())
        self.assertEqual(pool.apply(square, (3,)), 9)


class MapTests(unittest.TestCase):
    def test_map_and_starmap_with_chunks_of_all_sizes(self):
        items = list(range(100))
        for size in (None, 1, 7, 100, 1000):
            with self.subTest(size=size):
                self.assertEqual(pool.map(square, items, size), [x * x for x in items])
                self.assertEqual(
                    pool.starmap(pow, [(x, 2) for x in items], size), [x * x for x in items])
        self.assertEqual(pool.map(square, []), [])
        self.assertEqual(pool.map(square, (x for x in range(3))), [0, 1, 4])
        self.assertEqual(pool.map("power", [2, 3]), [4, 9])
        self.assertEqual(pool.starmap("power", [(2, 3)]), [8])
        self.assertEqual(pool.map(square, range(20_000)), [x * x for x in range(20_000)])

    def test_map_async_and_starmap_async(self):
        self.assertEqual(pool.map_async(square, range(10)).get(20), [x * x for x in range(10)])
        self.assertEqual(pool.starmap_async(pow, [(2, 3)]).get(20), [8])

    def test_the_first_failure_is_raised(self):
        for call in (lambda: pool.map(fail_at_three, range(6)),
                     lambda: pool.map(fail_at_three, range(6), 2),
                     lambda: pool.starmap(fail_at_three, [(3,)])):
            with self.assertRaises(KeyError):
                call()

    def test_an_error_of_the_iterable_is_told_by_get(self):
        def broken():
            yield 1
            raise KeyError("mine")
        with self.assertRaises(KeyError):
            pool.map(square, broken())

    def test_processes_bounds_the_items_at_once(self):
        with tempfile.TemporaryDirectory() as folder, new_pool(1) as one:
            def alone(n):
                os.mkdir(folder + "/lock")
                time.sleep(0.02)
                os.rmdir(folder + "/lock")
                return n
            self.assertEqual(one.map(alone, range(10)), list(range(10)))


class ImapTests(unittest.TestCase):
    def test_in_order_and_as_they_end(self):
        for size in (1, 10, 1000):
            with self.subTest(size=size):
                self.assertEqual(list(pool.imap(square, range(500), size)),
                                 [x * x for x in range(500)])
                self.assertEqual(sorted(pool.imap_unordered(square, range(500), size)),
                                 [x * x for x in range(500)])
        self.assertEqual(list(pool.imap(square, [])), [])

    def test_unordered_results_do_not_wait_for_a_slow_one(self):
        results = pool.imap_unordered(time.sleep, [2, 0, 0])
        start = time.monotonic()
        next(results), next(results)
        self.assertLess(time.monotonic() - start, 1.5)
        self.assertEqual(list(results), [None])

    def test_next_takes_a_timeout(self):
        results = pool.imap(square, [1], 1)
        self.assertEqual(results.next(timeout=20), 1)
        with self.assertRaises(StopIteration):
            results.next(timeout=20)
        results = pool.imap(time.sleep, [0.6])
        with self.assertRaises(multiprocessing.TimeoutError):
            results.next(timeout=0.05)
        self.assertIsNone(results.next(timeout=20))

    def test_a_failed_item_is_raised_and_the_rest_follow(self):
        results = pool.imap(fail_at_three, range(6))
        self.assertEqual([next(results) for _ in range(3)], [0, 1, 2])
        with self.assertRaises(KeyError):
            next(results)
        self.assertEqual(list(results), [4, 5])

    def test_an_error_of_the_iterable_comes_after_the_results_before_it(self):
        def broken():
            yield from range(10)
            raise KeyError("mine")

        for imap in (pool.imap, pool.imap_unordered):
            results, found = imap(square, broken()), []
            with self.assertRaises(KeyError):
                for result in results:
                    found.append(result)
            self.assertEqual(sorted(found), [x * x for x in range(10)])

    def test_an_endless_iterator_is_read_with_bounded_read_ahead(self):
        read = itertools.count()
        results = pool.imap(square, read)
        self.assertEqual(list(itertools.islice(results, 300)), [x * x for x in range(300)])
        feed = weakref.ref(results._feed)
        thread = results._feed.thread
        del results
        thread.join(20)
        self.assertFalse(thread.is_alive())
        self.assertLess(next(read), 300 + 2 * 8192)
        support.until(lambda: gc.collect() >= 0 and feed() is None)

    def test_all_of_it_is_done_when_a_closed_pool_is_joined(self):
        own = new_pool(2)
        results = own.imap(square, range(20_000), 100)
        own.close()
        own.join()
        self.assertEqual(list(results), [x * x for x in range(20_000)])


class LifeTests(unittest.TestCase):
    def test_a_closed_pool_finishes_what_it_has(self):
        own = new_pool(2)
        results = [own.apply_async(square, (x, 0.05)) for x in range(10)]
        with self.assertRaises(ValueError):
            own.join()
        own.close()
        for call in (lambda: own.apply(square, (1,)), lambda: own.map(square, [1]),
                     lambda: own.imap(square, [1]), own.__enter__):
            with self.assertRaises(ValueError):
                call()
        own.join()
        self.assertEqual([r.get(0) for r in results], [x * x for x in range(10)])

    def test_terminate_stops_what_runs_on_the_server(self):
        own = new_pool(2, tags=["terminated"])
        own.map_async(time.sleep, [60] * 10, chunksize=1)
        call = own.apply_async(time.sleep, (60,))
        results = own.imap(time.sleep, itertools.repeat(60))
        support.until(lambda: [j for j in client.list(tag="terminated") if j.state == "running"])
        start = time.monotonic()
        own.terminate()
        own.join()
        self.assertLess(time.monotonic() - start, 10)
        support.until(lambda: all(j.has_ended for j in client.list(tag="terminated")))
        self.assertTrue(call.ready() and not call.successful())
        with self.assertRaises(BaseException):
            next(results)

    def test_it_ends_with_its_block(self):
        with new_pool(2) as own:
            self.assertEqual(own.map(square, [1, 2]), [1, 4])
            slow = own.apply_async(time.sleep, (60,))
        slow.wait(10)
        self.assertFalse(slow.successful())
        with self.assertRaises(ValueError):
            own.map(square, [1])

    def test_wrong_arguments(self):
        for wrong in (dict(processes=0), dict(processes=-1), dict(maxtasksperchild=0)):
            with self.assertRaises(ValueError):
                new_pool(**wrong)
        with self.assertRaises(TypeError):
            new_pool(initializer=3)
        with self.assertRaises(ValueError):
            pool.imap(square, [1], 0)
        with self.assertRaises(NotImplementedError):
            pickle.dumps(pool)
        self.assertIn("RUN", repr(pool))

    def test_an_initializer_prepares_each_worker(self):
        def prepare(value):
            global prepared
            prepared = value

        def read(x):
            return prepared + x  # noqa: F821

        prepare.__module__ = read.__module__ = "__main__"
        with new_pool(2, prepare, (40,)) as own:
            self.assertEqual(own.map(read, [1, 2, 3], 1), [41, 42, 43])
            self.assertEqual(own.apply(read, (5,)), 45)
        with new_pool(2, prepare, (50,)) as own:
            self.assertEqual(own.map(read, [1, 2, 3], 1), [51, 52, 53])


if __name__ == "__main__":
    unittest.main()

"""martlet.Executor as concurrent.futures promises, and what it does beyond."""

import asyncio
import concurrent.futures
import ctypes
import os
import signal
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
import unittest
from unittest import mock

import support
import martlet


class OwnError(Exception):
    def __init__(self, code, text):
        super().__init__(code, text)
        self.code = code


def setUpModule():
    global server, client
    server = support.start("--allow-pickle")
    client = martlet.Client(support.url(server))


def tearDownModule():
    client.close()
    server.__exit__()


def executor(*args, **members):
    return martlet.Executor(*args, url=support.url(server), **members)


def raise_own(code):
    raise OwnError(code, "of my own")


def told(folder, name):
    """A file by which a call says that it has begun; its contents are its process's id."""
    path = os.path.join(folder, name)

    def pid():
        support.until(lambda: os.path.exists(path) and os.path.getsize(path))
        with open(path) as file:
            return int(file.read())
    return path, pid


def tell_and_sleep(path, seconds):
    with open(path + ".new", "w") as file:
        file.write(str(os.getpid()))
    os.rename(path + ".new", path)
    time.sleep(seconds)
    return seconds


class SubmitTests(unittest.TestCase):
    def test_a_name_that_no_function_can_have_is_unknown(self):
        for name in "no such", "caf\u00e9/\u65e5", "a?b#c", "x HTTP/1.1\r\nX: y":
            with self.subTest(name=name), executor() as pool:
                with self.assertRaises(martlet.Refused) as raised:
                    pool.submit(name, 1).result(20)
                self.assertEqual(raised.exception.code, "unknown-function")

    def test_functions_of_all_kinds_travel(self):
        factor = 3
        with executor() as ex:
            self.assertEqual(ex.submit(pow, 2, 10).result(), 1024)
            self.assertEqual(ex.submit(lambda x, *, y: x * factor + y, 2, y=1).result(), 7)
            self.assertEqual(ex.submit("square", 12).result(), 144)
            self.assertEqual(ex.submit("power", 3, exponent=3).result(), 27)
            self.assertEqual(ex.submit(str.upper, "a").result(), "A")
            self.assertEqual(ex.submit(lambda: {(1, 2): {3}, "b": b"\0\xff"}).result(),
                             {(1, 2): {3}, "b": b"\0\xff"})
            self.assertEqual(ex.submit(lambda: None).result(), None)
            self.assertEqual(len(ex.submit(lambda n: "x" * n, 3_000_000).result()), 3_000_000)

    def test_a_marked_function_goes_by_its_name(self):
        from functions import client_functions
        with executor(tags=["marked"]) as ex:
            self.assertEqual(ex.submit(client_functions.square, 5).result(), 25)
            self.assertEqual(list(ex.map(client_functions.square, [1, 2])), [1, 4])
        self.assertEqual({job.document["function"] for job in client.list(tag="marked")},
                         {"square"})

    def test_coroutine_functions_run_on_the_async_pool(self):
        async def later(x):
            await asyncio.sleep(0.3)
            return x + 1

        with executor(max_workers=100) as ex:
            start = time.monotonic()
            futures = [ex.submit(later, x) for x in range(50)]
            self.assertEqual([f.result() for f in futures], list(range(1, 51)))
            self.assertEqual(list(ex.map(later, range(100))), list(range(1, 101)))
            self.assertLess(time.monotonic() - start, 6)

    def test_the_exception_itself_comes_back_with_its_remote_traceback(self):
        with executor(tags=["raised"]) as ex:
            error = ex.submit(raise_own, 7).exception()
            self.assertIs(type(error), OwnError)
            self.assertEqual(error.code, 7)
            self.assertIsInstance(error.__cause__, martlet.RemoteTraceback)
            self.assertIn("in raise_own", str(error.__cause__))
            self.assertNotIn("pickled.py", str(error.__cause__))
            with self.assertRaises(SystemExit):
                ex.submit(sys.exit, 3).result()

            def unpicklable():
                error = ValueError("held")
                error.lock = threading.Lock()
                raise error
            error = ex.submit(unpicklable).exception()
            self.assertIsInstance(error, martlet.JobFailed)
            self.assertEqual((error.type, error.message), ("ValueError", "held"))
        first = list(client.list(tag="raised", state="failed"))[-1]
        self.assertEqual(first.error["type"], "OwnError")  # the server knows it too

    def test_what_cannot_be_pickled_fails_its_future(self):
        with executor() as ex:
            self.assertIsInstance(ex.submit(id, threading.Lock()).exception(), TypeError)
            self.assertIsNotNone(ex.submit(lambda: threading.Lock()).exception())
            self.assertIsNotNone(ex.submit(3).exception())

    def test_waiting_for_many(self):
        with executor() as ex:
            futures = {ex.submit(time.sleep, s): s for s in (0.2, 0, 0.1)}
            done = list(concurrent.futures.as_completed(futures, timeout=20))
            self.assertEqual(set(done), set(futures))
            slow = ex.submit(time.sleep, 20)
            quick = ex.submit(pow, 2, 2)
            done, rest = concurrent.futures.wait(
                [slow, quick], timeout=20, return_when=concurrent.futures.FIRST_COMPLETED)
            self.assertEqual((done, rest), ({quick}, {slow}))
            with self.assertRaises(concurrent.futures.TimeoutError):
                slow.result(timeout=0.1)
            slow.cancel()

    def test_callbacks_and_many_calls(self):
        seen = []
        with executor() as ex:
            futures = [ex.submit(pow, x, 2) for x in range(300)]
            for future in futures:
                future.add_done_callback(lambda f: seen.append(f.result()))
        self.assertEqual(sorted(seen), [x * x for x in range(300)])

    def test_asyncio_takes_it(self):
        async def main(ex):
            loop = asyncio.get_running_loop()
            return await asyncio.gather(
                *(loop.run_in_executor(ex, pow, x, 2) for x in range(10)))
        with executor() as ex:
            self.assertEqual(asyncio.run(main(ex)), [x * x for x in range(10)])

    def test_an_initializer_prepares_each_worker(self):
        def prepare(value):
            global prepared
            prepared = value

        def read():
            return prepared  # noqa: F821

        # As in a script: functions that travel by value share their globals.
        prepare.__module__ = read.__module__ = "__main__"
        with executor(initializer=prepare, initargs=(41,)) as ex:
            self.assertEqual([ex.submit(read).result() for _ in range(5)], [41] * 5)
            self.assertEqual(set(ex.map(lambda _: read(), range(0))), set())
        with self.assertRaises(TypeError):
            executor(initializer=3)

    def test_options_reach_the_jobs(self):
        with executor(queue="side", priority=7, tags=["opt"], timeout=0.3, retry=2) as ex:
            error = ex.submit(time.sleep, 20).exception()
            self.assertEqual(error.reason, "timeout")
        job, = client.list(tag="opt")
        self.assertEqual((job.document["queue"], job.document["priority"]), ("side", 7))
        self.assertEqual(job.document["attempt"], 2)


class CancelTests(unittest.TestCase):
    def test_a_running_call_is_stopped_on_the_server(self):
        with tempfile.TemporaryDirectory() as folder, executor(tags=["stopped"]) as ex:
            path, pid = told(folder, "a")
            future = ex.submit(tell_and_sleep, path, 60)
            process = pid()
            self.assertTrue(future.running())
            start = time.monotonic()
            self.assertTrue(future.cancel())
            self.assertTrue(future.cancelled() and future.done() and not future.running())
            self.assertTrue(future.cancel())
            with self.assertRaises(concurrent.futures.CancelledError):
                future.result()
            self.assertEqual(concurrent.futures.wait([future], 5).not_done, set())
            support.until(lambda: not os.path.exists("/proc/%d" % process))
            self.assertLess(time.monotonic() - start, 10)
            self.assertEqual(ex.submit(pow, 2, 2).result(), 4)
        self.assertEqual({job.state for job in client.list(tag="stopped")},
                         {"cancelled", "succeeded"})

    def test_the_call_after_a_cancelled_one_is_not_struck(self):
        def stubborn(path):
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            tell_and_sleep(path, 0.4)

        with support.start("--allow-pickle", processes=1) as own, \
                tempfile.TemporaryDirectory() as folder, \
                martlet.Executor(url=support.url(own)) as ex:
            path, pid = told(folder, "a")
            future = ex.submit(stubborn, path)
            pid()
            innocent = ex.submit(time.sleep, 1.5)  # longer than a cancelled call has to end
            future.cancel()
            self.assertIsNone(innocent.result(20))

    def test_a_call_that_has_ended_cannot_be_cancelled(self):
        with executor() as ex:
            future = ex.submit(pow, 2, 2)
            future.result()
            self.assertFalse(future.cancel())

    def test_calls_past_max_workers_wait_and_are_cancelled_without_a_job(self):
        with tempfile.TemporaryDirectory() as folder:
            with executor(1, tags=["one"]) as ex:
                path, pid = told(folder, "a")
                first = ex.submit(tell_and_sleep, path, 0.5)
                pid()
                others = [ex.submit(pow, 2, 2) for _ in range(3)]
                self.assertFalse(others[0].running())
                self.assertTrue(others[0].cancel())
                self.assertEqual(first.result(), 0.5)
                self.assertEqual(others[2].result(), 4)
            self.assertEqual(len(list(client.list(tag="one"))), 3)

    def test_to_leave_a_map_early_cancels_it(self):
        with executor(tags=["left"]) as ex:
            results = ex.map(time.sleep, [0.05] + [30] * 10)
            with self.assertRaises(concurrent.futures.TimeoutError):
                list(ex.map(time.sleep, [30] * 4, timeout=0.3))
            results.close()  # was not begun: nothing is cancelled by that
            job, = [j for j in client.list(tag="left") if j.progress["total"] == 11]
            job.cancel()
        self.assertEqual({job.state for job in client.list(tag="left")}, {"cancelled"})


class MapTests(unittest.TestCase):
    def test_one_job_whatever_the_items(self):
        with executor(tags=["map"]) as ex:
            self.assertEqual(list(ex.map(lambda x: x + 1, range(1000))), list(range(1, 1001)))
            self.assertEqual(list(ex.map(pow, [2, 3, 4], [3, 2])), [8, 9])
            self.assertEqual(list(ex.map(pow, range(10), [2] * 10, chunksize=4)),
                             [x * x for x in range(10)])
            self.assertEqual(list(ex.map("power", [2, 3], [3, 2])), [8, 9])
            self.assertEqual(list(ex.map(pow, [], [])), [])
        self.assertEqual(len(list(client.list(tag="map"))), 4)
        with executor() as ex, self.assertRaises(ValueError):
            ex.map(pow, [1], [2], chunksize=0)

    def test_it_is_sent_at_once_and_outlives_the_executor(self):
        with executor(tags=["at-once"]) as ex:
            results = ex.map(pow, range(5), range(5))
            support.until(lambda: list(client.list(tag="at-once")))
        self.assertEqual(list(results), [1, 1, 4, 27, 256])

    def test_results_before_a_failure_come_first(self):
        with executor() as ex:
            results = ex.map(divmod, [1, 1, 1, 1], [2, 3, 0, 4])
            self.assertEqual([next(results), next(results)], [(0, 1), (0, 1)])
            with self.assertRaises(ZeroDivisionError) as raised:
                next(results)
            self.assertIsInstance(raised.exception.__cause__, martlet.RemoteTraceback)

    def test_a_time_limit(self):
        with executor() as ex:
            results = ex.map(time.sleep, [0, 0, 20], timeout=1.5)
            with self.assertRaises(concurrent.futures.TimeoutError):
                list(results)

    def test_max_workers_bounds_the_items_at_once(self):
        with tempfile.TemporaryDirectory() as folder, executor(1) as ex:
            def alone(n):
                os.mkdir(folder + "/lock")
                time.sleep(0.02)
                os.rmdir(folder + "/lock")
                return n
            self.assertEqual(list(ex.map(alone, range(10))), list(range(10)))

    def test_more_than_one_body_holds_is_several_jobs(self):
        from martlet import operations
        before, operations.MAP_BYTES = operations.MAP_BYTES, 20_000
        try:
            with executor(tags=["cut"]) as ex:
                items = ["%01000d" % n for n in range(100)]
                self.assertEqual(list(ex.map(str.strip, items)), items)
            self.assertGreater(len(list(client.list(tag="cut"))), 2)
        finally:
            operations.MAP_BYTES = before


class BlobTests(unittest.TestCase):
    """What is large travels once."""

    def uploads(self):
        return len(os.listdir(os.path.join(server.data, "blobs")))

    def test_a_large_function_of_a_map_is_sent_once(self):
        table = os.urandom(500_000)
        before = self.uploads()
        with executor(tags=["big"]) as ex:
            self.assertEqual(list(ex.map(lambda i: table[i], range(300))), list(table[:300]))
            self.assertEqual(list(ex.map(lambda i: table[i], range(300))), list(table[:300]))
        self.assertLessEqual(self.uploads() - before, 2)

    def test_arrays_are_mapped_and_changes_to_them_are_the_calls_own(self):
        import numpy
        array = numpy.arange(500_000, dtype="f8")
        before = self.uploads()

        def change(array):
            array[0] += 1
            return float(array[0]), float(array.sum())

        with executor() as ex:
            futures = [ex.submit(change, array) for _ in range(6)]
            wanted = (1.0, float(array.sum()) + 1)
            self.assertEqual([future.result() for future in futures], [wanted] * 6)
            result = ex.submit(lambda a: a * 2, array).result()
            self.assertTrue((result == array * 2).all())
        self.assertEqual(self.uploads() - before, 1)

    def test_a_blob_larger_than_a_body_may_be(self):
        import numpy
        array = numpy.full(80 << 20, 3, dtype="u1")
        with executor() as ex:
            self.assertEqual(ex.submit(lambda a: int(a.sum()), array).result(), 3 * (80 << 20))

    def test_a_blob_that_the_server_has_lost_is_sent_again(self):
        import numpy
        array = numpy.ones(400_000)
        with executor() as ex:
            def ask():
                self.assertEqual(ex.submit(numpy.sum, array).result(), 400_000)
                self.assertEqual(list(ex.map(numpy.sum, [array] * 2)), [400_000] * 2)
            ask()
            folder = os.path.join(server.data, "blobs")
            for name in os.listdir(folder):
                os.unlink(os.path.join(folder, name))
            ask()
            for name in os.listdir(folder):
                os.unlink(os.path.join(folder, name))
            self.assertEqual(list(ex.map(numpy.sum, [array] * 2)), [400_000] * 2)


class CrashTests(unittest.TestCase):
    def test_a_first_call_outlives_a_restart_that_takes_a_while(self):
        with support.Proxy(server.port) as proxy, tempfile.TemporaryDirectory() as folder, \
                mock.patch("martlet.async_client.FIRST_SECONDS", 0.1), \
                mock.patch("martlet.async_client.HELD_SECONDS", 0), \
                martlet.Executor(url=proxy.url) as ex:
            path, pid = told(folder, "begun")
            future = ex.submit(tell_and_sleep, path, 1)
            pid()
            proxy.port_behind, port = 1, proxy.port_behind
            proxy.cut()
            tries = proxy.connections
            support.until(lambda: proxy.connections > tries + 3)  # past the first seconds
            self.assertFalse(future.done())
            proxy.port_behind = port
            future.result(20)

    def test_a_dead_worker_fails_its_own_call_only(self):
        with executor() as ex:
            dead = ex.submit(os._exit, 3)
            killed = ex.submit(lambda: os.kill(os.getpid(), signal.SIGKILL))
            crashed = ex.submit(ctypes.string_at, 0)
            others = [ex.submit(pow, x, 2) for x in range(50)]
            self.assertEqual([f.result() for f in others], [x * x for x in range(50)])
            self.assertEqual((dead.exception().reason, dead.exception().exit_status), ("exit", 3))
            self.assertEqual((killed.exception().reason, killed.exception().signal),
                             ("signal", signal.SIGKILL))
            self.assertEqual(crashed.exception().signal, signal.SIGSEGV)

    def test_an_item_that_kills_its_worker_is_blamed_alone(self):
        def risky(x):
            if x == 3:
                os._exit(9)
            return x

        with executor() as ex:
            results = ex.map(risky, range(6))
            self.assertEqual([next(results) for _ in range(3)], [0, 1, 2])
            with self.assertRaises(martlet.JobFailed) as raised:
                next(results)
            self.assertEqual((raised.exception.index, raised.exception.exit_status), (3, 9))

    def test_results_come_over_a_restart_of_the_server(self):
        with tempfile.TemporaryDirectory() as folder:
            own = support.start("--allow-pickle", data=folder + "/data")
            try:
                with support.Proxy(own.port) as proxy:
                    with martlet.Executor(url=proxy.url) as ex:
                        path, pid = told(folder, "a")
                        calls = [ex.submit(tell_and_sleep, path, 0.2)]
                        calls += [ex.submit(time.sleep, 0.01) for _ in range(100)]
                        results = ex.map(lambda x: time.sleep(0.005) or x, range(200))
                        pid()
                        own.kill()
                        calls += [ex.submit(pow, x, 2) for x in range(20)]
                        own.start()
                        proxy.port_behind = own.port
                        self.assertEqual(list(results), list(range(200)))
                        self.assertEqual(
                            [f.result() for f in calls],
                            [0.2] + [None] * 100 + [x * x for x in range(20)])
            finally:
                own.__exit__()


class ShutdownTests(unittest.TestCase):
    def test_nothing_is_taken_afterwards(self):
        ex = executor()
        ex.shutdown()
        for call in (lambda: ex.submit(pow, 2, 2), lambda: ex.map(pow, [2], [2])):
            with self.assertRaises(RuntimeError):
                call()

    def test_it_waits_unless_told_not_to(self):
        ex = executor()
        future = ex.submit(time.sleep, 0.3)
        ex.shutdown()
        self.assertTrue(future.done())
        ex = executor()
        future = ex.submit(time.sleep, 0.5)
        ex.shutdown(wait=False)
        self.assertFalse(future.done())
        self.assertIsNone(future.result(20))

    def test_cancel_futures_spares_what_runs(self):
        with tempfile.TemporaryDirectory() as folder:
            ex = executor()
            told_of = [told(folder, name) for name in "ab"]
            running = [ex.submit(tell_and_sleep, path, 0.6) for path, _ in told_of]
            for _, pid in told_of:
                pid()
            waiting = [ex.submit(time.sleep, 0.1) for _ in range(100)]
            ex.shutdown(cancel_futures=True)
            self.assertEqual([f.result() for f in running], [0.6, 0.6])
            self.assertTrue(all(f.done() for f in waiting))
            self.assertGreater(sum(f.cancelled() for f in waiting), 50)

    def test_no_thread_and_no_connection_is_left(self):
        with support.Proxy(server.port) as proxy:
            with martlet.Executor(url=proxy.url) as ex:
                self.assertEqual(ex.submit(pow, 2, 2).result(), 4)
                self.assertEqual(list(ex.map(abs, [-1])), [1])
            support.until(lambda: not proxy.open)
        support.until(lambda: "martlet-courier" not in {t.name for t in threading.enumerate()})

    def test_a_program_ends_after_its_calls(self):
        program = textwrap.dedent("""
            import martlet, time
            def late(x):
                time.sleep(0.5)
                return x
            ex = martlet.Executor()
            ex.submit(late, 7).add_done_callback(lambda f: print("got", f.result()))
        """)
        done = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, timeout=30,
            env=dict(os.environ, MARTLET_URL=support.url(server),
                     PYTHONPATH=os.path.dirname(support.TESTS)))
        self.assertEqual((done.stdout, done.stderr), ("got 7\n", ""))


class FlagTests(unittest.TestCase):
    def test_without_the_flag_pickles_are_refused(self):
        with support.start() as own, martlet.Executor(url=support.url(own)) as ex:
            error = ex.submit(lambda: 1).exception()
            self.assertIn("--allow-pickle", str(error))
            self.assertEqual(ex.submit("square", 3).result(), 9)
            with self.assertRaises(martlet.MartletError) as raised:
                list(ex.map(lambda x: x, [1]))
            self.assertIn("--allow-pickle", str(raised.exception))

    def test_open_to_a_network_the_flag_wants_a_token(self):
        refused = subprocess.run(
            [os.path.join(support.ROOT, support.BINARY), "serve", "--listen", "0.0.0.0:0",
             "--allow-pickle"], capture_output=True, text=True, timeout=20,
            env={k: v for k, v in os.environ.items() if k != "MARTLET_TOKEN"})
        self.assertNotEqual(refused.returncode, 0)
        self.assertIn("--allow-pickle", refused.stderr)
        self.assertIn("token", refused.stderr)

    def test_the_flag_needs_no_functions(self):
        own = support.Server(
            support.BINARY, None, more=["--allow-pickle", "--python", sys.executable])
        with own, martlet.Executor(url=support.url(own)) as ex:
            self.assertEqual(ex.submit(lambda: 1).result(), 1)


if __name__ == "__main__":
    unittest.main()

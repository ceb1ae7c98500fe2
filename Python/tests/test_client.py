"""Client and AsyncClient against a real server."""

import asyncio
import inspect
import itertools
import os
import socket
import subprocess
import tempfile
import threading
import time
import unittest
from unittest import mock

import support
import martlet
from martlet import maps, uploads
from martlet.errors import Refused, Unreachable


def setUpModule():
    global server, client
    server = support.start()
    client = martlet.Client(support.url(server))


def tearDownModule():
    client.close()
    server.__exit__()


class BlobTests(unittest.TestCase):
    """Large bytes, sent from where they lie."""

    def test_a_blob_is_sent_once_and_mapped_in_the_function(self):
        data = os.urandom(3_000_000)
        digest = client.put_blob(data)
        self.assertEqual(client.put_blob(bytearray(data)), digest)
        self.assertEqual(client.get_blob(digest), data)
        self.assertEqual(client.run("blob_length", args=[digest]), len(data))
        with self.assertRaises(Refused) as raised:
            client.get_blob("0" * 64)
        self.assertEqual(raised.exception.code, "no-such-blob")

    def test_the_same_for_asyncio(self):
        async def both():
            async with martlet.AsyncClient(support.url(server)) as other:
                data = memoryview(os.urandom(8_000_000))
                digest = await other.put_blob(data)
                self.assertEqual(await other.put_blob(data), digest)
                self.assertEqual(await other.get_blob(digest), data)
                self.assertEqual(await other.run("blob_length", args=[digest]), len(data))
        asyncio.run(both())


class ClientTests(unittest.TestCase):
    def test_a_body_that_the_server_does_not_take_is_refused_at_once(self):
        text = "x" * 70_000_000
        with self.assertRaises(Refused) as raised:
            client.submit("echo", args=[text])
        self.assertEqual(raised.exception.status, 413)

        async def submit():
            async with martlet.AsyncClient(support.url(server)) as other:
                await other.submit("echo", args=[text])
        with self.assertRaises(Refused) as raised:
            asyncio.run(submit())
        self.assertEqual(raised.exception.status, 413)

    def test_text_that_is_no_unicode_travels_both_ways(self):
        name = os.fsdecode(b"caf\xe9")
        self.assertEqual(client.run("echo", args=[name]), name)
        self.assertEqual(client.run("echo", map=[name]), [name])

    def test_a_submission_without_a_function_is_named(self):
        with self.assertRaises(Refused) as raised:
            client.submit_many([{"function": "square", "args": [2]}, {"args": [2]}])
        self.assertEqual(raised.exception.pointer, "/1/function")

    def test_a_job_from_its_submission_to_its_result(self):
        job = client.submit("power", args={"base": 3, "exponent": 4}, tags=["a"], priority=5)
        self.assertEqual(job.result(20), 81)
        self.assertEqual(job.refresh().state, "succeeded")
        self.assertTrue(job.has_ended)
        self.assertEqual(job.document["tags"], ["a"])
        self.assertIn(job.id, repr(job))
        self.assertEqual(client.job(job.id).id, job.id)
        job.delete()
        with self.assertRaises(Refused) as raised:
            job.refresh()
        self.assertEqual((raised.exception.status, raised.exception.code), (404, "no-such-job"))

    def test_a_wrong_submission_is_refused_with_the_problems_members(self):
        with self.assertRaises(Refused) as raised:
            client.submit("square", args=[1], pool="proces")
        error = raised.exception
        self.assertEqual((error.status, error.pointer), (422, "/pool"))
        self.assertTrue(error.code and error.title and error.detail)
        with self.assertRaises(Refused) as raised:
            client.submit("sqare", args=[1])
        self.assertIn("square", raised.exception.detail)

    def test_a_failure_brings_its_reason_and_its_remote_traceback(self):
        job = client.submit("odd_only", args=[2])
        with self.assertRaises(martlet.JobFailed) as raised:
            job.result()
        error = raised.exception
        self.assertEqual((error.reason, error.type, error.message),
                         ("exception", "ValueError", "2 is even"))
        self.assertIn("in odd_only", str(error.__cause__))
        self.assertEqual(job.wait().error["type"], "ValueError")
        with self.assertRaises(martlet.JobFailed) as raised:
            client.run("die", args=[3])
        self.assertEqual((raised.exception.reason, raised.exception.exit_status), ("exit", 3))

    def test_waiting_has_an_end(self):
        job = client.submit("nap", args=[20])
        start = time.monotonic()
        for wait in (job.wait, job.result):
            with self.assertRaises(TimeoutError):
                wait(0.2)
        self.assertLess(time.monotonic() - start, 5)
        job.cancel()
        self.assertEqual(job.wait(10).state, "cancelled")
        with self.assertRaises(martlet.JobCancelled):
            job.result()

    def test_an_ended_job_is_run_again(self):
        job = client.submit("odd_only", args=[4]).wait(20)
        self.assertEqual(job.retry().state, "queued")
        self.assertEqual(job.wait(20).document["attempt"], 2)
        self.assertEqual(client.retry(job).wait(20).document["attempt"], 3)

    def test_options_of_a_submission(self):
        retried = client.submit("odd_only", args=[2], retry=2).wait(20)
        self.assertEqual(retried.document["attempt"], 2)
        with self.assertRaises(martlet.JobFailed) as raised:
            client.run("nap", args=[9], timeout=0.2)
        self.assertEqual(raised.exception.reason, "timeout")
        import datetime
        soon = datetime.datetime.now() + datetime.timedelta(hours=1)
        job = client.submit("square", args=[1], not_before=soon)
        self.assertEqual(client.cancel(job).wait(5).state, "cancelled")

    def test_batches_and_lists(self):
        ids = client.submit_many({"function": "square", "args": [i], "tags": ["batch"]}
                                 for i in range(30))
        self.assertEqual([client.result(id) for id in ids], [i * i for i in range(30)])
        self.assertEqual([job.id for job in client.list(tag="batch")], ids[::-1])
        self.assertEqual([job.id for job in client.list(tag="batch", limit=7)], ids[:-8:-1])
        self.assertEqual(list(client.list(tag="batch", state="failed")), [])

    def test_what_the_server_offers(self):
        self.assertEqual(client.functions()["square"]["pool"], "process")
        self.assertEqual(client.pools()["process"]["slots"], 2)

    def test_a_key_makes_one_job_of_two_submissions(self):
        first = client.submit("square", args=[9], idempotency_key="client-tests")
        self.assertEqual(
            client.submit("square", args=[9], idempotency_key="client-tests").id, first.id)

    def test_threads_share_a_client(self):
        wrong = []

        def work(first):
            for x in range(first, first + 20):
                if client.run("square", args=[x]) != x * x:
                    wrong.append(x)

        threads = [threading.Thread(target=work, args=(n * 100,)) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(wrong, [])

    def test_no_server_is_said_soon(self):
        start = time.monotonic()
        with self.assertRaises(Unreachable):
            martlet.Client("http://127.0.0.1:9").pools()
        self.assertLess(time.monotonic() - start, 10)


class MapTests(unittest.TestCase):
    def test_results_come_in_order(self):
        self.assertEqual(list(client.map("square", range(5000))), [i * i for i in range(5000)])
        self.assertEqual(list(client.map("square", [])), [])
        self.assertEqual(list(client.map("power", [[2, 3], [3, 2]], spread=True)), [8, 9])

    def test_an_endless_iterator_is_read_no_further_than_the_read_ahead(self):
        read = []

        def endless():
            for i in itertools.count():
                read.append(i)
                yield i

        results = client.map("square", endless(), read_ahead=100, tags=["endless"])
        for taken, result in enumerate(itertools.islice(results, 1000)):
            self.assertEqual(result, taken * taken)
            self.assertLessEqual(len(read), taken + 1 + 100)
        results.close()
        open_jobs = [job for job in client.list(tag="endless") if not job.has_ended]
        for job in open_jobs:
            self.assertEqual(job.wait(10).state, "cancelled")

    def test_a_map_is_one_job_whose_results_come_while_items_come(self):
        asked, told = [], []

        def slow():
            for number in range(40):
                asked.append(number)
                time.sleep(0.05)
                yield number

        for result in client.map("square", slow(), tags=["one job"]):
            told.append(len(asked))
        self.assertLess(told[0], 20)
        self.assertEqual(len(list(client.list(tag="one job"))), 1)

    def test_what_the_server_refuses_is_said(self):
        with self.assertRaises(martlet.Refused) as raised:
            list(client.map("sqare", range(5)))
        self.assertEqual(raised.exception.code, "unknown-function")
        with self.assertRaises(martlet.Refused) as raised:
            list(client.map("square", ["a" * (17 << 20)]))
        self.assertEqual(raised.exception.code, "line-too-long")

    def test_who_takes_results_slowly_keeps_the_upload(self):
        with support.start("--idle-seconds", "1") as own, \
                mock.patch.object(uploads, "QUIET_SECONDS", 0.2), \
                martlet.Client(support.url(own)) as slow:
            results = slow.map("square", range(100), read_ahead=10)
            found = [next(results)]
            time.sleep(3)
            self.assertEqual(found + list(results), [i * i for i in range(100)])
            self.assertEqual(len(list(slow.list(function="square"))), 1)

    def test_a_proxy_that_gathers_bodies_gets_several(self):
        with support.GatheringProxy(server.port) as proxy, \
                mock.patch.object(maps, "HINT_SECONDS", 0.3), \
                martlet.Client(proxy.url) as through:
            found = list(through.map("square", range(100), read_ahead=30, tags=["gathered"]))
            self.assertEqual(found, [i * i for i in range(100)])
            self.assertEqual(len(list(through.list(tag="gathered"))), 4)

    def test_a_failed_item_is_raised_after_those_before_it(self):
        found, results = [], client.map("odd_only", [1, 3, 5, 6, 7])
        with self.assertRaises(martlet.JobFailed) as raised:
            for result in results:
                found.append(result)
        self.assertEqual(found, [1, 3, 5])
        self.assertEqual(raised.exception.message, "6 is even")

    def test_failed_items_can_stand_in_their_places(self):
        found = list(client.map("odd_only", range(40), on_error="continue"))
        self.assertEqual(found[1::2], list(range(1, 40, 2)))
        self.assertEqual({type(error) for error in found[::2]}, {martlet.JobFailed})

    def test_items_of_a_map_job_come_as_dicts(self):
        job = client.submit("odd_only", map=[1, 2, 3], on_error="continue")
        found = list(job.items())
        self.assertEqual([item["index"] for item in found], [0, 1, 2])
        self.assertEqual(found[1]["error"]["type"], "ValueError")
        self.assertEqual([item["result"] for item in client.stream(job, first=2)], [3])
        self.assertEqual(job.refresh().progress, {"total": 3, "done": 3, "failed": 1, "running": 0})
        self.assertEqual(job.retry("failed").wait(20).progress["done"], 3)
        running = client.submit("nap", map=[0.3, 0.3, 0.3, 0.3], chunk=1)
        self.assertEqual([item["result"] for item in running.items()], [0.3] * 4)
        order = [item["result"] for item in client.submit(
            "nap", map=[0.6, 0, 0.1], chunk=1).items(order="completion")]
        self.assertEqual(order, [0, 0.1, 0.6])
        slow = client.submit("nap", map=[20])
        with self.assertRaises(TimeoutError):
            list(slow.items(timeout=0.2))
        slow.cancel()

    def test_an_error_of_the_callers_iterable_is_the_callers(self):
        def broken():
            yield 1
            raise KeyError("mine")

        with self.assertRaises(KeyError):
            list(client.map("square", broken()))


class LossTests(unittest.TestCase):
    def test_a_stream_of_items_goes_on_where_it_was_cut(self):
        for order in ("index", "completion"):
            with self.subTest(order), support.Proxy(server.port) as proxy, \
                    martlet.Client(proxy.url) as through:
                job = through.submit("nap", map=[0.01] * 100, chunk=1)
                found = []
                for item in job.items(order=order):
                    found.append(item["index"])
                    if len(found) in (10, 30, 31, 60):
                        proxy.cut()
                self.assertEqual(sorted(found), list(range(100)))

    def test_a_slow_way_to_what_is_no_server_is_not_taken_for_a_server(self):
        addresses = socket.getaddrinfo

        def slow(*question, **options):  # longer than a request is held by what is no server
            time.sleep(0.6)
            return addresses(*question, **options)

        async def ask(url):
            async with martlet.AsyncClient(url, retry_for=20) as twin:
                await twin.pools()

        with support.Resetter() as wrong, mock.patch("socket.getaddrinfo", slow):
            for ask_it in (martlet.Client(wrong.url, retry_for=20).pools,
                           lambda: asyncio.run(ask(wrong.url))):
                before, start = wrong.connections, time.monotonic()
                with self.assertRaises(Unreachable):
                    ask_it()
                self.assertLess(time.monotonic() - start, 12)
                self.assertGreater(wrong.connections - before, 1)

    def test_connections_are_kept_and_reused(self):
        with support.Proxy(server.port) as proxy, martlet.Client(proxy.url) as through:
            for x in range(20):
                self.assertEqual(through.run("square", args=[x]), x * x)
            self.assertEqual(proxy.connections, 1)

    def test_a_lost_answer_makes_no_second_job(self):
        with support.Proxy(server.port) as proxy, martlet.Client(proxy.url) as through:
            for x in range(10):
                proxy.losses = 2
                job = through.submit("square", args=[x], tags=["lost"])
                self.assertEqual(proxy.losses, 0)
                self.assertEqual(job.result(), x * x)
        self.assertEqual(len(list(client.list(tag="lost"))), 10)

    def test_what_cannot_be_repeated_safely_is_not(self):
        with support.Proxy(server.port) as proxy, martlet.Client(proxy.url) as through:
            through.pools()
            proxy.losses = 1
            job = client.submit("square", args=[1])
            job.result()
            with self.assertRaises(Unreachable):
                through.retry(job)

    def test_a_lost_answer_makes_no_second_batch(self):
        with support.Proxy(server.port) as proxy, martlet.Client(proxy.url) as through:
            proxy.losses = 2
            through.submit_many([{"function": "square", "args": [1], "tags": ["lost batch"]}] * 3)
            self.assertEqual(proxy.losses, 0)
        self.assertEqual(len(list(client.list(tag="lost batch"))), 3)

    def test_what_was_lost_with_an_upload_is_sent_again(self):
        with support.Proxy(server.port) as proxy, martlet.Client(proxy.url) as through:
            found = []
            for result in through.map("square", range(3000), read_ahead=300, tags=["cut"]):
                found.append(result)
                if len(found) in (100, 1500):
                    proxy.cut()
            self.assertEqual(found, [i * i for i in range(3000)])
        jobs = list(client.list(tag="cut"))
        self.assertEqual(sum(job.wait(10).state == "succeeded" for job in jobs), 1)
        self.assertLessEqual(len(jobs), 6)

    def test_an_upload_that_cannot_be_made_is_given_up(self):
        with support.Proxy(server.port) as proxy, \
                martlet.Client(proxy.url, retry_for=1) as through:
            results = through.map("square", itertools.count(), read_ahead=100)
            next(results)
            proxy.close()
            with self.assertRaises(Unreachable):
                list(results)

    def test_a_map_goes_on_over_a_restart_of_the_server(self):
        with tempfile.TemporaryDirectory() as folder:
            own = support.start("--drain-seconds", "0", data=folder + "/data")
            try:
                with support.Proxy(own.port) as proxy, martlet.Client(proxy.url) as through:
                    results = through.map("nap", [0.01] * 300)
                    found = list(itertools.islice(results, 50))
                    own.kill()
                    restart = threading.Timer(0.5, restart_behind, (own, proxy))
                    restart.start()
                    found += results
                    restart.join()
                    self.assertEqual(found, [0.01] * 300)
            finally:
                own.__exit__()


def restart_behind(own, proxy):
    own.start()
    proxy.port_behind = own.port


class TokenTests(unittest.TestCase):
    def test_url_and_token_come_from_the_environment(self):
        with tempfile.NamedTemporaryFile("w") as file:
            file.write("a-long-secret\n")
            file.flush()
            with support.start("--token-file", file.name) as own:
                with self.assertRaises(Refused) as raised:
                    martlet.Client(support.url(own)).pools()
                self.assertEqual(raised.exception.status, 401)
                os.environ.update(MARTLET_URL=support.url(own), MARTLET_TOKEN="a-long-secret")
                try:
                    self.assertEqual(martlet.Client().run("square", args=[3]), 9)
                    with martlet.Executor() as executor:
                        self.assertEqual(executor.submit("square", 3).result(), 9)
                finally:
                    del os.environ["MARTLET_URL"], os.environ["MARTLET_TOKEN"]


class SecureTests(unittest.TestCase):
    def test_a_server_that_speaks_tls_is_trusted_by_its_authority(self):
        with tempfile.TemporaryDirectory() as folder:
            certificate, key = folder + "/certificate.pem", folder + "/key.pem"
            subprocess.run(
                ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                 "ec_paramgen_curve:P-256", "-nodes", "-keyout", key, "-out", certificate,
                 "-subj", "/CN=test", "-addext", "subjectAltName=IP:127.0.0.1"],
                check=True, capture_output=True)
            with support.start("--tls-cert", certificate, "--tls-key", key) as secure:
                address = "https://127.0.0.1:%d" % secure.port

                async def ask():
                    async with martlet.AsyncClient(address) as twin:
                        return [each async for each in twin.map("square", [2, 3])]
                with self.assertRaises(Unreachable) as raised:
                    martlet.Client(address).functions()
                self.assertIn("certificate verify failed", str(raised.exception))
                with mock.patch.dict(os.environ, MARTLET_CA=certificate):
                    with martlet.Client(address) as trusting:
                        self.assertEqual(trusting.run("square", args=[4]), 16)
                        self.assertEqual(list(trusting.map("square", [5])), [25])
                        # A map's own connection is to the server that the client has.
                        with mock.patch.dict(os.environ, MARTLET_CA=folder + "/none"):
                            self.assertEqual(list(trusting.map("square", [6])), [36])
                    self.assertEqual(asyncio.run(ask()), [4, 9])
                with mock.patch.dict(os.environ, MARTLET_CA=folder + "/none"):
                    with self.assertRaises(ValueError) as raised:
                        martlet.Client(address)
                    self.assertIn("MARTLET_CA cannot be read", str(raised.exception))


class AsyncClientTests(unittest.TestCase):
    def test_it_has_what_the_client_has(self):
        def names(kind):
            return {name: str(inspect.signature(value)) for name, value in vars(kind).items()
                    if not name.startswith("_") and callable(value)}
        self.assertEqual(names(martlet.AsyncClient), names(martlet.Client))
        self.assertEqual(names(martlet.AsyncJob), names(martlet.Job))

    def test_jobs_and_failures(self):
        async def main():
            async with martlet.AsyncClient(support.url(server)) as twin:
                job = await twin.submit("power", args=[2, 5])
                self.assertEqual(await job.result(), 32)
                self.assertEqual((await job.refresh()).state, "succeeded")
                with self.assertRaises(martlet.JobFailed) as raised:
                    await twin.run("odd_only", args=[2])
                self.assertIn("in odd_only", str(raised.exception.__cause__))
                with self.assertRaises(Refused):
                    await twin.submit("nothing")
                napping = await twin.submit("nap", args=[20])
                with self.assertRaises(TimeoutError):
                    await napping.wait(0.2)
                await napping.cancel()
                self.assertEqual((await napping.wait(10)).state, "cancelled")
                self.assertEqual((await twin.retry(job)).state, "queued")
                await job.wait()
                await job.delete()
                self.assertIn("square", await twin.functions())
                self.assertIn("process", await twin.pools())
                ids = await twin.submit_many([{"function": "square", "args": [4]}])
                self.assertEqual(await twin.result(ids[0]), 16)
                found = [job.id async for job in twin.list(function="square", limit=1)]
                self.assertEqual(found, ids)
        asyncio.run(main())

    def test_many_requests_at_once_share_bounded_connections(self):
        async def main(url):
            async with martlet.AsyncClient(url, connections=8) as twin:
                return await asyncio.gather(*(twin.run("square", args=[x]) for x in range(200)))
        with support.Proxy(server.port) as proxy:
            self.assertEqual(asyncio.run(main(proxy.url)), [x * x for x in range(200)])
            self.assertLessEqual(proxy.connections, 8 + 4)

    def test_maps_of_plain_and_asynchronous_iterables(self):
        async def numbers():
            for x in range(300):
                yield x

        async def main():
            async with martlet.AsyncClient(support.url(server)) as twin:
                plain = [value async for value in twin.map("square", range(300))]
                of_async = [value async for value in twin.map("square", numbers())]
                job = await twin.submit("square", map=[1, 2, 3])
                items = [item["result"] async for item in job.items()]
                return plain, of_async, items
        squares = [x * x for x in range(300)]
        self.assertEqual(asyncio.run(main()), (squares, squares, [1, 4, 9]))

    def test_a_map_that_is_left_or_cancelled_ends_on_the_server(self):
        async def endless():
            for x in itertools.count():
                await asyncio.sleep(0.001)
                yield x

        async def take(twin, tag, taken):
            results = twin.map("square", endless(), tags=[tag])
            try:
                async for result in results:
                    taken.append(result)
                    if tag == "left" and len(taken) == 20:
                        break
            finally:
                await results.aclose()

        async def main():
            async with martlet.AsyncClient(support.url(server)) as twin:
                for tag in ("left", "stopped"):
                    taken = []
                    task = asyncio.create_task(take(twin, tag, taken))
                    while len(taken) < 20:
                        await asyncio.sleep(0.01)
                    task.cancel()
                    await asyncio.wait([task])
                    self.assertEqual(taken[:20], [x * x for x in range(20)])
                    (job,) = [job async for job in twin.list(tag=tag)]
                    self.assertEqual((await job.wait(10)).state, "cancelled")
        asyncio.run(main())

    def test_what_was_lost_with_an_upload_is_sent_again(self):
        async def main(proxy):
            found = []
            async with martlet.AsyncClient(proxy.url) as through:
                async for result in through.map("square", range(3000), read_ahead=300):
                    found.append(result)
                    if len(found) in (100, 1500):
                        proxy.cut()
            return found
        with support.Proxy(server.port) as proxy:
            self.assertEqual(asyncio.run(main(proxy)), [x * x for x in range(3000)])

    def test_lost_answers_and_a_restart(self):
        async def main(url, own, proxy):
            async with martlet.AsyncClient(url) as twin:
                for x in range(5):
                    proxy.losses = 1
                    self.assertEqual(await twin.run("square", args=[x], tags=["once"]), x * x)
                self.assertEqual(len([job async for job in twin.list(tag="once")]), 5)
                waiting = asyncio.create_task(twin.run("nap", args=[1]))
                while not [job async for job in twin.list(state="running")]:
                    await asyncio.sleep(0.02)
                await asyncio.get_running_loop().run_in_executor(None, own.kill)
                await asyncio.get_running_loop().run_in_executor(
                    None, restart_behind, own, proxy)
                self.assertEqual(await waiting, 1)
        with tempfile.TemporaryDirectory() as folder:
            own = support.start(data=folder + "/data")
            try:
                with support.Proxy(own.port) as proxy:
                    asyncio.run(main(proxy.url, own, proxy))
            finally:
                own.__exit__()

    def test_a_cancelled_task_leaves_the_client_usable(self):
        async def main():
            async with martlet.AsyncClient(support.url(server), connections=1) as twin:
                job = await twin.submit("nap", args=[20])
                for _ in range(3):
                    waiting = asyncio.create_task(job.wait())
                    await asyncio.sleep(0.05)
                    waiting.cancel()
                    with self.assertRaises(asyncio.CancelledError):
                        await waiting
                await job.cancel()
                self.assertEqual(await twin.run("square", args=[3]), 9)
        asyncio.run(main())


if __name__ == "__main__":
    unittest.main()

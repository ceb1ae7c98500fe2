"""Retries, blame, and cancels after which nothing runs any more."""

import json
import os
import tempfile
import time
import unittest

from service import BINARY, FUNCTIONS, IS_SANITIZED, Server, alive


class FaultTests(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server(BINARY, FUNCTIONS)

    @classmethod
    def tearDownClass(cls):
        cls.server.__exit__()

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = folder.name + "/there"

    def read_when_there(self, path, seconds=20):
        deadline = time.time() + seconds
        while not os.path.exists(path):
            self.assertLess(time.time(), deadline, "the function did not begin")
            time.sleep(0.01)
        with open(path) as file:
            return file.read()

    def test_a_permanent_failure_is_not_tried_again(self):
        document = self.server.wait(self.server.submit(function="permanent", args=[self.path]))
        self.assertEqual((document["state"], document["attempt"]), ("failed", 1))
        self.assertTrue(document["error"]["permanent"])
        self.assertEqual(self.read_when_there(self.path), "x")

    def test_a_function_says_when_it_wants_to_be_tried_again(self):
        job = self.server.submit(
            function="asks_for_time", args=[self.path, 0.3],
            retry={"max_attempts": 2, "initial": 60})
        document = self.server.wait(job)
        self.assertEqual((document["state"], document["result"]), ("succeeded", "now"))
        (attempt,) = document["failed_attempts"]
        self.assertEqual((attempt["attempt"], attempt["error"]["retry_after"]), (1, 0.3))

    def test_every_failed_attempt_is_kept(self):
        job = self.server.submit(
            function="fail", args=["no"], retry={"max_attempts": 3, "initial": 0})
        document = self.server.wait(job)
        self.assertEqual([a["attempt"] for a in document["failed_attempts"]], [1, 2, 3])
        for attempt in document["failed_attempts"]:
            self.assertEqual(attempt["error"]["type"], "ValueError")
            self.assertLessEqual(attempt["started_at"], attempt["ended_at"])

    def test_a_process_that_ends_is_blamed_with_what_it_used(self):
        document = self.server.wait(self.server.submit(function="grow_and_die", args=[100]))
        error = document["error"]
        self.assertEqual(error["reason"], "exit")
        # A server that had more when it started the worker cannot tell, which under a sanitizer it has.
        if not IS_SANITIZED:
            self.assertGreater(error["max_memory_bytes"], 100 << 20)
        self.assertGreater(error["cpu_seconds"], 0)

    def test_an_odd_result_costs_its_own_call_alone(self):
        innocent = self.server.submit(function="later", args=[0.5])
        self.await_start(innocent)
        half = self.server.wait(self.server.submit(function="half_a_pair", args=[]))
        self.assertEqual(half["result"], "caf\udce9")
        deep = self.server.wait(self.server.submit(function="nest", args=[100]))
        self.assertEqual((deep["state"], deep["error"]["reason"]), ("failed", "exception"))
        self.assertIn("nested too deeply", deep["error"]["message"])
        # One item that cannot be told takes none of its chunk with it.
        job = self.server.submit(
            function="nest", map=[1, 100, 2], chunk=3, pool="async", on_error="continue")
        self.assertEqual(self.server.wait(job)["progress"]["failed"], 1)
        self.assertEqual(self.server.result(job), [[[]], None, [[[]]]])
        self.assertEqual(self.server.wait(innocent)["attempt"], 1)
        self.assertIsNone(self.server.result(innocent))

    def await_start(self, job):
        deadline = time.time() + 20
        while self.server.wait(job, 0)["state"] == "queued":
            self.assertLess(time.time(), deadline, "it did not begin")
            time.sleep(0.01)

    def test_a_cancelled_job_leaves_no_daemon_behind(self):
        for function, arguments in [
                ("leave_a_daemon", [self.path, 1000]), ("daemon_command", [self.path])]:
            with self.subTest(function=function):
                job = self.server.submit(function=function, args=arguments)
                daemon = int(self.read_when_there(self.path))
                os.remove(self.path)
                self.assertTrue(alive(daemon))
                self.server.call("POST", "/v1/jobs/%s/cancel" % job)
                self.assertEqual(self.server.wait(job, 20)["state"], "cancelled")
                self.assertFalse(alive(daemon))

    def test_a_timeout_leaves_no_daemon_behind(self):
        job = self.server.submit(function="leave_a_daemon", args=[self.path, 1000], timeout=0.5)
        daemon = int(self.read_when_there(self.path))
        self.assertEqual(self.server.wait(job, 20)["error"]["reason"], "timeout")
        self.assertFalse(alive(daemon))

    def test_a_thread_that_pays_no_heed_is_said_to_be_so_and_its_worker_replaced(self):
        self.pays_no_heed("sleep_deaf", "count_to", "thread")

    def test_a_coroutine_that_pays_no_heed_is_said_to_be_so_and_its_worker_replaced(self):
        self.pays_no_heed("catch_all", "count_async", "async")

    def pays_no_heed(self, deaf, other, pool):
        job = self.server.submit(function=deaf, pool=pool, args=[self.path])
        neighbour = self.server.submit(function=other, pool=pool, args=[self.path + "2", 6])
        worker = int(self.read_when_there(self.path))
        self.assertEqual(int(self.read_when_there(self.path + "2")), worker)
        self.server.call("POST", "/v1/jobs/%s/cancel" % job)
        # It runs on in a worker that another call needs, which is not to suffer for it.
        deadline = time.monotonic() + 20
        while b"goes on" not in self.server.call("GET", "/v1/jobs/%s/logs" % job)[2]:
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.05)
        self.assertEqual(self.server.wait(job, 0)["state"], "cancelling")
        self.assertNotEqual(
            self.server.run(function=other, pool=pool, args=[self.path + "3", 0]), worker)
        document = self.server.wait(neighbour)
        self.assertEqual((document["result"], document["attempt"]), (worker, 1))
        document = self.server.wait(job, 20)
        self.assertEqual(document["state"], "cancelled")
        self.assertIn("no heed", document["error"]["message"])
        self.assertFalse(alive(worker))

    def test_a_thread_that_pays_no_heed_to_its_timeout_ends_with_its_worker(self):
        job = self.server.submit(function="sleep_deaf", args=[self.path], timeout=0.2)
        document = self.server.wait(job, 20)
        self.assertEqual((document["state"], document["error"]["reason"]), ("failed", "timeout"))
        self.assertFalse(alive(int(self.read_when_there(self.path))))

    def test_jobs_are_cancelled_and_tried_again_in_bulk(self):
        jobs = [self.server.submit(function="fail", args=["no"], tags=["bulk"], delay=3600)
                for _ in range(30)]
        other = self.server.submit(function="fail", args=["no"], delay=3600)
        status, _, body = self.server.call("POST", "/v1/jobs/cancel?tag=bulk")
        self.assertEqual((status, json.loads(body)), (200, {"jobs": 30}))
        self.assertEqual({self.server.wait(job, 0)["state"] for job in jobs}, {"cancelled"})
        self.assertEqual(self.server.wait(other, 0)["state"], "queued")
        self.assertEqual(
            json.loads(self.server.call("POST", "/v1/jobs/retry?tag=bulk&reason=signal")[2]),
            {"jobs": 0})
        self.assertEqual(
            json.loads(self.server.call("POST", "/v1/jobs/retry?tag=bulk&state=cancelled")[2]),
            {"jobs": 30})
        self.assertEqual({self.server.wait(job)["state"] for job in jobs}, {"failed"})
        for query in ("", "?tga=bulk", "?state=queued&tag=bulk", "?tag=bulk&tag=other"):
            self.assertEqual(self.server.call("POST", "/v1/jobs/retry" + query)[0], 400)
        # The jobs that may be cancelled have not failed for any reason.
        self.assertEqual(self.server.call("POST", "/v1/jobs/cancel?reason=signal")[0], 400)
        self.assertEqual(self.server.wait(other, 0)["state"], "queued")
        self.server.call("POST", "/v1/jobs/%s/cancel" % other)


if __name__ == "__main__":
    unittest.main()

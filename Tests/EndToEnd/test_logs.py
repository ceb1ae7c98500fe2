"""What functions print, log and tell of their progress: live, afterwards, within limits."""

import http.client
import os
import tempfile
import time
import unittest

from service import BINARY, FUNCTIONS, Server, ServiceTestCase
from stream import EventSource


class LogTests(ServiceTestCase):
    settings = {"threads": 4}

    def run_to_its_end(self, **submission):
        job = self.server.submit(**submission)
        self.server.wait(job)
        return job

    def log(self, job, query=""):
        status, headers, body = self.server.call("GET", "/v1/jobs/%s/logs%s" % (job, query))
        self.assertEqual((status, headers["Content-Type"]), (200, "text/plain; charset=utf-8"))
        return body.decode()

    def test_prints_and_records_are_kept_in_their_order(self):
        job = self.run_to_its_end(function="say_everywhere")
        self.assertEqual(self.log(job), (
            "to stdout\nto stderr\nas bytes\n[info] an info\n[warning] nearly full\nnot ended\n"))
        self.assertEqual(self.log(job, "?tail=2"), "[warning] nearly full\nnot ended\n")
        self.assertEqual(self.log(job, "?tail=0"), "")
        self.assertEqual(self.log(self.run_to_its_end(function="say")), "")

    def test_a_functions_own_set_up_of_logging_is_heeded(self):
        job = self.run_to_its_end(function="configure_logging")
        self.assertEqual(self.log(job), "[debug] disk says empty\n")

    def test_lines_are_told_while_the_job_runs(self):
        for pool in ("process", "thread"):
            with self.subTest(pool=pool):
                job = self.server.submit(
                    function="say_between", args=["first", 2, "last"], pool=pool, delay=1)
                with EventSource(self.server, "/v1/jobs/%s/events" % job) as events:
                    told = events.until(lambda name, data: name == "log")
                    self.assertEqual(
                        {name: told[-1][1][name] for name in ("job", "stream", "line")},
                        {"job": job, "stream": "stdout", "line": "first"})
                    self.assertEqual(self.server.wait(job, 0)["state"], "running")
                    rest = list(events)
                self.assertEqual([data["line"] for name, data in rest if name == "log"], ["last"])
                self.assertEqual(rest[-1][1]["state"], "succeeded")

    def test_a_log_is_followed_to_the_end_of_the_job(self):
        job = self.server.submit(function="say_between", args=["first", 1, "last"])
        connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=30)
        self.addCleanup(connection.close)
        connection.request("GET", "/v1/jobs/%s/logs?follow=1" % job)
        response = connection.getresponse()
        self.assertEqual(response.readline(), b"first\n")
        self.assertEqual(self.server.wait(job, 0)["state"], "running")
        self.assertEqual(response.read(), b"last\n")
        self.assertEqual(self.server.wait(job, 0)["state"], "succeeded")

    def test_calls_at_once_in_one_worker_are_told_apart(self):
        later = [self.server.submit(function="say_later", args=[name, 0.2]) for name in "abcd"]
        threads = [self.server.submit(
            function="say_between", args=["begin " + name, 0.2, "end " + name], pool="thread")
            for name in "abcd"]
        for jobs in (later, threads):
            for name, job in zip("abcd", jobs):
                self.server.wait(job)
                self.assertEqual(self.log(job), "begin %s\nend %s\n" % (name, name))

    def test_what_threads_and_children_of_a_function_print_does_no_harm(self):
        self.assertEqual(
            self.log(self.run_to_its_end(function="say_in_a_thread")), "from a thread\n")
        self.assertEqual(
            sorted(self.log(self.run_to_its_end(function="fork_and_say")).splitlines()),
            ["the child's", "the parent's"])

    def test_what_is_printed_past_python_is_told_of_the_job(self):
        for pool in ("process", "thread"):
            with self.subTest(pool=pool):
                job = self.run_to_its_end(
                    function="say_past_python", args=[pool], pool=pool)
                self.assertEqual(sorted(self.log(job).splitlines()), [
                    "a child: " + pool, "a library: " + pool, "its error"])
        job = self.run_to_its_end(function="say_past_python", args=["x", True])
        self.assertIn("a library: x\n", self.log(job))
        self.assertIn("last words\n", self.log(job))
        self.assertNotIn("last words", self.server.said())

    def test_what_a_function_prints_past_python_without_end_is_cut(self):
        started = time.monotonic()
        job = self.run_to_its_end(function="flood_past_python", args=[20])
        self.assertLess(len(self.log(job)), 1100 << 10)
        self.assertEqual(self.server.wait(job)["state"], "succeeded")
        self.assertLess(time.monotonic() - started, 20)

    def test_lines_before_a_crash_are_kept(self):
        job = self.run_to_its_end(function="say_and_die")
        self.assertEqual(self.server.wait(job)["error"]["signal"], 9)
        self.assertEqual(self.log(job), "".join("line %d\n" % i for i in range(20)))

    def test_attempts_follow_one_another(self):
        job = self.run_to_its_end(
            function="say_and_fail", args=["x"],
            retry={"max_attempts": 3, "backoff": "constant", "initial": 0})
        self.assertEqual(self.log(job), (
            "trying x\n[info] attempt 2 begins\ntrying x\n[info] attempt 3 begins\ntrying x\n"))

    def test_a_commands_standard_error_is_its_log(self):
        job = self.run_to_its_end(function="complain")
        self.assertEqual(self.log(job), "first\nsecond\nlast\n")

    def test_a_log_has_1_MiB_at_most_and_says_when_it_is_cut(self):
        job = self.run_to_its_end(function="say_much", args=[30_000, 100])
        text = self.log(job)
        self.assertLess(len(text), (1 << 20) + 200)
        self.assertGreater(len(text), (1 << 20) - 200)
        lines = text.splitlines()
        self.assertEqual(lines[-1], (
            "[warning] the log is cut here: 1048576 bytes are kept of a job"))
        self.assertEqual(lines[:-1], [str(i) + "x" * 100 for i in range(len(lines) - 1)])

    def test_a_line_has_16_KiB_at_most(self):
        job = self.run_to_its_end(function="say_much", args=[1, 50_000])
        self.assertEqual(
            self.log(job), "0" + "x" * 16383 + " [cut: a line has 16384 bytes at most]\n")

    def test_of_a_line_that_overwrites_itself_the_last_is_kept(self):
        self.assertEqual(
            self.log(self.run_to_its_end(function="draw_a_bar")), "1000 of 1000\ndone\n")

    def test_the_items_of_a_map_share_a_log(self):
        job = self.run_to_its_end(function="say", map=["a", "b", "c"], chunk=1, concurrency=1)
        self.assertEqual(self.log(job), "a\nb\nc\n")

    def test_a_log_goes_with_its_job(self):
        job = self.run_to_its_end(function="say", args=["hello"])
        self.assertEqual(self.server.call("DELETE", "/v1/jobs/" + job)[0], 204)
        self.problem("GET", "/v1/jobs/%s/logs" % job, 404, "no-such-job")

    def test_a_log_outlives_the_server(self):
        with Server(BINARY, FUNCTIONS) as server:
            job = server.submit(function="say", args=["hello"])
            server.wait(job)
            server.kill()
            server.start()
            self.assertEqual(server.call("GET", "/v1/jobs/%s/logs" % job)[2], b"hello\n")

    def test_progress_is_told_while_the_call_runs(self):
        for submission in ({"function": "step", "args": [8, 0.15]},
                           {"function": "step", "args": [8, 0.15], "pool": "thread"},
                           {"function": "step_later", "args": [8, 0.15]}):
            with self.subTest(**submission):
                job = self.server.submit(delay=0.2, **submission)
                with EventSource(self.server, "/v1/jobs/%s/events" % job) as events:
                    first = events.until(lambda name, data: name == "progress")[-1][1]
                    standing = self.server.wait(job, 0)["progress"]
                    steps = [first] + [data for name, data in events if name == "progress"]
                self.assertEqual([step["done"] for step in steps], list(range(1, 9)))
                self.assertEqual({step["total"] for step in steps}, {8})
                if submission["function"] == "step":
                    self.assertEqual(steps[2]["message"], "step 3")
                self.assertEqual(standing["total"], 8)
                self.assertNotIn("progress", self.server.wait(job))

    def test_progress_of_a_hurry_comes_ten_times_a_second_and_last_of_all_its_last(self):
        job = self.server.submit(function="step", args=[3000, 0.0003], delay=0.2)
        with EventSource(self.server, "/v1/jobs/%s/events" % job) as events:
            steps = [data["done"] for name, data in events if name == "progress"]
        self.assertLess(len(steps), 40)
        self.assertEqual(steps[-1], 3000)

    def test_a_trace_is_kept_and_handed_to_the_function(self):
        trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
        for submission in ({"function": "step", "args": [0, 0]},
                           {"function": "step", "args": [0, 0], "pool": "thread"},
                           {"function": "step_later", "args": [0, 0]}, {"function": "complain"}):
            with self.subTest(**submission):
                _, _, body = self.server.call(
                    "POST", "/v1/jobs", submission,
                    {"traceparent": trace, "Prefer": "wait=30"})
                self.assertIn(('"result":"%s"' % trace).encode(), body)
                self.assertIn(('"traceparent":"%s"' % trace).encode(), body)
        self.assertIsNone(self.server.run(function="step", args=[0, 0]))


if __name__ == "__main__":
    unittest.main()

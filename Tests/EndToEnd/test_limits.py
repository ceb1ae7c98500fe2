"""What a job may use, who is blamed, and when a worker is replaced."""

import os
import signal
import subprocess
import tempfile
import time
import unittest

from service import BINARY, FUNCTIONS, IS_SANITIZED, ROOT, Server, ServiceTestCase, alive


class LimitTests(ServiceTestCase):
    def ended(self, **submission):
        return self.server.wait(self.server.submit(**submission), 30)

    def failed(self, reason, **submission):
        document = self.ended(**submission)
        self.assertEqual((document["state"], document.get("error", {}).get("reason")),
                         ("failed", reason), document)
        return document["error"]

    def test_a_call_that_wants_too_much_memory_fails_and_its_worker_lives(self):
        limit = 300 << 20
        self.server.run(function="hold", args=[100], max_memory_bytes=limit)
        error = self.failed("out_of_memory", function="hold", args=[400], max_memory_bytes=limit)
        self.assertEqual(error["type"], "MemoryError")
        # The limit was the call's alone.
        for _ in range(8):
            self.server.run(function="hold", args=[400])
        self.assertTrue(alive(error["worker"]))

    def test_the_limit_of_a_function_holds_unless_the_job_has_one(self):
        self.failed("out_of_memory", function="hold_within", args=[300])
        self.assertEqual(self.server.run(
            function="hold_within", args=[300], max_memory_bytes=600 << 20), 300)
        function = self.get("/v1/functions/hold_within")
        self.assertEqual((function["pools"], function["max_memory_bytes"]),
                         (["process"], 200 << 20))

    def test_each_item_of_a_map_has_the_limits(self):
        job = self.server.submit(function="hold_within", map=[1, 300, 2], on_error="continue")
        self.assertEqual(self.server.result(job), [1, None, 2])
        job = self.server.submit(
            function="burn", map=[0.7, 9, 0.7, 0.7], chunk=4, on_error="continue", max_cpu_seconds=1)
        document = self.server.wait(job, 40)
        self.assertEqual(document["progress"]["failed"], 1, document)
        self.assertIsNone(self.server.result(job)[1])

    def test_a_call_that_uses_up_its_processor_time_is_ended(self):
        for function in ("burn", "burn_command"):
            with self.subTest(function=function):
                error = self.failed(
                    "limit", function=function, args=[60], max_cpu_seconds=1,
                    retry={"max_attempts": 1})
                self.assertEqual((error["type"], error["signal"]), ("CPULimit", signal.SIGXCPU))
                # Of 60. The kernel ends it by its ticks, each of which is the whole of who runs just
                # then: on a busy machine 0.77 s of true time have been taken for 1.
                self.assertTrue(0.5 <= error["cpu_seconds"] < 10, error["cpu_seconds"])
        self.assertIsInstance(self.server.run(function="burn", args=[1.5]), int)

    def test_a_result_that_is_too_large_is_refused(self):
        for function in ("repeat", "cat"):
            for pad, fits in ((0, True), (1000, False)):
                argument = 96 + pad if function == "repeat" else "x" * (94 + pad)
                with self.subTest(function=function, fits=fits):
                    document = self.ended(
                        function=function, args=[argument], max_output_bytes=98)
                    self.assertEqual(document["state"], "succeeded" if fits else "failed")
                    if not fits:
                        self.assertEqual(document["error"]["reason"], "limit")
                        self.assertEqual(document["error"]["type"], "OutputLimit")

    def test_limits_that_could_not_be_kept_are_refused(self):
        for member, work in [
                ("max_memory_bytes", {"function": "square"}),
                ("max_cpu_seconds", {"function": "py_square", "pool": "thread"}),
                ("max_output_bytes", {"function": "later_square"})]:
            problem = self.problem("POST", "/v1/jobs", 422, "limit-not-possible",
                                   body=dict(work, args=[1], **{member: 1 << 20}))
            self.assertEqual(problem["pointer"], "/" + member)
        for member, value in [("max_memory_bytes", 5), ("max_memory_bytes", "1G"),
                              ("max_cpu_seconds", 0), ("max_cpu_seconds", 1.5),
                              ("max_output_bytes", 0)]:
            problem = self.problem("POST", "/v1/jobs", 422, "invalid-member", body={
                "function": "py_square", "args": [1], member: value})
            self.assertEqual(problem["pointer"], "/" + member)

    def test_a_job_that_keeps_ending_its_worker_is_given_up(self):
        with tempfile.TemporaryDirectory() as folder:
            path = folder + "/notes"
            document = self.ended(function="die_of", args=[path, signal.SIGSEGV],
                                  retry={"max_attempts": 50, "initial": 0})
            self.assertEqual((document["state"], document["attempt"]), ("failed", 3))
            self.assertTrue(document["error"]["permanent"])
            self.assertIn("3 workers", document["error"]["message"])
            workers = {each["error"]["worker"] for each in document["failed_attempts"]}
            self.assertEqual(len(workers), 3)
            with open(path) as file:
                self.assertEqual(file.read(), "xxx")

    def test_an_exception_is_blamed_with_what_the_call_used(self):
        error = self.failed("exception", function="fail", args=["no"])
        self.assertGreater(error["max_memory_bytes"], 5 << 20)
        self.assertGreaterEqual(error["cpu_seconds"], 0)
        self.assertTrue(os.path.exists("/proc/%d" % error["worker"]))

    def test_a_job_that_has_not_ended_is_not_tried_again(self):
        job = self.server.submit(function="square", args=[1], delay=3600)
        self.problem("POST", "/v1/jobs/%s/retry" % job, 409, "job-not-ended")
        self.server.call("POST", "/v1/jobs/%s/cancel" % job)
        self.assertEqual(self.server.call("POST", "/v1/jobs/%s/retry" % job)[0], 202)
        self.assertEqual(self.server.result(job), 1)


class WorkerTests(ServiceTestCase):
    @classmethod
    def setUpClass(cls):
        pass  # each test has a server of its own

    def serve(self, *more):
        self.server = self.enterContext(Server(BINARY, FUNCTIONS, processes=1, more=more))
        return self.server

    def test_a_worker_is_replaced_after_so_many_calls(self):
        server = self.serve("--worker-max-jobs", "3")
        pids = [server.run(function="hold", args=[1])[0] for _ in range(9)]
        self.assertEqual([pids.count(pid) for pid in dict.fromkeys(pids)], [3, 3, 3])
        jobs = [server.submit(function="py_square", args=[i]) for i in range(50)]
        self.assertEqual([server.result(job) for job in jobs], [i * i for i in range(50)])

    def test_a_worker_that_has_grown_is_replaced(self):
        server = self.serve("--worker-max-memory", str(150 << 20))
        pids = [server.run(function="keep_and_tell", args=[60]) for _ in range(6)]
        self.assertEqual([pids.count(pid) for pid in dict.fromkeys(pids)], [3, 3])

    def test_descriptors_are_bounded(self):
        server = self.serve("--worker-open-files", "64")
        self.assertEqual(server.run(function="open_files", args=[30]), 30)
        document = server.wait(server.submit(function="open_files", args=[100]))
        self.assertEqual((document["error"]["reason"], document["error"]["type"]),
                         ("exception", "OSError"))

    def test_the_bound_of_worker_deaths_can_be_set(self):
        server = self.serve("--max-worker-deaths", "1")
        document = server.wait(server.submit(
            function="kill_oneself", retry={"max_attempts": 5, "initial": 0}))
        self.assertEqual((document["state"], document["attempt"]), ("failed", 1))

    def test_wrong_settings_are_refused(self):
        for option in ("--worker-max-jobs", "--worker-max-memory", "--worker-open-files",
                       "--worker-processes", "--max-worker-deaths"):
            ran = subprocess.run([BINARY, "serve", option, "0"], capture_output=True, text=True,
                                 cwd=ROOT, timeout=20)
            self.assertNotEqual(ran.returncode, 0)
            self.assertIn(option, ran.stderr)

    def test_requests_and_jobs_have_their_time_together(self):
        server = self.serve("--drain-seconds", "2")
        job = server.submit(function="spin", args=[60])
        self.await_state(job, "running")
        waiting = subprocess.Popen(["curl", "-s", "http://127.0.0.1:%d/v1/jobs/%s?wait=60"
                                    % (server.port, job)], stdout=subprocess.DEVNULL)
        self.addCleanup(waiting.wait)
        time.sleep(0.3)
        start = time.monotonic()
        self.assertEqual(server.stop(), 0)
        self.assertLess(time.monotonic() - start, 3.9)

    def test_a_second_signal_hurries_and_the_attempt_is_not_counted(self):
        server = self.serve("--drain-seconds", "60")
        job = server.submit(function="spin", args=[60])
        self.await_state(job, "running")
        server.process.terminate()
        self.until(lambda: "stopping" in server.said())
        server.process.terminate()
        self.assertEqual(server.process.wait(10), 0)
        server.start()
        self.await_state(job, "running")
        self.assertEqual(server.wait(job, 0)["attempt"], 1)
        server.call("POST", "/v1/jobs/%s/cancel" % job)


class KernelKillTests(ServiceTestCase):
    """The kernel kills a worker because its cgroup has no memory left."""

    @classmethod
    def setUpClass(cls):
        pass

    def cgroup(self):
        """A new group below this process's own, of cgroups' first version."""
        with open("/proc/self/cgroup") as file:
            paths = [line.strip().split(":", 2) for line in file]
        own = [path for _, kind, path in paths if kind == "memory"]
        place = "/sys/fs/cgroup/memory%s/martlet-test-%d" % (own[0] if own else "", os.getpid())
        try:
            os.mkdir(place)
        except OSError as error:
            self.skipTest("no cgroup can be made: %s" % error)
        self.addCleanup(os.rmdir, place)
        return place

    @unittest.skipIf(IS_SANITIZED, "the kernel would choose the server, which is larger")
    def test_it_is_blamed_as_out_of_memory(self):
        place = self.cgroup()
        with open(place + "/memory.limit_in_bytes", "w") as file:
            file.write(str(400 << 20))
        outside = self.enterContext(tempfile.TemporaryDirectory())
        # The server itself joins: its group's count is the one that it reads.
        launcher = outside + "/martlet"
        with open(launcher, "w") as file:
            file.write("#!/bin/sh\necho $$ > %s/cgroup.procs\nexec %s \"$@\"\n"
                       % (place, os.path.join(ROOT, BINARY)))
        os.chmod(launcher, 0o755)
        with Server(launcher, FUNCTIONS, processes=1) as server:
            document = server.wait(server.submit(
                function="keep_and_tell", args=[700], retry={"max_attempts": 2, "initial": 0}))
            self.assertEqual(document["error"]["reason"], "out_of_memory", document)
            self.assertEqual(document["attempt"], 2)
            self.assertEqual(server.run(function="py_square", args=[3]), 9)
            # One that somebody else kills is not.
            document = server.wait(server.submit(function="kill_oneself"))
            self.assertEqual(document["error"]["reason"], "signal")


if __name__ == "__main__":
    unittest.main()

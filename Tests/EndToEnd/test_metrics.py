"""Metrics in Prometheus' format, health and readiness with reasons, the log as JSON."""

import json
import os
import re
import shutil
import socket
import subprocess
import tempfile
import unittest

from service import BINARY, FUNCTIONS, ROOT, Server, ServiceTestCase
from stream import EventSource
from test_full_disk import SmallDisk


def promtool():
    """The path of Prometheus' own checker; fetched the first time if it is not installed."""
    installed = shutil.which("promtool")
    if installed:
        return installed
    # Unpacked, not installed: that would start the service.
    folder = ROOT + "/.build/prometheus"
    if not os.path.exists(folder + "/usr/bin/promtool"):
        with tempfile.TemporaryDirectory() as download:
            subprocess.run(
                "apt-get update -qq && apt-get download -qq -o APT::Sandbox::User=root prometheus && dpkg -x *.deb '%s'"
                % folder, shell=True, check=True, cwd=download, stdout=subprocess.DEVNULL)
    return folder + "/usr/bin/promtool"


class MetricsTests(ServiceTestCase):
    def metrics(self, server=None):
        """The values by name and labels."""
        status, headers, body = (server or self.server).call("GET", "/metrics")
        self.assertEqual(status, 200)
        self.assertEqual(headers["Content-Type"], "text/plain; version=0.0.4; charset=utf-8")
        found = {}
        for line in body.decode().splitlines():
            if not line.startswith("#"):
                name, value = line.rsplit(" ", 1)
                self.assertNotIn(name, found)
                found[name] = float(value)
        return found

    def test_promtool_finds_no_fault(self):
        self.server.run(function="square", args=[2])
        text = self.server.call("GET", "/metrics")[2]
        checked = subprocess.run(
            [promtool(), "check", "metrics"], input=text, capture_output=True)
        self.assertEqual((checked.returncode, checked.stdout + checked.stderr), (0, b""))

    def test_jobs_are_counted_by_function_queue_and_state(self):
        before = self.metrics()
        for _ in range(3):
            self.server.run(function="py_square", args=[2], queue="counted")
        failed = self.server.submit(
            function="fail", args=["no"], queue="counted",
            retry={"max_attempts": 2, "backoff": "constant", "initial": 0})
        self.server.wait(failed)
        cancelled = self.server.submit(function="fail", args=[""], queue="counted", delay=3600)
        self.server.call("POST", "/v1/jobs/%s/cancel" % cancelled)
        after = self.metrics()
        square, fail = 'function="py_square",queue="counted"', 'function="fail",queue="counted"'
        for name, rise in {
                "martlet_jobs_submitted_total{%s}" % square: 3,
                "martlet_jobs_submitted_total{%s}" % fail: 2,
                "martlet_attempts_total{%s}" % square: 3,
                "martlet_attempts_total{%s}" % fail: 2,
                'martlet_jobs_ended_total{%s,state="succeeded"}' % square: 3,
                'martlet_jobs_ended_total{%s,state="failed"}' % fail: 1,
                'martlet_jobs_ended_total{%s,state="cancelled"}' % fail: 1,
                'martlet_jobs{queue="counted",state="succeeded"}': 3,
                'martlet_jobs{queue="counted",state="failed"}': 1,
                'martlet_jobs{queue="counted",state="cancelled"}': 1,
                "martlet_job_run_seconds_count{%s}" % square: 3,
                "martlet_job_run_seconds_count{%s}" % fail: 2,
                "martlet_job_waiting_seconds_count{%s}" % square: 3,
                'martlet_job_seconds_bucket{%s,le="+Inf"}' % square: 3,
                "martlet_jobs_running{%s}" % square: 0,
                "martlet_jobs_running{%s}" % fail: 0}.items():
            self.assertEqual(after[name] - before.get(name, 0), rise, name)

    def test_times_are_measured_from_the_moments_that_they_are_named_after(self):
        labels = 'function="nap",queue="measured"'
        job = self.server.submit(function="nap", args=[0.3], queue="measured", delay=0.5)
        self.until(lambda: self.metrics().get("martlet_jobs_running{%s}" % labels) == 1)
        self.server.wait(job)
        found = self.metrics()
        run, waiting, whole = (
            found["martlet_%s_seconds_sum{%s}" % (name, labels)]
            for name in ("job_run", "job_waiting", "job"))
        self.assertTrue(0.3 <= run < 5, run)
        self.assertGreaterEqual(whole, 0.8)
        # The half second before it was due was no waiting.
        self.assertTrue(0 <= waiting <= whole - run - 0.49, (waiting, whole, run))

    def test_pools_store_and_process_are_shown(self):
        self.server.run(function="square", args=[2])

        def resident():
            with open("/proc/%d/statm" % self.server.process.pid) as file:
                return int(file.read().split()[1]) * 4096
        # A second after its start a server gives some of it back, perhaps right now.
        before, found, after = resident(), self.metrics(), resident()
        self.assertEqual(found['martlet_pool_slots{pool="process"}'], 2)
        self.assertEqual(found['martlet_pool_slots{pool="thread"}'], 8)
        self.assertGreaterEqual(found['martlet_pool_workers{pool="process"}'], 2)
        self.assertGreater(found["martlet_store_commit_seconds_count"], 0)
        self.assertGreaterEqual(
            found["martlet_store_commit_changes_sum"], found["martlet_store_commit_changes_count"])
        self.assertGreater(found["martlet_store_bytes"], 4096)
        self.assertEqual(found["martlet_store_failed_changes_total"], 0)
        self.assertGreater(found["process_resident_memory_bytes"], min(before, after) / 2)
        self.assertLess(found["process_resident_memory_bytes"], max(before, after) * 1.5)
        self.assertGreater(found["process_cpu_seconds_total"], 0)
        self.assertGreater(found["process_start_time_seconds"], 1.6e9)
        self.assertGreater(found["process_open_fds"], 5)

    def test_requests_are_counted_by_route_and_status(self):
        def count(route, status, method="GET"):
            return self.metrics().get(
                'martlet_http_requests_total{method="%s",route="%s",status="%d"}' % (
                    method, route, status), 0)
        before = [count("/v1/jobs/{id}", 404), count("", 404, ""), count("/v1/jobs", 202, "POST")]
        for _ in range(3):
            self.server.call("GET", "/v1/jobs/01890a5d-ac96-774b-bcce-b302099a8057")
        self.server.call("GET", "/nowhere")
        for _ in range(2):
            self.server.submit(function="square", args=[2])
        after = [count("/v1/jobs/{id}", 404), count("", 404, ""), count("/v1/jobs", 202, "POST")]
        self.assertEqual([b - a for a, b in zip(before, after)], [3, 1, 2])

    def test_the_time_of_answers_is_told_by_route(self):
        name = 'martlet_http_request_seconds_%s{method="GET",route="/v1/jobs/{id}"%s}'
        def look():
            found = self.metrics()
            return [found.get(name % part, 0) for part in (
                ("count", ""), ("sum", ""), ("bucket", ',le="0.1"'), ("bucket", ',le="1"'))]
        job = self.server.submit(function="sleep", args=[0.3])
        before = look()
        self.server.call("GET", "/v1/jobs/%s?wait=10" % job)
        self.server.call("GET", "/v1/jobs/%s" % job)
        count, seconds, short, all_but_long = [b - a for a, b in zip(before, look())]
        self.assertEqual((count, short, all_but_long), (2, 1, 2))
        self.assertTrue(0.2 < seconds < 0.9, seconds)

    def test_a_name_with_quotes_is_escaped(self):
        with tempfile.TemporaryDirectory() as folder:
            with open(folder + '/a"b\\c.sh', "w") as file:
                file.write("#!/bin/sh\necho 1\n")
            subprocess.run(["chmod", "+x", file.name], check=True)
            with Server(BINARY, folder) as server:
                server.run(function='a"b\\c')
                self.assertIn(
                    'martlet_jobs_submitted_total{function="a\\"b\\\\c",queue="default"}',
                    self.metrics(server))

    def test_streams_of_events_are_counted(self):
        self.until(lambda: self.metrics()["martlet_event_streams"] == 0)
        with EventSource(self.server, "/v1/events"):
            self.assertEqual(self.metrics()["martlet_event_streams"], 1)
        self.until(lambda: self.metrics()["martlet_event_streams"] == 0)


class HealthTests(ServiceTestCase):
    @classmethod
    def setUpClass(cls):
        pass  # each test ends its server, or breaks it

    def test_a_server_that_stops_says_so(self):
        with Server(BINARY, FUNCTIONS) as server:
            job = server.submit(function="echo", args=[1], delay=3600)
            with socket.create_connection(("127.0.0.1", server.port), timeout=20) as client:
                lines = client.makefile("rb")
                # The stream ends with the stop; the second request is answered after it.
                client.sendall(
                    b"GET /v1/jobs/%s/events HTTP/1.1\r\nHost: localhost\r\n\r\n"
                    b"GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n" % job.encode())
                while not lines.readline().startswith(b"event: state"):
                    pass
                server.process.terminate()
                answer = lines.read().partition(b"HTTP/1.1 ")[2]
            self.assertTrue(answer.startswith(b"503 "), answer)
            problem = json.loads(answer.partition(b"\r\n\r\n")[2])
            self.assertEqual(problem["type"], "urn:martlet:problem:not-ready")
            self.assertIn("stops", problem["detail"])
            self.assertEqual(server.process.wait(20), 0)

    def test_a_server_whose_store_fails_is_alive_but_not_ready(self):
        with SmallDisk(16) as disk, Server(BINARY, FUNCTIONS, data=disk.path + "/data") as server:
            self.server = server
            self.assertEqual(self.get("/readyz"), {"status": "ready"})
            disk.fill()
            self.until(lambda: server.call(
                "POST", "/v1/jobs", {"function": "echo", "args": ["x" * 100_000]})[0] == 507)
            problem = self.problem("GET", "/readyz", 503, "not-ready")
            self.assertIn("store", problem["detail"])
            self.assertEqual(self.get("/healthz"), {"status": "ok"})
            disk.make_room()
            self.assertEqual(self.get("/readyz"), {"status": "ready"})


class LogFormatTests(unittest.TestCase):
    def test_the_log_is_json_if_it_is_asked_for(self):
        with Server(BINARY, FUNCTIONS, more=["--log-format", "json"]) as server:
            server.stop()
            entries = [json.loads(line) for line in server.said().splitlines()]
            messages = {entry["message"]: entry for entry in entries}
            self.assertLessEqual({"listening", "stopping", "stopped"}, set(messages))
            self.assertRegex(messages["listening"]["address"], r"^http://127\.0\.0\.1:\d+$")
            self.assertEqual(messages["stopping"]["level"], "notice")
            for entry in entries:
                self.assertTrue(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", entry["at"]))


if __name__ == "__main__":
    unittest.main()

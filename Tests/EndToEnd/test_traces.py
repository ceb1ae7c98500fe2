"""Spans of requests, jobs and attempts reach a collector, linked as they should be."""

import json
import os
import time
import unittest

from collector import Collector, attributes
from service import BINARY, FUNCTIONS, Server

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = "00f067aa0ba902b7"
INTERNAL, SERVER, CONSUMER = 1, 2, 5


class TraceTests(unittest.TestCase):
    def setUp(self):
        self.collector = self.enterContext(Collector())

    def serve(self, *more):
        server = Server(BINARY, FUNCTIONS, more=["--otlp-endpoint", self.collector.url, *more])
        return self.enterContext(server)

    def submit(self, server, function, *args, flags="01", **members):
        headers = {"Prefer": "wait=30"}
        if flags:
            headers["traceparent"] = "00-%s-%s-%s" % (TRACE, PARENT, flags)
        status, _, body = server.call(
            "POST", "/v1/jobs", {"function": function, "args": args, **members}, headers)
        self.assertEqual(status, 200, body)
        return json.loads(body)

    def spans(self, name, count=1):
        deadline = time.monotonic() + 20
        while len(self.collector.named(name)) < count:
            self.assertLess(time.monotonic(), deadline, "%s: %s" % (name, self.collector.spans))
            time.sleep(0.02)
        found = self.collector.named(name)
        self.assertEqual(len(found), count)
        return found

    def test_a_job_is_a_chain_of_spans_from_the_client_to_the_function(self):
        server = self.serve("--service-name", "squares")
        for function, *args in (("step", 1, 0), ("complain",)):  # Python, a command
            with self.subTest(function=function):
                self.collector.spans.clear()
                job = self.submit(server, function, *args)
                request, = self.spans("POST /v1/jobs")
                whole, = self.spans("job " + function)
                attempt, = self.spans("attempt " + function)
                for span in (request, whole, attempt):
                    self.assertEqual(span["traceId"], TRACE)
                    self.assertEqual(attributes(span["resource"]), {"service.name": "squares"})
                    self.assertLessEqual(
                        int(span["startTimeUnixNano"]), int(span["endTimeUnixNano"]))
                    self.assertNotIn("status", span)
                self.assertEqual(
                    [span["kind"] for span in (request, whole, attempt)],
                    [SERVER, CONSUMER, INTERNAL])
                self.assertEqual(request["parentSpanId"], PARENT)
                self.assertEqual(whole["parentSpanId"], request["spanId"])
                self.assertEqual(attempt["parentSpanId"], whole["spanId"])
                # What the function was told is below its attempt.
                self.assertEqual(job["result"], "00-%s-%s-01" % (TRACE, attempt["spanId"]))
                self.assertEqual(job["traceparent"], "00-%s-%s-01" % (TRACE, request["spanId"]))
                self.assertEqual(attributes(whole), {
                    "martlet.job": job["id"], "martlet.function": function,
                    "martlet.queue": "default", "martlet.pool": job["pool"],
                    "martlet.attempts": 1, "martlet.state": "succeeded"})
                about = attributes(request)
                self.assertEqual(about.pop("client.address"), "127.0.0.1")
                self.assertEqual(about, {
                    "http.request.method": "POST", "http.route": "/v1/jobs",
                    "url.path": "/v1/jobs", "http.response.status_code": 200})

    def test_each_attempt_has_a_span_with_its_error(self):
        server = self.serve()
        job = self.submit(
            server, "fail", "no", flags=None, retry={"max_attempts": 3, "initial": 0.01})
        self.assertEqual(job["state"], "failed")
        attempts = self.spans("attempt fail", 3)
        whole, = self.spans("job fail")
        request, = self.spans("POST /v1/jobs")
        self.assertNotIn("parentSpanId", request)  # it began the trace
        self.assertEqual([attributes(one)["martlet.attempt"] for one in attempts], [1, 2, 3])
        self.assertEqual(len({one["spanId"] for one in attempts}), 3)
        for span in (whole, *attempts):
            self.assertEqual(span["traceId"], request["traceId"])
            self.assertEqual(span["status"]["code"], 2)
            self.assertIn("ValueError", span["status"]["message"])
        self.assertEqual({one["parentSpanId"] for one in attempts}, {whole["spanId"]})

    def test_a_map_and_each_job_of_a_batch_have_their_spans(self):
        server = self.serve()
        status, _, body = server.call(
            "POST", "/v1/jobs/batch", [{"function": "square", "map": [1, 2, 3]},
                                       {"function": "square", "args": [4]}])
        self.assertEqual(status, 202, body)
        jobs = self.spans("job square", 2)
        request, = self.spans("POST /v1/jobs/batch")
        self.assertEqual({job["parentSpanId"] for job in jobs}, {request["spanId"]})
        self.assertEqual(len({job["spanId"] for job in jobs}), 2)

    def test_whoever_began_the_trace_decides_whether_it_is_kept(self):
        server = self.serve("--trace-ratio", "0")
        job = self.submit(server, "step", 1, 0, flags="00")
        self.assertEqual(job["result"].split("-")[1::2], [TRACE, "00"])
        self.submit(server, "step", 1, 0, flags=None)
        self.submit(server, "square", 2, flags="01")
        self.spans("job square")
        self.assertEqual(
            {span["name"] for span in self.collector.spans},
            {"POST /v1/jobs", "job square", "attempt square"})
        self.assertEqual(len(self.collector.spans), 3)

    def test_what_watches_the_server_is_not_traced(self):
        server = self.serve()
        for path in ("/healthz", "/readyz", "/metrics", "/v1/pools"):
            self.assertEqual(server.call("GET", path)[0], 200)
        self.assertEqual(server.call("GET", "/nowhere")[0], 404)
        self.spans("GET /v1/pools")
        self.spans("GET")
        self.assertEqual(len(self.collector.spans), 2)

    def metric(self, server, name):
        text = server.call("GET", "/metrics")[2].decode()
        return int(next(
            line.split()[1] for line in text.splitlines() if line.startswith(name + " ")))

    def test_a_collector_that_fails_for_a_moment_gets_its_spans_later(self):
        self.collector.answers = [503, 429]
        server = self.serve()
        self.submit(server, "square", 2)
        self.spans("job square")
        self.assertEqual(self.metric(server, "martlet_spans_dropped_total"), 0)
        self.assertEqual(self.metric(server, "martlet_spans_exported_total"), 3)

    def test_what_a_collector_refuses_is_counted(self):
        self.collector.answers = [400]
        server = self.serve()
        self.submit(server, "square", 2)
        deadline = time.monotonic() + 20
        while self.metric(server, "martlet_spans_dropped_total") < 3:
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.05)
        self.assertIn("spans are lost", server.said())
        self.collector.body = b'{"partialSuccess":{"rejectedSpans":"1"}}'
        self.submit(server, "square", 3)
        self.spans("job square")
        while self.metric(server, "martlet_spans_dropped_total") < 4:
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.05)
        self.assertEqual(self.metric(server, "martlet_spans_exported_total"), 2)
        self.assertIn("spans are taken again", server.said())

    def test_jobs_run_without_a_collector_and_the_stop_is_not_held_up(self):
        self.collector.__exit__()
        server = self.serve()
        for number in range(20):
            self.assertEqual(self.submit(server, "square", number)["result"], number * number)
        started = time.monotonic()
        server.process.terminate()
        self.assertEqual(server.process.wait(timeout=20), 0)
        self.assertLess(time.monotonic() - started, 5)
        self.collector = Collector()

    def test_a_stop_sends_what_is_left(self):
        server = self.serve()
        self.submit(server, "square", 2)
        server.process.terminate()
        self.assertEqual(server.process.wait(timeout=20), 0)
        self.assertEqual(
            {span["name"] for span in self.collector.spans},
            {"POST /v1/jobs", "job square", "attempt square"})

    def test_opentelemetrys_own_variables_are_heeded(self):
        variables = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": self.collector.url + "/base/",
            "OTEL_EXPORTER_OTLP_HEADERS": "x-key=a%20secret, x-other=2",
            "OTEL_SERVICE_NAME": "of the environment"}
        self.addCleanup(lambda: [os.environ.pop(name) for name in variables])
        os.environ.update(variables)
        server = self.enterContext(Server(BINARY, None))
        self.submit(server, "square", 2)
        span, = self.spans("job square")
        self.assertEqual(attributes(span["resource"]), {"service.name": "of the environment"})
        path, headers = self.collector.requests[0]
        self.assertEqual(path, "/base/v1/traces")
        self.assertEqual(headers["Content-Type"], "application/json")
        self.assertEqual((headers["x-key"], headers["x-other"]), ("a secret", "2"))


if __name__ == "__main__":
    unittest.main()

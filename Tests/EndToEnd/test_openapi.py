"""openapi.yaml against the server: its routes, answers and examples, and schemathesis."""

import hashlib
import http.client
import json
import os
import re
import socket
import subprocess
import tempfile
import unittest
from concurrent.futures import ThreadPoolExecutor

from description import Description
from stream import EventSource
from service import BINARY, FUNCTIONS, ROOT, VENV, Server, ServiceTestCase

ABSENT = "01890a5d-ac96-774b-bcce-b302099a8057"


class DescriptionTests(ServiceTestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.description = Description(cls.server.call("GET", "/openapi.yaml")[2])

    def ask(self, method, path, status, id=None, name="echo", sha256="0" * 64, query="",
            server=None, **request):
        """Asks at a described path, and holds the answer against the description."""
        concrete = path.replace("{id}", id or ABSENT).replace("{name}", name)
        concrete = concrete.replace("{sha256}", sha256)
        with self.subTest(method=method, path=path, status=status):
            answer = (server or self.server).call(method, concrete + query, **request)
            self.description.check(method, path, answer)
            self.assertEqual(answer[0], status)
            return answer[2]

    def ended(self, **submission):
        job = self.server.submit(**submission)
        self.assertIn(self.server.wait(job)["state"], ("succeeded", "failed", "cancelled"))
        return job

    def test_it_names_the_routes_that_are_there(self):
        job = self.ended(function="echo", map=[1])
        described = {}
        for path, method, _ in self.description.operations():
            described.setdefault(path, set()).add(method)
        for path, methods in described.items():
            with self.subTest(path=path):
                place = path.replace("{id}", job).replace("{name}", "echo")
                place = place.replace("{sha256}", "0" * 64)
                allow = self.server.call("OPTIONS", place)[1]["Allow"].split(", ")
                self.assertEqual(set(allow) - {"HEAD", "OPTIONS"}, methods)
        with open(ROOT + "/Sources/JobsAPI/JobRoutes.swift") as file:
            text = file.read()
        with open(ROOT + "/Sources/JobsAPI/JobRoutes+Blobs.swift") as file:
            found = re.findall(r'route\(\.([a-z]+), "([^"]+)"', text + file.read())
        routes = {(method.upper(), path) for method, path in found}
        self.assertEqual(routes, {(m, path) for path, ms in described.items() for m in ms})

    def test_it_is_the_file_in_the_repository(self):
        with open(ROOT + "/openapi.yaml", "rb") as file:
            self.assertEqual(self.server.call("GET", "/openapi.yaml")[2], file.read())

    def test_every_answer_that_it_names_comes_and_is_as_described(self):
        self.ask_of_submissions()
        self.ask_of_keys_in_use()
        self.ask_of_jobs()
        self.ask_of_events()
        self.ask_of_blobs()
        self.ask_of_the_server()
        self.ask_a_server_with_a_token()
        self.ask_a_full_server()
        self.ask_a_server_that_reads_its_functions()
        self.ask_a_server_whose_store_fails()
        unseen = self.description.answers() - self.description.seen
        # A full disk has a test of its own.
        self.assertEqual({answer for answer in unseen if answer[2] != 507}, set())

    def ask_of_keys_in_use(self):
        job = {"function": "square", "args": [3], "delay": 3600}
        with ThreadPoolExecutor(8) as threads:
            for path, body in (("/v1/jobs", job), ("/v1/jobs/batch", [job] * 1000)):
                statuses = set()
                for number in range(200):
                    key = {"Idempotency-Key": "%s %d" % (path, number)}
                    answers = threads.map(lambda _: self.server.call("POST", path, body, key), range(8))
                    for answer in answers:
                        self.description.check("POST", path, answer)
                        statuses.add(answer[0])
                    if statuses == {202, 409}:
                        break
                self.assertEqual(statuses, {202, 409}, path)

    def ask_of_submissions(self):
        square = {"function": "square", "args": [3]}
        self.ask("POST", "/v1/jobs", 202, body=square)
        self.ask("POST", "/v1/jobs", 200, body=square, headers={"Prefer": "wait=30"})
        self.ask("POST", "/v1/jobs", 200, body={"function": "fail", "args": ["no"]},
                 headers={"Prefer": "wait=30"})
        lines = {"Content-Type": "application/x-ndjson"}
        self.ask("POST", "/v1/jobs", 202, body=b'{"function":"square"}\n1\n2\n', headers=lines)
        self.ask("POST", "/v1/jobs", 400, body=b'{"function":"square"}\n[\n', headers=lines)
        self.ask("POST", "/v1/jobs", 413, headers=lines,
                 body=b'{"function":"square"}\n"' + b"x" * (17 << 20))
        self.ask("POST", "/v1/jobs/batch", 202, body=[square] * 3)
        self.ask("POST", "/v1/jobs/batch", 413, body=[square] * 10_001)
        for path in ("/v1/jobs", "/v1/jobs/batch"):
            self.ask("POST", path, 400, body=b"{")
            self.ask("POST", path, 415, body=b"{}", headers={"Content-Type": "text/plain"})
            self.ask("POST", path, 422, body=[{"functon": 1}])
            too_large = {"Content-Length": str(2**40), "Expect": "100-continue"}
            self.ask("POST", path, 413, body=b"", headers=too_large)

    def ask_of_jobs(self):
        later = self.server.submit(function="echo", args=[1], delay=3600)
        call = self.ended(function="square", args=[3])
        map_ = self.ended(function="even_only", map=[0, 1, 2], on_error="continue")
        failed = self.ended(function="fail", args=["no"])
        killed = self.ended(function="kill_oneself")
        stopped = self.ended(function="even_only", map=[0, 1, 2])
        expired = self.ended(function="echo", map=[1], keep=0)
        running = self.server.submit(function="spin", args=[600])
        self.await_state(running, "running")

        job, result, items = "/v1/jobs/{id}", "/v1/jobs/{id}/result", "/v1/jobs/{id}/items"
        for each in (later, call, map_, failed, killed, stopped, expired, running):
            self.ask("GET", job, 200, each)
        tag = self.server.call("GET", "/v1/jobs/" + call)[1]["ETag"]
        self.ask("GET", job, 304, call, headers={"If-None-Match": tag})
        other = {"If-Match": '"other"'}
        self.ask("GET", job, 412, call, headers=other)
        self.ask("DELETE", job, 412, call, headers=other)
        for change in ("/cancel", "/retry"):
            self.ask("POST", job + change, 412, call, headers=other)
        for each in (later, call, map_):
            self.ask("GET", job + "/submission", 200, each)
        self.ask("GET", result, 200, call)
        self.ask("GET", result, 200, map_)
        tag = self.server.call("GET", "/v1/jobs/%s/result" % call)[1]["ETag"]
        self.ask("GET", result, 206, call, headers={"Range": "bytes=0-", "If-Range": tag})
        self.ask("GET", result, 304, call, headers={"If-None-Match": tag})
        self.ask("GET", result, 412, call, headers=other)
        self.ask("GET", result, 416, call, headers={"Range": "bytes=99-"})
        self.ask("GET", result, 202, later)
        self.ask("GET", result, 202, running)
        for each in (failed, killed, stopped):
            self.ask("GET", result, 409, each)
        for path in (result, items):
            self.ask("GET", path, 410, expired)
        for each in (map_, stopped):
            for line in self.ask("GET", items, 200, each).splitlines():
                self.description.validate(
                    json.loads(line), {"$ref": "#/components/schemas/Item"})
        self.ask("GET", items, 409, call)
        self.ask("GET", items, 400, map_, query="?from=x")
        self.ask("POST", job + "/retry", 400, map_, query="?items=some")
        for change in ("/v1/jobs/cancel", "/v1/jobs/retry"):
            self.ask("POST", change, 200, query="?tag=no-such-tag")
            self.ask("POST", change, 400)
        self.ask("GET", job, 400, call, query="?wait=x")
        self.ask("GET", result, 400, call, query="?wait=x")
        self.ask("GET", "/v1/jobs", 400, query="?limit=x")
        self.ask("GET", "/v1/jobs", 200)
        self.ask("GET", "/v1/jobs", 200, query="?limit=2&state=succeeded")
        self.ask("POST", "/v1/jobs/{id}/retry", 409, running)
        self.ask("POST", "/v1/jobs/{id}/retry", 409, failed, query="?items=failed")
        self.ask("POST", "/v1/jobs/{id}/retry", 202, failed)
        self.ask("GET", "/v1/queues", 200)
        self.ask("GET", "/v1/pools", 200)
        self.ask("POST", "/v1/jobs/{id}/cancel", 202, running)
        self.ask("POST", "/v1/jobs/{id}/cancel", 200, call)
        self.ask("DELETE", job, 204, call)
        for path, method, operation in self.description.operations():
            if "{id}" in path:
                self.ask(method, path, 404)

    def ask_of_events(self):
        job = self.ended(function="fail", args=["no"])
        events, path = "/v1/events", "/v1/jobs/{id}/events"
        for line in self.ask("GET", path, 200, job).decode().splitlines():
            if line.startswith("data: "):
                self.check_event(json.loads(line[6:]))
        with EventSource(
                self.server, path.replace("{id}", job), {"Last-Event-ID": "1"}) as source:
            for name, data in source:
                self.check_event(data)
        with EventSource(self.server, events) as source:
            self.description.check("GET", events, (
                source.status, source.response.headers, source.response.readline()))
            running = self.server.submit(function="nap", map=[0.01] * 20, chunk=1)
            told = source.until(lambda name, data: (
                data.get("job"), data.get("state")) == (running, "succeeded"))
            self.assertIn("progress", {name for name, _ in told})
            for name, data in told:
                self.check_event(data)
            mark = source.last
        self.await_state(running, "succeeded")
        self.until(lambda: self.server.call(
            "GET", path.replace("{id}", running) + "?last_event_id=" + mark)[0] == 204)
        self.ask("GET", path, 204, running, query="?last_event_id=" + mark)
        self.ask("GET", path, 400, job, query="?last_event_id=x")
        self.ask("GET", events, 400, query="?last_event_id=x")
        self.ask("GET", "/v1/jobs/{id}/logs", 200, job)
        self.ask("GET", "/v1/jobs/{id}/logs", 400, job, query="?follow=x")
        self.ask("GET", "/metrics", 200)
        with Server(BINARY, FUNCTIONS, more=["--max-event-streams", "1"]) as server:
            job = server.submit(function="echo", args=[1])
            with EventSource(server, events):
                self.ask("GET", events, 503, server=server)
                self.ask("GET", path, 503, job, server=server)

    def ask_of_blobs(self):
        blob, data = "/v1/blobs/{sha256}", b"bytes"
        digest = hashlib.sha256(data).hexdigest()
        self.ask("PUT", blob, 422, body=data)
        self.ask("PUT", blob, 422, sha256="x", body=data)
        self.ask("PUT", blob, 413, body=b"", headers={"Content-Length": str(2**40)})
        self.ask("PUT", blob, 201, sha256=digest, body=data)
        self.ask("PUT", blob, 204, sha256=digest, body=data)
        self.ask("GET", blob, 200, sha256=digest)
        self.ask("GET", blob, 206, sha256=digest, headers={"Range": "bytes=1-2"})
        self.ask("GET", blob, 304, sha256=digest, headers={"If-None-Match": '"%s"' % digest})
        for method in ("GET", "PUT", "DELETE"):
            self.ask(method, blob, 412, sha256=digest, headers={"If-Match": '"other"'})
        self.ask("GET", blob, 416, sha256=digest, headers={"Range": "bytes=9-"})
        self.ask("DELETE", blob, 204, sha256=digest)
        for method in ("GET", "DELETE"):
            self.ask(method, blob, 404, sha256=digest)

    def test_calls_that_tell_of_themselves_are_as_described(self):
        job = self.server.submit(function="step", args=[4, 0.3], delay=0.2)
        with EventSource(self.server, "/v1/jobs/%s/events" % job) as source:
            self.check_event(source.until(lambda name, data: name == "progress")[-1][1])
            self.assertIn(b'"message"', self.ask("GET", "/v1/jobs/{id}", 200, job))
        job = self.server.submit(function="say_everywhere", delay=0.2)
        with EventSource(self.server, "/v1/jobs/%s/events" % job) as source:
            told = list(source)
        self.assertIn("log", {name for name, _ in told})
        for name, data in told:
            self.check_event(data)
        self.ask("GET", "/v1/jobs/{id}/logs", 200, job)
        self.ask("GET", "/v1/jobs/{id}/logs", 200, job, query="?follow=1&tail=1")
        self.ask("GET", "/v1/jobs/{id}/logs", 400, job, query="?follow=x")
        answer = self.server.call(
            "POST", "/v1/jobs", {"function": "echo", "args": [1]},
            {"traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"})
        self.description.check("POST", "/v1/jobs", answer)
        self.assertIn(b'"traceparent"', answer[2])

    def check_event(self, data):
        self.description.validate(data, {"$ref": "#/components/schemas/Event"})

    def ask_of_the_server(self):
        functions = json.loads(self.ask("GET", "/v1/functions", 200))
        self.assertEqual({each["runtime"] for each in functions["functions"]},
                         {"native", "python", "command"})
        self.assertTrue(functions["broken"])
        for each in functions["functions"]:
            self.ask("GET", "/v1/functions/{name}", 200, name=each["name"])
        self.ask("GET", "/v1/functions/{name}", 404, name="nope")
        for path in ("/v1/pools", "/v1/queues", "/healthz", "/readyz", "/openapi.yaml"):
            self.ask("GET", path, 200)

    def ask_a_server_with_a_token(self):
        with tempfile.NamedTemporaryFile("w") as file:
            file.write("a-long-secret\n")
            file.flush()
            with Server(BINARY, FUNCTIONS, more=["--token-file", file.name]) as server:
                for path, method, operation in self.description.operations():
                    open_to_all = operation.get("security") == []
                    self.ask(method, path, 200 if open_to_all else 401, server=server)

    def ask_a_server_whose_store_fails(self):
        from test_full_disk import SmallDisk
        with SmallDisk(16) as disk, Server(BINARY, FUNCTIONS, data=disk.path + "/data") as server:
            disk.fill()
            much = {"function": "echo", "args": ["x" * 100_000]}
            self.until(lambda: server.call("POST", "/v1/jobs", much)[0] == 507)
            self.ask("GET", "/readyz", 503, server=server)

    def ask_a_full_server(self):
        with Server(BINARY, FUNCTIONS, more=["--max-queued", "1"]) as server:
            later = {"function": "echo", "args": [1], "delay": 3600}
            self.ask("POST", "/v1/jobs", 202, body=later, server=server)
            self.ask("POST", "/v1/jobs", 503, body=later, server=server)
            self.ask("POST", "/v1/jobs/batch", 503, body=[later], server=server)

    def ask_a_server_that_reads_its_functions(self):
        with tempfile.TemporaryDirectory() as folder:
            with open(folder + "/slow.py", "w") as file:
                file.write("import time\ntime.sleep(60)\n")
            with Server(BINARY, folder) as server:
                self.ask("GET", "/v1/functions/{name}", 503, name="slow", server=server)
                self.ask("POST", "/v1/jobs", 503, body={"function": "slow"}, server=server)
                self.ask("GET", "/readyz", 503, server=server)

    def test_its_examples_are_taken_and_answered_as_it_says(self):
        taken = 0
        for path, method, operation in self.description.operations():
            for kind, content in operation.get("requestBody", {}).get("content", {}).items():
                for name, example in content.get("examples", {}).items():
                    value = example["value"]
                    with self.subTest(path=path, kind=kind, example=name):
                        self.description.validate(value, content["schema"])
                        body = value.encode() if isinstance(value, str) else value
                        answer = self.server.call(
                            method, path, body, {"Content-Type": kind, "Prefer": "wait=30"})
                        self.description.check(method, path, answer)
                        self.check_success(json.loads(answer[2]), answer[0])
                        taken += 1
        self.assertGreaterEqual(taken, 7)

    def check_success(self, document, status):
        self.assertEqual(status, 202 if "jobs" in document else 200, document)
        for job in document.get("jobs", [document]):
            self.assertEqual(self.server.wait(job["id"])["state"], "succeeded")

    def test_what_its_schema_of_a_submission_refuses_is_refused(self):
        from test_submissions import CASES
        schema = {"$ref": "#/components/schemas/Submission"}
        for body, status, code, _ in CASES:
            if status == 422 and code in (
                    "missing-member", "unknown-member", "invalid-member", "conflicting-members"):
                with self.subTest(body=body[:100]), self.assertRaises(Exception):
                    self.description.validate(json.loads(body), schema)

    def test_what_any_request_may_be_answered_is_what_the_server_refuses_with(self):
        told = set(re.findall(r"`(\d{3})`", self.description.document["info"]["description"]))
        told |= {str(status) for _, _, status in self.description.answers()}
        refused = set()
        for folder in ("HTTPWire", "WebServer"):
            for name in os.listdir("%s/Sources/%s" % (ROOT, folder)):
                with open("%s/Sources/%s/%s" % (ROOT, folder, name)) as file:
                    refused |= set(re.findall(r"[rR]efusal\(\s*(\d{3})", file.read()))
        self.assertGreater(len(refused), 10)
        self.assertEqual(refused - told, set())

    def test_malformed_heads_are_answered_as_it_says(self):
        head = "%s HTTP/1.1\r\nHost: localhost\r\n%s\r\n"
        for status, text in ((400, head % ("GET /healthz", "a b: c\r\n")),
                             (414, head % ("GET /" + "a" * 20_000, "")),
                             (417, head % ("GET /healthz", "Expect: a-rise\r\n")),
                             (431, head % ("GET /healthz", "a: %s\r\n" % ("a" * 70_000))),
                             (501, head % ("POST /v1/jobs", "Transfer-Encoding: gzip, chunked\r\n")),
                             (505, (head % ("GET /healthz", "")).replace("/1.1", "/3.0"))):
            with self.subTest(status=status), \
                    socket.create_connection(("127.0.0.1", self.server.port), 10) as client:
                client.sendall(text.encode())
                client.shutdown(socket.SHUT_WR)
                answer = http.client.HTTPResponse(client)
                answer.begin()
                problem = json.loads(answer.read())
                self.assertEqual(answer.status, status)
                self.assertEqual(problem["type"], "urn:martlet:problem:http-%d" % status)
                self.description.validate(problem, {"$ref": "#/components/schemas/Problem"})

    def test_its_problems_are_those_in_the_source(self):
        codes = set()
        folder = ROOT + "/Sources/JobsAPI"
        for name in os.listdir(folder):
            with open(os.path.join(folder, name)) as file:
                made = r'(?:Problem|self\.init)\(\s*\d+, "([a-z-]+)"'
                codes |= set(re.findall(made, file.read()))
        with open(ROOT + "/Sources/Jobs/SubmissionError.swift") as file:
            codes |= set(re.findall(r'case \w+ = "([a-z-]+)"', file.read()))
        codes |= {"job-failed", "job-cancelled"}
        self.assertGreater(len(codes), 15)
        with open(ROOT + "/openapi.yaml") as file:
            named = set(re.findall(r"`([a-z-]+)`", file.read()))
        self.assertEqual(codes - named, set())


class SchemathesisTests(ServiceTestCase):
    functions = ROOT + "/Examples/functions"

    def test_requests_made_up_from_the_description_find_no_fault(self):
        folder = ROOT + "/Tests/EndToEnd/"
        run = subprocess.run(
            [VENV + "/bin/schemathesis", "--config-file", folder + "schemathesis.toml",
             "run", "--exclude-path-regex", "/events$",  # which go on for ever
             "http://127.0.0.1:%d/openapi.yaml" % self.server.port],
            env=dict(os.environ, SCHEMATHESIS_HOOKS=folder + "schemathesis_hooks.py"),
            capture_output=True, text=True, timeout=150, cwd=self.server.data)
        said = "\n".join(line[:1000] for line in run.stdout.splitlines())
        self.assertEqual(run.returncode, 0, said + run.stderr)
        counts = re.search(r"(\d+) generated, (\d+) passed", said)
        self.assertIsNotNone(counts, said)
        self.assertGreater(int(counts[2]), 1000, said)
        self.assertEqual(counts[1], counts[2], said)
        self.assertIsNone(self.server.process.poll())
        self.assertEqual(self.server.run(function="square", args=[12]), 144)


if __name__ == "__main__":
    unittest.main()

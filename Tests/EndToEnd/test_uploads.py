"""Maps whose items come a line each: what runs before the last has come, and what a cut means."""

import http.client
import json
import socket
import subprocess
import tempfile
import time
import unittest

from service import ServiceTestCase

NDJSON = {"Content-Type": "application/x-ndjson"}


class Upload:
    """A body that is sent in pieces, as chunks of HTTP/1.1."""

    def __init__(self, server, head, fields=None):
        self.connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
        self.connection.putrequest("POST", "/v1/jobs")
        for name, value in {**NDJSON, **(fields or {}), "Transfer-Encoding": "chunked"}.items():
            self.connection.putheader(name, value)
        self.connection.endheaders()
        self.send(json.dumps(head) + "\n")

    def send(self, text):
        data = text.encode()
        self.connection.send(b"%x\r\n%s\r\n" % (len(data), data))

    def items(self, items):
        self.send("".join("%s\n" % json.dumps(item) for item in items))

    def answer(self):
        """Status, headers and body of the answer that has come by itself."""
        response = self.connection.getresponse()
        try:
            return response.status, response.headers, response.read()
        finally:
            self.connection.close()

    def end(self):
        self.connection.send(b"0\r\n\r\n")
        return self.answer()

    def cut(self):
        self.connection.close()


class UploadTests(ServiceTestCase):
    def tagged(self, tag):
        """The job with the tag, once it is there."""
        def jobs():
            return self.get("/v1/jobs?tag=" + tag)["jobs"]
        self.until(jobs)
        return jobs()[0]

    def progress(self, job, done):
        self.until(lambda: self.get("/v1/jobs/" + job)["progress"]["done"] == done)

    def test_items_run_before_the_last_one_has_come(self):
        upload = Upload(self.server, {"function": "square", "tags": ["early"]})
        upload.items(range(5))
        job = self.tagged("early")["id"]
        self.progress(job, 5)
        document = self.get("/v1/jobs/" + job)
        self.assertEqual((document["state"], document["uploading"]), ("running", True))
        upload.items(range(5, 8))
        self.progress(job, 8)
        status, headers, body = upload.end()
        self.assertEqual((status, headers["Location"]), (202, "/v1/jobs/" + job))
        self.assertEqual(json.loads(body)["id"], job)
        document = self.server.wait(job)
        self.assertEqual((document["state"], document["items"]), ("succeeded", 8))
        self.assertNotIn("uploading", document)
        self.assertEqual(self.server.result(job), [i * i for i in range(8)])

    def test_items_are_told_while_others_come(self):
        upload = Upload(self.server, {"function": "square", "tags": ["told"]})
        upload.items([3])
        job = self.tagged("told")["id"]
        told = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=60)
        told.request("GET", "/v1/jobs/%s/items" % job)
        answer = told.getresponse()
        self.assertEqual(json.loads(answer.readline()), {"index": 0, "result": 9})
        upload.items([4])
        self.assertEqual(json.loads(answer.readline()), {"index": 1, "result": 16})
        self.assertEqual(upload.end()[0], 202)
        self.assertEqual(answer.read(), b"")
        told.close()

    def test_the_head_of_the_items_does_not_wait_for_the_first(self):
        upload = Upload(self.server, {"function": "square", "tags": ["none yet"]})
        told = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=60)
        began = time.monotonic()
        told.request("GET", "/v1/jobs/%s/items" % self.tagged("none%20yet")["id"])
        self.assertEqual(told.getresponse().status, 200)
        self.assertLess(time.monotonic() - began, 5)  # it waits 10 s for an item
        told.close()
        upload.end()

    def hinted(self, upload):
        """What comes before the answer of an upload that goes on."""
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += upload.connection.sock.recv(1)
        return head.decode().split("\r\n")

    def test_who_prefers_hints_is_told_of_the_job_at_once(self):
        upload = Upload(
            self.server, {"function": "square", "tags": ["hint"]},
            {"Prefer": "hints, wait=20", "Connection": "Prefer"})
        status, location, *rest = self.hinted(upload)
        self.assertEqual((status, rest), ("HTTP/1.1 103 Early Hints", ["", ""]))
        self.assertEqual(location, "Location: /v1/jobs/" + self.tagged("hint")["id"])
        upload.items([1])
        status, headers, body = upload.end()
        self.assertEqual((status, json.loads(body)["state"]), (200, "succeeded"))

    def test_nobody_else_gets_hints(self):
        for version, prefer, hops in (
                ("1.0", "hints", "Prefer, close"), ("1.1", "wait=20", "Prefer, close"),
                ("1.1", "hints", "close")):  # as from a proxy
            with socket.create_connection(("127.0.0.1", self.server.port)) as client:
                body = b'{"function":"square"}\n1\n'
                client.sendall(
                    b"POST /v1/jobs HTTP/%s\r\nHost: localhost\r\nPrefer: %s\r\nConnection: %s\r\n"
                    b"Content-Type: application/x-ndjson\r\nContent-Length: %d\r\n\r\n%s" % (
                        version.encode(), prefer.encode(), hops.encode(), len(body), body))
                answer = client.makefile("rb").read()
                self.assertRegex(answer.split(b"\r\n")[0], b"HTTP/1.1 20[02]")

    def test_hints_come_by_http_2_too(self):
        answer = subprocess.run(
            ["curl", "-si", "--max-time", "20", "--http2-prior-knowledge", "-H", "Prefer: hints",
             "-H", "Content-Type: application/x-ndjson", "--data-binary", "@-",
             "http://127.0.0.1:%d/v1/jobs" % self.server.port],
            input=b'{"function":"square"}\n1\n', capture_output=True, check=True).stdout.decode()
        hint, head, body = answer.split("\r\n\r\n")
        job = json.loads(body)["id"]
        self.assertEqual(hint.split("\r\n"), ["HTTP/2 103 ", "location: /v1/jobs/" + job])
        self.assertIn("HTTP/2 202", head)

    def test_an_answer_may_be_waited_for(self):
        lines = b'{"function":"square"}\n1\r\n\n  2\n12345678901'
        status, _, body = self.server.call(
            "POST", "/v1/jobs", lines, {**NDJSON, "Prefer": "wait=20"})
        self.assertEqual(status, 200, body)
        job = json.loads(body)
        self.assertEqual((job["state"], job["items"]), ("succeeded", 3))
        status, _, body = self.server.call("GET", "/v1/jobs/%s/submission" % job["id"])
        self.assertEqual(
            json.loads(body), {"map": [1, 2, 12345678901], "function": "square"})

    def test_bytes_of_items_arrive_as_they_were_sent(self):
        lines = b'{"function":"echo"}\n1e400\n{"a": 12345678901234567890}\n"\\u00e9"\n'
        status, _, body = self.server.call(
            "POST", "/v1/jobs", lines, {**NDJSON, "Prefer": "wait=20"})
        self.assertEqual(status, 200, body)
        result = self.server.call("GET", "/v1/jobs/%s/result" % json.loads(body)["id"])[2]
        self.assertEqual(result, b'[1e400,{"a": 12345678901234567890},"\\u00e9"]')

    def test_an_upload_that_is_cut_cancels_its_job(self):
        upload = Upload(self.server, {"function": "square", "tags": ["cut"]})
        upload.items(range(5))
        job = self.tagged("cut")["id"]
        self.progress(job, 5)
        upload.cut()
        document = self.server.wait(job)
        self.assertEqual(document["state"], "cancelled")
        self.assertEqual(document["error"]["type"], "UploadCut")
        self.assertEqual(document["progress"]["done"], 5)

    def test_a_line_that_is_not_json_cancels_the_job(self):
        upload = Upload(self.server, {"function": "square", "tags": ["broken"]})
        upload.items(range(3))
        job = self.tagged("broken")["id"]
        upload.send("4\n[5\n6\n")
        problem = self.assertProblem(upload.answer(), 400, "invalid-json")
        self.assertEqual(problem["pointer"], "/map/4")
        self.assertIn("Line 6", problem["detail"])
        document = self.server.wait(job)
        self.assertEqual(document["state"], "cancelled")
        self.assertIn("Line 6", document["error"]["message"])

    def test_the_first_line_is_read_strictly(self):
        def refused(line, status, code, pointer):
            problem = self.problem(
                "POST", "/v1/jobs", status, code, body=line, headers=NDJSON)
            self.assertEqual(problem["pointer"], pointer)
        refused(b"", 400, "invalid-json", "")
        refused(b"\n \n", 400, "invalid-json", "")
        refused(b"{\n1\n", 400, "invalid-json", "")
        refused(b"[1]\n1\n", 422, "invalid-member", "")
        refused(b"{}\n1\n", 422, "missing-member", "")
        refused(b'{"function":"square","map":[1]}\n', 422, "conflicting-members", "/map")
        refused(b'{"function":"square","args":[1]}\n', 422, "conflicting-members", "/args")
        refused(b'{"function":"square","unique":true}\n1\n', 422, "conflicting-members", "/unique")
        refused(b'{"function":"square","cache":60}\n1\n', 422, "conflicting-members", "/cache")
        refused(b'{"function":"squre"}\n1\n', 422, "unknown-function", "/function")

    def test_a_job_that_has_ended_takes_no_more_items(self):
        upload = Upload(self.server, {"function": "even_only", "tags": ["over"], "chunk": 1})
        upload.items([1])
        job = self.tagged("over")["id"]
        self.assertEqual(self.server.wait(job)["state"], "failed")
        upload.items([2])
        status, _, body = upload.answer()
        self.assertEqual((status, json.loads(body)["state"]), (202, "failed"))

    def test_cancelling_ends_the_upload(self):
        upload = Upload(self.server, {"function": "square", "tags": ["stop"]})
        upload.items([1])
        job = self.tagged("stop")["id"]
        self.progress(job, 1)
        self.server.call("POST", "/v1/jobs/%s/cancel" % job)
        self.assertEqual(self.server.wait(job)["state"], "cancelled")
        upload.items([2])
        self.assertEqual(upload.answer()[0], 202)

    def test_a_key_brings_the_first_job_again(self):
        fields = {**NDJSON, "Idempotency-Key": "upload-1"}
        lines = b'{"function":"square"}\n1\n2\n'
        first = json.loads(self.server.call("POST", "/v1/jobs", lines, fields)[2])
        again = self.server.call("POST", "/v1/jobs", lines, fields)
        self.assertEqual((again[0], json.loads(again[2])["id"]), (202, first["id"]))
        self.problem(
            "POST", "/v1/jobs", 422, "idempotency-key-reused", body=b'{"function":"echo"}\n1\n',
            headers=fields)

    def test_an_attempt_that_failed_is_followed_by_one_that_takes_more(self):
        with tempfile.TemporaryDirectory() as folder:
            path = folder + "/there"
            upload = Upload(self.server, {
                "function": "fail_unless_there", "spread": True, "tags": ["again"],
                "retry": {"max_attempts": 100, "initial": 0.1, "max_delay": 0.1}})
            upload.items([[0, path], [1, path]])
            job = self.tagged("again")["id"]
            self.until(lambda: self.get("/v1/jobs/" + job)["attempt"] > 1)
            upload.items([[2, path]])
            open(path, "w").close()
            self.progress(job, 3)
            upload.items([[3, path]])
            self.assertEqual(upload.end()[0], 202)
            self.assertEqual(self.server.wait(job)["state"], "succeeded")
            self.assertEqual(self.server.result(job), [0, 1, 2, 3])

    def test_a_large_map_is_kept_in_pieces_byte_for_byte(self):
        items = ["x" * 1000 + str(i) for i in range(2000)]
        document = {"function": "echo", "map": items, "tags": ["large"], "chunk": 300}
        sent = json.dumps(document, indent=1).encode()
        fields = {"Idempotency-Key": "large-1"}
        job = json.loads(self.server.call("POST", "/v1/jobs", sent, fields)[2])["id"]
        self.assertEqual(self.server.wait(job)["progress"], {
            "total": 2000, "done": 2000, "failed": 0, "running": 0})
        self.assertEqual(self.server.result(job), items)
        kept = json.loads(self.server.call("GET", "/v1/jobs/%s/submission" % job)[2])
        self.assertEqual(kept, document)
        again = json.loads(self.server.call("POST", "/v1/jobs", sent, fields)[2])
        self.assertEqual(again["id"], job)
        document["map"][1500] = "y"
        self.problem(
            "POST", "/v1/jobs", 422, "idempotency-key-reused",
            body=json.dumps(document, indent=1).encode(), headers=fields)

    def test_large_maps_are_alike_when_all_items_are(self):
        def submit(items):
            document = {"function": "echo", "map": items, "unique": True, "delay": 3600}
            body = json.dumps(document).encode()
            status, fields, body = self.server.call("POST", "/v1/jobs", body)
            self.assertEqual(status, 202)
            return json.loads(body)["id"]
        items = ["z" * 1000 + str(i) for i in range(1000)]
        first = submit(items)
        self.assertEqual(submit(items), first)
        self.assertNotEqual(submit(items[:-1] + ["else"]), first)


class RestartTests(ServiceTestCase):
    def test_an_upload_that_the_server_did_not_survive_is_cancelled(self):
        upload = Upload(self.server, {"function": "square", "tags": ["crash"]})
        upload.items(range(5))
        self.until(lambda: self.get("/v1/jobs?tag=crash")["jobs"])
        job = self.get("/v1/jobs?tag=crash")["jobs"][0]["id"]
        self.until(lambda: self.get("/v1/jobs/" + job)["progress"]["done"] == 5)
        self.server.kill()
        upload.cut()
        self.server.start()
        document = self.get("/v1/jobs/" + job)
        self.assertEqual(document["state"], "cancelled")
        self.assertEqual(document["error"]["type"], "UploadCut")
        # What had come can be run by itself.
        self.server.call("POST", "/v1/jobs/%s/retry" % job)
        self.assertEqual(self.server.wait(job)["state"], "succeeded")
        self.assertEqual(self.server.result(job), [0, 1, 4, 9, 16])

    def test_a_large_map_goes_on_where_a_killed_server_left_it(self):
        with tempfile.TemporaryDirectory() as folder:
            notes = folder + "/" + "n" * 200
            job = self.server.submit(
                function="note_item", map=[[i, notes] for i in range(3000)], spread=True, chunk=40)
            self.until(lambda: self.get("/v1/jobs/" + job)["progress"]["done"] > 600)
            self.server.kill()
            self.server.start()
            self.assertEqual(self.server.wait(job)["progress"]["done"], 3000)
            self.assertEqual(self.server.result(job), list(range(3000)))
            with open(notes) as file:
                ran = [int(line) for line in file]
            self.assertEqual(set(ran), set(range(3000)))
            # Twice ran only what was not written yet: of 0.2 s, and of the chunks under way.
            self.assertLess(len(ran) - 3000, 600)


if __name__ == "__main__":
    unittest.main()

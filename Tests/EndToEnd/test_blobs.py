"""Blobs: large bytes by their SHA-256, for any number of jobs."""

import glob
import hashlib
import http.client
import json
import os
import socket
import unittest

from service import BINARY, FUNCTIONS, IS_SANITIZED, Server, ServiceTestCase


def named(data):
    return hashlib.sha256(data).hexdigest(), data


class BlobTests(ServiceTestCase):
    settings = {"more": ["--max-blob-bytes", "300000000"]}

    def put(self, digest, data, **headers):
        return self.server.call("PUT", "/v1/blobs/" + digest, body=data, headers=headers)

    def drafts(self):
        return glob.glob(self.server.data + "/blobs/*.part")

    def test_a_blob_is_kept_read_used_and_removed(self):
        digest, data = named(os.urandom(3_000_000))
        place = "/v1/blobs/" + digest
        self.problem("GET", place, 404, "no-such-blob")
        status, headers, _ = self.put(digest, data)
        self.assertEqual((status, headers["Location"]), (201, place))
        self.assertEqual(self.put(digest, data)[0], 204)
        status, headers, body = self.server.call("GET", place)
        self.assertEqual((status, body), (200, data))
        self.assertEqual(headers["ETag"], '"%s"' % digest)
        self.assertEqual(headers["Content-Length"], "3000000")
        status, headers, body = self.server.call(
            "GET", place, headers={"Range": "bytes=2999000-", "If-Range": '"%s"' % digest})
        self.assertEqual((status, body), (206, data[2_999_000:]))
        self.assertEqual(
            self.server.call("GET", place, headers={"If-None-Match": '"%s"' % digest})[0], 304)
        self.assertEqual(self.server.call("HEAD", place)[0], 200)
        self.assertEqual(self.server.run(function="blob_sum", args=[digest]), sum(data))
        job = self.server.wait(self.server.submit(function="write_to_blob", args=[digest]))
        self.assertEqual(job["error"]["type"], "TypeError", "a blob can be written to")
        self.assertEqual(self.server.call("DELETE", place)[0], 204)
        self.problem("DELETE", place, 404, "no-such-blob")
        job = self.server.wait(self.server.submit(function="blob_sum", args=[digest]))
        self.assertEqual((job["state"], job["error"]["type"]), ("failed", "BlobMissing"))

    @unittest.skipIf(IS_SANITIZED, "its memory is the sanitizer's")
    def test_a_blob_larger_than_any_other_body_streams_through_little_memory(self):
        piece, count = os.urandom(1 << 20), 200
        digest = hashlib.sha256(piece * count).hexdigest()
        before = self.peak_kib()
        connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=60)
        connection.request("PUT", "/v1/blobs/" + digest, body=(piece for _ in range(count)),
                           headers={"Transfer-Encoding": "chunked"}, encode_chunked=True)
        answer = connection.getresponse()
        self.assertEqual((answer.status, answer.read()), (201, b""))
        connection.request("GET", "/v1/blobs/" + digest)
        answer, found = connection.getresponse(), hashlib.sha256()
        while part := answer.read(1 << 20):
            found.update(part)
        connection.close()
        self.assertEqual(found.hexdigest(), digest)
        self.assertLess(self.peak_kib() - before, 40 << 10)

    def peak_kib(self):
        with open("/proc/%d/status" % self.server.process.pid) as file:
            return next(int(line.split()[1]) for line in file if line.startswith("VmHWM"))

    def test_wrong_names_and_bytes_are_refused(self):
        digest, _ = named(b"one")
        problem = self.assertProblem(self.put(digest, b"two"), 422, "blob-mismatch")
        self.assertIn(named(b"two")[0], problem["detail"])
        self.assertProblem(self.put("one", b"one"), 422, "invalid-digest")
        self.assertProblem(self.put(digest.upper(), b"one"), 422, "invalid-digest")
        self.problem("GET", "/v1/blobs/one", 404, "no-such-blob")
        status, _, _ = self.server.call(
            "PUT", "/v1/blobs/" + digest, body=b"",
            headers={"Content-Length": "300000001", "Expect": "100-continue"})
        self.assertEqual(status, 413)
        self.until(lambda: not self.drafts())
        self.problem("GET", "/v1/blobs/" + digest, 404, "no-such-blob")

    def test_the_empty_blob(self):
        digest, data = named(b"")
        self.assertEqual(self.put(digest, data)[0], 201)
        self.assertEqual(self.server.run(function="blob_sum", args=[digest]), 0)

    def test_a_client_that_leaves_leaves_nothing(self):
        digest, _ = named(b"never whole")
        with socket.create_connection(("127.0.0.1", self.server.port), 10) as client:
            client.sendall(b"PUT /v1/blobs/%s HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n"
                           % digest.encode() + bytes(100_000))
            self.until(self.drafts)
        self.until(lambda: not self.drafts())
        self.problem("GET", "/v1/blobs/" + digest, 404, "no-such-blob")

    def test_a_sender_who_asks_first_need_not_send_what_is_there(self):
        digest, data = named(b"once is enough")
        self.assertEqual(self.put(digest, data)[0], 201)
        with socket.create_connection(("127.0.0.1", self.server.port), 10) as client:
            client.sendall(b"PUT /v1/blobs/%s HTTP/1.1\r\nHost: localhost\r\nContent-Length: 14\r\n"
                           b"Expect: 100-continue\r\n\r\n" % digest.encode())
            self.assertTrue(client.recv(100).startswith(b"HTTP/1.1 204"))

    def test_conditions_keep_a_blob_from_being_changed(self):
        digest, data = named(bytes(5_000_000))  # more than is read of what is refused
        place, tag = "/v1/blobs/" + digest, '"%s"' % digest

        def ask(method, status, body=data, **headers):
            answer = self.server.call(
                method, place, body if method == "PUT" else None,
                {name.replace("_", "-"): value for name, value in headers.items()})
            if status == 412:
                self.assertProblem(answer, 412, "http-412")
            self.assertEqual(answer[0], status, headers)

        ask("DELETE", 404, If_Match="*")  # RFC 9110, section 13.2.1
        for condition in ("*", tag):
            ask("PUT", 412, b"another", If_Match=condition)  # of which nothing is read
        self.problem("GET", place, 404, "no-such-blob")
        ask("PUT", 201, If_None_Match="*")
        ask("PUT", 412, If_None_Match="*")
        ask("PUT", 412, If_None_Match="W/" + tag)
        ask("PUT", 204, If_Match=tag)
        ask("PUT", 204, If_None_Match='"other"')
        ask("DELETE", 412, If_Match='"other"')
        ask("DELETE", 412, If_Match="W/" + tag)
        ask("DELETE", 412, If_None_Match="*")
        ask("DELETE", 412, If_Match=tag, If_None_Match=tag)
        ask("GET", 200)
        ask("DELETE", 204, If_Match='"other", ' + tag)

    def test_blobs_outlive_the_server(self):
        with Server(BINARY, FUNCTIONS) as server:
            digest, data = named(b"still there")
            server.call("PUT", "/v1/blobs/" + digest, body=data)
            server.kill()
            server.start()
            self.assertEqual(server.call("GET", "/v1/blobs/" + digest)[2], data)
            self.assertEqual(json.loads(server.call("GET", "/healthz")[2])["status"], "ok")


if __name__ == "__main__":
    unittest.main()

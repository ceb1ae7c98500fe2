"""The access log: a line a response, which no request waits for."""

import json
import os
import re
import signal
import socket
import subprocess
import tempfile
import time
import unittest

from service import Service, metrics

ASK = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nUser-Agent: %s\r\n\r\n" % (b"x" * 1000)


class AccessLogTests(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = folder.name + "/access.log"

    def lines(self, path, count):
        """The lines of a file as soon as there are so many."""
        deadline = time.monotonic() + 10
        while True:
            with open(path) as file:
                found = file.read().splitlines()
            if len(found) >= count:
                return [json.loads(line) for line in found]
            self.assertLess(time.monotonic(), deadline, found)
            time.sleep(0.02)

    def dropped(self, server):
        text = server.call("GET", "/metrics")[2].decode()
        return int(re.search(r"^martlet_access_log_dropped_total (\d+)$", text, re.M)[1])

    def test_a_refused_request_is_told_by_whose_it_is(self):
        job = b"POST /v1/jobs?a=b HTTP/1.1\r\nHost: localhost\r\nX-Request-Id: mine\r\n"
        refused = {
            413: job + b"Content-Length: 99999999999\r\n", 417: job + b"Expect: wonders\r\n",
            501: job + b"Transfer-Encoding: gzip, chunked\r\n",
            400: job + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n",
            431: job + b"X: y\r\n" * 200}
        with Service("--access-log", self.path) as server:
            for status, request in refused.items():
                with socket.create_connection(("127.0.0.1", server.port), 10) as client:
                    client.sendall(request + b"\r\n")
                    answer = client.recv(9999)
                    self.assertTrue(answer.startswith(b"HTTP/1.1 %d " % status), answer)
                    self.assertIn(b"\r\nX-Request-Id: mine\r\n", answer)
            limits = metrics(server)
            self.assertEqual((limits["body"], limits["head"], limits["malformed"]), (1, 1, 3))
            # A length that another route would take.
            with socket.create_connection(("127.0.0.1", server.port), 10) as client:
                client.sendall(job + b"Content-Length: 67108865\r\n\r\n")
                self.assertTrue(client.recv(9999).startswith(b"HTTP/1.1 413"))
            self.assertEqual(metrics(server)["body"], 2)
        with open(self.path) as file:
            lines = [json.loads(line) for line in file]
        told = [(line["status"], line["method"], line["path"], line["id"]) for line in lines
                if line["id"] == "mine"]
        self.assertEqual(told, [(status, "POST", "/v1/jobs", "mine") for status in [*refused, 413]])

    def test_a_pipe_that_nobody_reads_holds_up_no_request(self):
        os.mkfifo(self.path)
        pipe = os.open(self.path, os.O_RDWR | os.O_NONBLOCK)
        self.addCleanup(os.close, pipe)
        with Service("--access-log", self.path) as server:
            count = 4000  # lines of 4 MB: the pipe holds 64 KiB, the server 2 MiB
            with socket.create_connection(("127.0.0.1", server.port), 10) as client:
                for _ in range(count // 100):
                    client.sendall(ASK * 100)
                    answers = b""
                    while answers.count(b"HTTP/1.1 200 OK") < 100 or not answers.endswith(b"}\n"):
                        answers += client.recv(1 << 18)
            self.assertTrue(server.is_well())
            dropped = self.dropped(server)
            self.assertGreater(dropped, 1000)
            # What was kept comes out whole when somebody reads.
            text, deadline = b"", time.monotonic() + 10
            while text.count(b"x" * 1000) < count - dropped:
                self.assertLess(time.monotonic(), deadline)
                try:
                    text += os.read(pipe, 1 << 18)
                except BlockingIOError:
                    time.sleep(0.01)
            for line in text.splitlines():
                json.loads(line)
            self.assertEqual(server.stop(), 0)

    def test_a_pipe_that_nobody_reads_does_not_hold_up_the_stop(self):
        os.mkfifo(self.path)
        pipe = os.open(self.path, os.O_RDWR | os.O_NONBLOCK)
        self.addCleanup(os.close, pipe)
        with Service("--access-log", self.path) as server:
            with socket.create_connection(("127.0.0.1", server.port), 10) as client:
                client.sendall(ASK * 200)
                answers = b""
                while answers.count(b"HTTP/1.1 200 OK") < 200:
                    answers += client.recv(1 << 18)
            began = time.monotonic()
            self.assertEqual(server.stop(), 0)
            self.assertLess(time.monotonic() - began, 10)

    def test_all_lines_are_there_after_the_stop(self):
        with Service("--access-log", self.path) as server:
            for _ in range(5):
                server.call("GET", "/v1/pools")
            self.assertEqual(server.stop(), 0)
        paths = [line["path"] for line in self.lines(self.path, 5)]
        self.assertEqual(paths.count("/v1/pools"), 5)

    def test_a_hangup_opens_the_file_anew(self):
        with Service("--access-log", self.path) as server:
            server.call("GET", "/v1/pools")
            os.rename(self.path, self.path + ".1")
            server.process.send_signal(signal.SIGHUP)
            deadline = time.monotonic() + 10
            while not os.path.exists(self.path):
                self.assertLess(time.monotonic(), deadline, "no new file")
                time.sleep(0.01)
            server.call("GET", "/v1/queues")
            new = [line["path"] for line in self.lines(self.path, 1)]
            old = [line["path"] for line in self.lines(self.path + ".1", 1)]
            self.assertEqual((new, "/v1/pools" in old), (["/v1/queues"], True))
            # Where none can be made the old one stays in use.
            os.rename(self.path, self.path + ".2")
            os.mkdir(self.path)
            server.process.send_signal(signal.SIGHUP)
            while "stays in its old file" not in server.output():
                self.assertLess(time.monotonic(), deadline + 10, server.output())
                time.sleep(0.01)
            server.call("GET", "/v1/functions")
            self.assertEqual(
                [line["path"] for line in self.lines(self.path + ".2", 2)],
                ["/v1/queues", "/v1/functions"])

    def test_a_line_that_a_full_disk_has_cut_spoils_no_other(self):
        disk = os.path.dirname(self.path) + "/disk"
        os.mkdir(disk)
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", disk], capture_output=True, text=True)
        if mounted.returncode != 0:
            self.skipTest("no file system can be mounted: " + mounted.stderr.strip())
        self.addCleanup(subprocess.run, ["umount", "--lazy", disk], check=True)
        path = disk + "/access.log"
        with open(disk + "/filler", "wb") as file:
            file.write(b"\0" * (32 << 10))
        with Service("--access-log", path) as server:
            with socket.create_connection(("127.0.0.1", server.port), 10) as client:
                client.sendall(ASK * 60)
                answers = b""
                while answers.count(b"HTTP/1.1 200 OK") < 60:
                    answers += client.recv(1 << 18)
            deadline = time.monotonic() + 10
            while self.dropped(server) < 20:
                self.assertLess(time.monotonic(), deadline)
                time.sleep(0.02)
            os.unlink(disk + "/filler")
            server.call("GET", "/v1/pools")
            while True:
                with open(path) as file:
                    lines = file.read().splitlines()
                if '"/v1/pools"' in lines[-1]:
                    break
                self.assertLess(time.monotonic(), deadline + 10, lines[-1][-99:])
                time.sleep(0.02)
        broken = 0
        for line in lines:
            try:
                json.loads(line)
            except ValueError:
                broken += 1
        self.assertEqual(broken, 1)


class ForwardedTests(unittest.TestCase):
    FIELDS = {"Forwarded": "for=6.6.6.6", "X-Forwarded-For": "1.2.3.4"}

    def client(self, *settings, fields=FIELDS):
        with tempfile.TemporaryDirectory() as folder:
            path = folder + "/access.log"
            with Service("--access-log", path, "--trusted-proxy", "127.0.0.1", *settings) as server:
                server.call("GET", "/v1/pools", headers=fields)
                self.assertEqual(server.stop(), 0)
            with open(path) as file:
                lines = [json.loads(line) for line in file]
        return next(line["client"] for line in lines if line["path"] == "/v1/pools")

    def test_a_proxy_is_believed_by_one_field(self):
        self.assertEqual(self.client(), "1.2.3.4")
        self.assertEqual(self.client("--forwarded-header", "x-forwarded-for"), "1.2.3.4")
        self.assertEqual(self.client("--forwarded-header", "forwarded"), "6.6.6.6")

    def test_no_octet_of_a_clients_joins_what_a_proxy_adds(self):
        """U+0600 makes one character of itself and the comma behind it."""
        for words in (b"6.6.6.6:\xd8\x80, 1.2.3.4", b"[6.6.6.6]\xd8\x80, 1.2.3.4", b"\xd8\x80, 1.2.3.4"):
            self.assertEqual(self.client(fields={"X-Forwarded-For": words}), "1.2.3.4")
        self.assertEqual(
            self.client("--forwarded-header", "forwarded",
                        fields={"Forwarded": b"for=6.6.6.6;x=\xd8\x80, for=1.2.3.4"}), "1.2.3.4")


if __name__ == "__main__":
    unittest.main()

"""What those who wait for a job are told when the server stops."""

import json
import socket
import subprocess
import tempfile
import unittest
from concurrent.futures import ThreadPoolExecutor

from service import BINARY, FUNCTIONS, Server, ServiceTestCase

WAIT = {"Prefer": "wait=60"}


class StopTests(ServiceTestCase):
    @classmethod
    def setUpClass(cls):
        """Each test stops a server of its own."""

    def test_who_waits_for_a_job_is_told_how_it_stands(self):
        with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(3) as clients:
            log = folder + "/access.log"
            with Server(BINARY, FUNCTIONS,
                        more=["--drain-seconds", "2", "--access-log", log]) as server:
                nap = {"function": "nap", "args": [30]}
                by_http1 = clients.submit(server.call, "POST", "/v1/jobs", nap, WAIT)
                by_http2 = clients.submit(subprocess.run, [
                    "curl", "-si", "--http2-prior-knowledge", "-H", "Prefer: wait=60",
                    "--json", json.dumps(nap), "http://127.0.0.1:%d/v1/jobs" % server.port],
                    capture_output=True, timeout=60)
                in_time = clients.submit(
                    server.call, "POST", "/v1/jobs", {"function": "sleep", "args": [1.5]}, WAIT)
                later = "/v1/jobs/" + server.submit(function="nap", args=[1], delay=3600)
                pollers = [(self.poller(server, later + "?wait=60"), 200),
                           (self.poller(server, later + "/result?wait=60"), 202)]
                self.until(lambda: len(json.loads(server.call(
                    "GET", "/v1/jobs?state=running")[2])["jobs"]) == 3)
                server.process.terminate()

                status, _, body = in_time.result(60)
                self.assertEqual((status, json.loads(body)["state"]), (200, "succeeded"))
                status, headers, body = by_http1.result(60)
                job = json.loads(body)
                self.assertEqual((status, job["state"], job["attempt"]), (202, "queued", 0))
                self.assertEqual(headers["Location"], "/v1/jobs/" + job["id"])
                self.assertEqual(headers["Connection"], "close")
                run = by_http2.result(60)
                self.assertEqual(run.returncode, 0, run)
                head, _, body = run.stdout.decode().partition("\r\n\r\n")
                self.assertTrue(head.startswith("HTTP/2 202"), head)
                self.assertIn("location: /v1/jobs/" + json.loads(body)["id"], head)
                for poller, status in pollers:
                    self.assertTold(poller, status)
                self.assertEqual(server.process.wait(30), 0)
            with open(log) as file:
                lines = [json.loads(line) for line in file]
            told = sorted(each["status"] for each in lines if each["method"] == "POST")
            self.assertEqual(told, [200, 202, 202, 202])
            told = sorted(each["status"] for each in lines if each["path"].startswith(later))
            self.assertEqual(told, [200, 202])

    def test_a_wait_for_a_job_that_cannot_begin_any_more_holds_up_no_stop(self):
        with Server(BINARY, FUNCTIONS, more=["--drain-seconds", "60"]) as server:
            later = server.submit(function="nap", args=[1], delay=3600)
            poller = self.poller(server, "/v1/jobs/%s?wait=60" % later)
            self.assertEqual(server.stop(), 0)  # which has 30 s
            self.assertTold(poller, 200)

    def test_a_job_that_waits_for_another_is_put_back_not_failed(self):
        with tempfile.TemporaryDirectory() as folder:
            server = Server(BINARY, FUNCTIONS, data=folder + "/data", processes=1,
                            more=["--drain-seconds", "1"])
            try:
                job = server.submit(function="wait_for_later", args=[3])
                self.until(lambda: len(json.loads(server.call("GET", "/v1/jobs")[2])["jobs"]) == 2)
                self.assertEqual(server.stop(), 0)
                server.start()
                document = server.wait(job, 60)
                self.assertEqual((document["state"], document["attempt"]), ("succeeded", 1))
            finally:
                server.__exit__()

    def poller(self, server, path):
        """A connection by which the server has taken a request and answered nothing yet."""
        client = socket.create_connection(("127.0.0.1", server.port), 60)
        # Both at once: the first's answer says that the second has come.
        client.sendall(b"".join(
            b"GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n" % each.encode()
            for each in ("/healthz", path)))
        said = b""
        while not said.endswith(b'{"status":"ok"}\n'):
            said += client.recv(1000)
        return client

    def assertTold(self, poller, status):
        with poller:
            head, _, body = poller.makefile("rb").read().partition(b"\r\n\r\n")
        self.assertTrue(head.startswith(b"HTTP/1.1 %d" % status), head)
        self.assertIn(b"Connection: close", head)
        self.assertEqual(json.loads(body)["state"], "queued")


if __name__ == "__main__":
    unittest.main()

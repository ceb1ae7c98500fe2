"""Clients of many makes each submit a job, wait for it, and fetch its result."""

import os
import subprocess
import unittest

import peers
from service import Shared

CLIENTS = os.path.join(peers.HERE, "clients")


def setUpModule():
    peers.install()
    peers.need("curl", "node", "java")


class ClientTests(unittest.TestCase):
    def runs(self, *command, more=()):
        base = "http://127.0.0.1:%d" % Shared.get().port
        *program, file = command
        done = subprocess.run(
            [*program, os.path.join(CLIENTS, file), base, *more], capture_output=True, text=True,
            timeout=60)
        self.assertEqual((done.returncode, done.stdout.strip()), (0, "144"), done.stderr[-2000:])

    def test_curl(self):
        self.runs("with_curl.sh", more=["--http1.1"])

    def test_curl_with_http_1_0(self):
        self.runs("with_curl.sh", more=["--http1.0"])

    def test_curl_with_http_2(self):
        self.runs("with_curl.sh", more=["--http2"])

    def test_curl_with_http_2_from_the_start(self):
        self.runs("with_curl.sh", more=["--http2-prior-knowledge"])

    def test_python_requests(self):
        self.runs(peers.PYTHON, "with_requests.py")

    def test_python_urllib3_with_a_chunked_body(self):
        self.runs(peers.PYTHON, "with_urllib3.py")

    def test_python_aiohttp_that_waits_for_100_continue(self):
        self.runs(peers.PYTHON, "with_aiohttp.py")

    def test_python_httpx(self):
        self.runs(peers.PYTHON, "with_httpx.py", more=["1"])

    def test_python_httpx_with_http_2(self):
        self.runs(peers.PYTHON, "with_httpx.py", more=["2"])

    def test_fetch_of_node(self):
        self.runs("node", "with_fetch.mjs")

    def test_httpclient_of_java(self):
        self.runs("java", "Client.java", more=["HTTP_1_1"])

    def test_httpclient_of_java_with_http_2(self):
        self.runs("java", "Client.java", more=["HTTP_2"])


if __name__ == "__main__":
    unittest.main()

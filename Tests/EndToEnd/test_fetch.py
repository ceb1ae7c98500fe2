"""The function fetch, against a web site of the test's own."""

import asyncio
import base64
import gzip
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
import unittest

from service import BINARY, ROOT, Server

sys.path.insert(0, os.path.dirname(__file__))  # there is another one among the examples
from website import Site  # noqa: E402

FUNCTIONS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "functions")


def answer(path, headers, body):
    if path == "/echo":
        told = {"headers": headers, "body": body.decode()}
        return 200, {"Content-Type": "application/json"}, json.dumps(told).encode()
    if path == "/bytes":
        return 200, {"Content-Type": "image/png"}, bytes(range(256))
    if path == "/latin":
        return 200, {"Content-Type": "text/html; charset=ISO-8859-1"}, b"gr\xfc\xdfe \x80"
    if path == "/liar":
        return 200, {"Content-Type": "text/html; charset=utf-8"}, b"\xff\xfe"
    if path == "/bomb":
        return 200, {"Content-Encoding": "gzip"}, gzip.compress(bytes(50 << 20))
    if path == "/packed":
        return 200, {"Content-Encoding": "gzip"}, gzip.compress("hé\n\"".encode())
    if path == "/moved":
        return 301, {"Location": "/echo"}, b""
    if path == "/slow":
        async def late():
            await asyncio.sleep(30)
            return 200, {}, b""
        return late()
    if path.startswith("/part/"):
        return 200, {}, b"\xfa" * int(path[6:])
    if path == "/busy":
        return 503, {"Retry-After": "3600"}, b"busy"
    return 404, {}, b"nothing here"


class FetchTests(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.site = Site(answer)
        cls.server = Server(BINARY, FUNCTIONS, more=["--allow-targets", "127.0.0.1"])

    @classmethod
    def tearDownClass(cls):
        cls.server.__exit__()
        cls.site.__exit__()

    def fetch(self, path, **others):
        return self.server.run(function="fetch", args={"url": self.site.url(path), **others})

    def failure(self, server=None, **args):
        server = server or self.server
        document = server.wait(server.submit(function="fetch", args=args))
        self.assertEqual(document["state"], "failed", document)
        return document["error"]

    def test_a_page_comes_with_status_headers_text_and_timings(self):
        page = self.fetch("/echo")
        self.assertEqual((page["url"], page["status"]), (self.site.url("/echo"), 200))
        self.assertEqual((page["version"], page["attempts"]), ("1.1", 1))
        self.assertEqual(page["headers"]["content-type"], "application/json")
        self.assertLessEqual(
            {"queued", "dns", "connect", "tls", "first_byte", "total"}, set(page["timings"]))
        sent = json.loads(page["text"])["headers"]
        self.assertIn("gzip", sent["accept-encoding"])
        self.assertIn("martlet", sent["user-agent"])
        self.assertEqual(self.fetch("/nowhere")["status"], 404)
        self.assertEqual(self.fetch("/moved")["url"], self.site.url("/echo"))
        unfollowed = self.fetch("/moved", redirects=0)
        self.assertEqual((unfollowed["status"], unfollowed["headers"]["location"]), (301, "/echo"))

    def test_a_body_is_posted(self):
        told = json.loads(self.fetch(
            "/echo", body={"a": [1, "é"]},
            headers={"X-Key": "k"})["text"])
        self.assertEqual(json.loads(told["body"]), {"a": [1, "é"]})
        self.assertEqual(told["headers"]["content-type"], "application/json")
        self.assertEqual(told["headers"]["x-key"], "k")
        told = json.loads(self.fetch("/echo", body="plain", method="put")["text"])
        self.assertEqual(told["body"], "plain")
        self.assertTrue(told["headers"]["content-type"].startswith("text/plain"))

    def test_bytes_come_as_base64_and_text_as_text(self):
        self.assertEqual(base64.b64decode(self.fetch("/bytes")["base64"]), bytes(range(256)))
        self.assertEqual(self.fetch("/latin")["text"], "grüße €")
        self.assertEqual(base64.b64decode(self.fetch("/liar")["base64"]), b"\xff\xfe")
        self.assertEqual(self.fetch("/liar", **{"as": "text"})["text"], "\ufffd\ufffd")
        self.assertEqual(self.fetch("/packed")["text"], "hé\n\"")
        for size in range(1, 5):
            page = self.fetch("/part/%d" % size, **{"as": "base64"})
            self.assertEqual(base64.b64decode(page["base64"], validate=True), b"\xfa" * size)

    def test_lists_and_maps(self):
        bad = "http://127.0.0.1:1/"
        pages = self.server.run(function="fetch", args=[
            [self.site.url("/echo"), bad, {"url": self.site.url("/echo"), "body": "x"}]])
        self.assertEqual([page["url"] for page in pages],
                         [self.site.url("/echo"), bad, self.site.url("/echo")])
        self.assertEqual(pages[1]["error"]["type"], "ConnectionFailed")
        self.assertEqual(json.loads(pages[2]["text"])["body"], "x")
        job = self.server.submit(
            function="fetch", on_error="continue",
            map=[self.site.url("/echo"), {"url": bad, "retries": 0}, self.site.url("/nowhere")])
        document = self.server.wait(job)
        self.assertEqual(document["progress"]["failed"], 1)
        result = self.server.result(job)
        self.assertEqual([page and page["status"] for page in result], [200, None, 404])

    def test_limits_end_a_fetch(self):
        error = self.failure(url=self.site.url("/bomb"), max_bytes=1000)
        self.assertEqual((error["type"], error["reason"]), ("BodyTooLarge", "limit"))
        start = time.time()
        error = self.failure(url=self.site.url("/slow"), timeout=0.2)
        self.assertEqual(error["type"], "FetchTimeout")
        self.assertLess(time.time() - start, 5)
        busy = self.fetch("/busy")
        self.assertEqual((busy["status"], busy["attempts"]), (503, 1))

    def test_a_cancelled_job_breaks_off_its_fetch(self):
        job = self.server.submit(function="fetch", args=[self.site.url("/slow")])
        deadline = time.time() + 10
        while "/slow" not in self.site.requests[-1:]:
            self.assertLess(time.time(), deadline)
            time.sleep(0.01)
        self.server.call("POST", "/v1/jobs/%s/cancel" % job)
        self.assertEqual(self.server.wait(job, 10)["state"], "cancelled")

    def test_wrong_arguments_are_told(self):
        for args, said in [
                ({"url": 1}, "url"), ({"url": "ftp://127.0.0.1/"}, "http"), ({"url": "x"}, "URL"),
                ({"url": {"url": "http://a/", "metod": "GET"}}, "metod"),
                ({"url": "http://a/", "timeout": 0}, "timeout"),
                ({"url": "http://a/", "as": "xml"}, "as"),
                ({"url": "http://a/", "headers": {"a": 1}}, "headers"),
                ({"url": "http://a/", "headers": {"Host": "b"}}, "Host"),
                ({"url": "http://a/", "headers": {"a": "b\r\nc: d"}}, "control"),
                ({"url": ["http://a/"] * 1001}, "1000")]:
            with self.subTest(args=said):
                self.assertIn(said, self.failure(**args)["message"])

    def test_inner_addresses_are_refused_unless_allowed(self):
        port = self.site.port
        with Server(BINARY, FUNCTIONS) as server:
            before = self.site.connections
            for host in ("127.0.0.1", "localhost", "127.1", "[::ffff:127.0.0.1]", "[::1]", "0",
                         "2130706433", "0x7f000001"):
                with self.subTest(host=host):
                    error = self.failure(server, url="http://%s:%d/" % (host, port), retries=0)
                    self.assertEqual(error["type"], "RefusedTarget", error)
                    self.assertIn("--allow-targets", error["message"])
            self.assertEqual(self.site.connections, before)
        # Names that lead inwards, and redirects to where the list does not reach.
        inner = Site(lambda *_: (200, {}, b"secret"))
        outer = Site(lambda *_: (302, {"Location": inner.url("/")}, b""))
        try:
            with Server(BINARY, FUNCTIONS, more=["--allow-targets", "localhost,10.0.0.0/8"]) as server:
                error = self.failure(server, url=outer.url("/", host="localhost"))
                self.assertEqual(error["type"], "RefusedTarget", error)
                self.assertEqual((len(outer.requests), inner.connections), (1, 0))
                page = server.run(function="fetch", args=[inner.url("/", host="localhost")])
                self.assertEqual(page["text"], "secret")
        finally:
            inner.__exit__()
            outer.__exit__()

    def test_a_wrong_list_of_targets_is_told_at_the_start(self):
        command = [os.path.join(ROOT, BINARY), "serve", "--allow-targets", "10.0.0.0/40,a/b",
                   "--fetch-per-host", "0"]
        refused = subprocess.run(command, capture_output=True, text=True, timeout=20)
        self.assertNotEqual(refused.returncode, 0)
        for said in ("10.0.0.0/40", "a/b", "--fetch-per-host"):
            self.assertIn(said, refused.stderr)

    def test_http2_and_the_authorities_one_trusts(self):
        with tempfile.TemporaryDirectory() as folder:
            key, certificate = folder + "/key", folder + "/certificate"
            subprocess.run(
                ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key,
                 "-out", certificate, "-days", "2", "-subj", "/CN=localhost",
                 "-addext", "subjectAltName=DNS:localhost"],
                check=True, capture_output=True)
            with open(folder + "/page.txt", "w") as file:
                file.write("over HTTP/2")
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                port = probe.getsockname()[1]
            secured = subprocess.Popen(
                ["nghttpd", "-a", "127.0.0.1", "-d", folder, str(port), key, certificate],
                stdout=subprocess.DEVNULL)
            try:
                url = "https://localhost:%d/page.txt" % port
                self.await_connection(port)
                allow = ["--allow-targets", "localhost"]
                with Server(BINARY, FUNCTIONS, more=allow) as server:
                    error = self.failure(server, url=url, retries=0)
                    self.assertEqual(error["type"], "TLSFailed", error)
                with Server(BINARY, FUNCTIONS, more=allow + ["--fetch-ca", certificate]) as server:
                    pages = server.run(function="fetch", map=[url] * 200)
                    self.assertEqual(
                        {(page["status"], page["version"], page["text"]) for page in pages},
                        {(200, "2", "over HTTP/2")})
            finally:
                secured.terminate()
                secured.wait(10)

    def await_connection(self, port):
        deadline = time.time() + 10
        while True:
            try:
                return socket.create_connection(("127.0.0.1", port), 1).close()
            except OSError:
                self.assertLess(time.time(), deadline)
                time.sleep(0.01)


class CrawlTests(unittest.TestCase):
    PAGES = 2000

    @classmethod
    def page(cls, path, headers, body):
        """Every page links to three further down, to its parent and to itself."""
        found = re.fullmatch(r"/page/(\d+)", path)
        number = int(found[1]) if found else cls.PAGES
        if number >= cls.PAGES:
            return 404, {}, b"no such page"
        links = [3 * number + i for i in (1, 2, 3) if 3 * number + i < cls.PAGES]
        links += [number, max(0, number - 1) // 3]
        anchors = "".join('<a href="/page/%d">on</a>\n' % link for link in links)
        return 200, {}, ("<title>Page %d</title>\n%s" % (number, anchors)).encode()

    def test_a_site_of_2000_pages_is_crawled_by_maps(self):
        with Site(self.page) as site:
            with Server(BINARY, FUNCTIONS, more=[
                    "--allow-targets", "127.0.0.1", "--fetch-per-host", "50"]) as server:
                seen, wave, titles, jobs = {"/page/0"}, ["/page/0"], set(), 0
                while wave:
                    pages = server.run(function="fetch", map=[site.url(path) for path in wave])
                    jobs += 1
                    wave = []
                    for page in pages:
                        self.assertEqual(page["status"], 200)
                        titles.add(re.search("<title>Page (\\d+)</title>", page["text"])[1])
                        for link in re.findall('href="([^"]+)"', page["text"]):
                            if link not in seen:
                                seen.add(link)
                                wave.append(link)
                self.assertEqual(titles, {str(number) for number in range(self.PAGES)})
                self.assertEqual(sorted(site.requests), sorted(seen))
                self.assertLess(jobs, 10)
                self.assertLessEqual(site.connections, 50)


if __name__ == "__main__":
    unittest.main()

"""Safe by default: what browsers are told, who is let in, what is never written down."""

import itertools
import json
import os
import subprocess
import tempfile
import unittest

from service import BINARY, FUNCTIONS, ROOT, Server, ServiceTestCase

EVERYWHERE = {
    "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin"}
OF_DATA = "default-src 'none'; frame-ancestors 'none'"


class HeaderTests(ServiceTestCase):
    def answers(self):
        """Status and headers of answers of every kind, by what was asked."""
        job = self.server.submit(function="square", map=[1, 2, 3])
        self.server.wait(job)
        for method, path, body in [
                ("GET", "/v1/jobs", None), ("GET", "/v1/jobs/" + job, None),
                ("GET", "/v1/jobs/%s/result" % job, None), ("GET", "/v1/jobs/%s/items" % job, None),
                ("GET", "/v1/jobs/%s/logs" % job, None), ("GET", "/v1/functions", None),
                ("HEAD", "/v1/jobs/" + job, None), ("OPTIONS", "/v1/jobs", None),
                ("POST", "/v1/jobs", {"function": "square", "args": [1]}),
                ("POST", "/v1/jobs", b"{"), ("PATCH", "/v1/jobs", b""), ("GET", "/nothing", None),
                ("GET", "/metrics", None), ("GET", "/openapi.yaml", None),
                ("GET", "/", None), ("GET", "/docs", None), ("GET", "/dashboard/main.js", None),
                ("GET", "/dashboard/icon.svg", None)]:
            status, headers, _ = self.server.call(method, path, body)
            yield "%s %s %d" % (method, path, status), path, headers

    def test_every_answer_tells_browsers_what_not_to_do(self):
        for asked, path, headers in self.answers():
            with self.subTest(asked):
                for name, value in EVERYWHERE.items():
                    self.assertEqual(headers.get_all(name), [value])
                policy, = headers.get_all("Content-Security-Policy")
                is_page = path in ("/", "/docs") or path.startswith("/dashboard/")
                if not is_page:
                    self.assertEqual(policy, OF_DATA)
                self.assertIn("frame-ancestors 'none'", policy)
                self.assertEqual(len(headers.get_all("Cache-Control")), 1)

    def test_what_has_no_tag_is_never_kept(self):
        for asked, path, headers in self.answers():
            with self.subTest(asked):
                caching = headers["Cache-Control"]
                if headers["ETag"] is None:
                    self.assertEqual(caching, "no-store")
                else:
                    self.assertIn("no-cache", caching)

    def test_no_other_origin_is_ever_let_read(self):
        preflight = {"Origin": "http://elsewhere.example", "Access-Control-Request-Method": "POST",
                     "Access-Control-Request-Headers": "content-type"}
        for method, fields in [("OPTIONS", preflight), ("GET", {"Origin": "http://a.example"})]:
            status, headers, _ = self.server.call(method, "/v1/jobs", headers=fields)
            with self.subTest(method):
                self.assertLess(status, 300)
                allowed = [name for name in headers if name.lower().startswith("access-control")]
                self.assertEqual(allowed, [])

    def test_a_malformed_request_is_answered_as_safely(self):
        answer = subprocess.run(
            ["curl", "-si", "-H", "Content-Length: x", "http://127.0.0.1:%d/" % self.server.port],
            capture_output=True, timeout=20).stdout
        self.assertTrue(answer.startswith(b"HTTP/1.1 400"), answer)
        self.assertIn(b"X-Content-Type-Options: nosniff\r\n", answer)
        self.assertIn(b"Content-Security-Policy: %s\r\n" % OF_DATA.encode(), answer)

    def test_http2_has_the_same_fields(self):
        for path in ("/v1/jobs", "/"):
            url = "http://127.0.0.1:%d%s" % (self.server.port, path)
            heads = [
                {line.partition(":")[0].lower(): line.partition(":")[2].strip()
                 for line in subprocess.run(
                     ["curl", "-sI", version, url], capture_output=True, text=True,
                     timeout=20).stdout.splitlines()[1:] if line}
                for version in ("--http1.1", "--http2-prior-knowledge")]
            for head in heads:
                for name in ("date", "x-request-id"):
                    head.pop(name)
            with self.subTest(path):
                self.assertEqual(heads[0], heads[1])
                self.assertEqual(heads[1]["x-content-type-options"], "nosniff")


class StrictTransportTests(unittest.TestCase):
    def test_it_is_said_when_asked_for_and_encrypted(self):
        with tempfile.TemporaryDirectory() as folder:
            subprocess.run(
                ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                 "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", "/CN=localhost",
                 "-keyout", folder + "/key", "-out", folder + "/certificate"],
                check=True, capture_output=True)
            tls = ["--tls-cert", folder + "/certificate", "--tls-key", folder + "/key"]
            path = folder + "/socket"
            with Server(BINARY, None, more=[
                    *tls, "--hsts-seconds", "3600", "--listen", "unix:" + path]) as server:
                url = "https://localhost:%d/v1/jobs" % server.port
                for version in ("--http1.1", "--http2"):
                    head = self.head("-k", version, url)
                    self.assertIn("strict-transport-security: max-age=3600", head)
                plain = self.head("--unix-socket", path, "http://localhost/v1/jobs")
                self.assertNotIn("strict-transport", plain)
                # RFC 6797, section 7.2: nor to who asks in the clear, and is told to ask by TLS.
                mistaken = self.head("http://localhost:%d/v1/jobs" % server.port)
                self.assertIn("http/1.1 400", mistaken)
                self.assertNotIn("strict-transport", mistaken)
            with Server(BINARY, None, more=tls) as server:
                url = "https://localhost:%d/v1/jobs" % server.port
                self.assertNotIn("strict-transport", self.head("-k", url))

    def head(self, *arguments):
        run = subprocess.run(
            ["curl", "-sSI", *arguments], capture_output=True, text=True, timeout=20, check=True)
        return run.stdout.lower()


class HostTests(ServiceTestCase):
    """A name that its owner has mean 127.0.0.1 is not let in (DNS rebinding)."""

    job = {"function": "square", "args": [2]}

    def status(self, host, method="GET", path="/v1/jobs", body=None, server=None):
        return (server or self.server).call(method, path, body, {"Host": host})[0]

    def test_names_of_the_loopback_are_let_in(self):
        for host in ("localhost", "LOCALHOST:80", "127.0.0.1", "127.8.9.1:8080", "[::1]:1",
                     "[0:0::1]", "app.localhost:3000", "localhost.", "[::ffff:127.0.0.1]"):
            with self.subTest(host):
                self.assertEqual(self.status(host), 200)

    def test_other_names_are_not(self):
        for host in ("rebound.example", "rebound.example:8080", "localhost.rebound.example",
                     "127.0.0.1.rebound.example", "xlocalhost", "127.1", "0.0.0.0", "10.0.0.1",
                     "[::]", "[2001:db8::1]", "2130706433"):
            for method, path, body in [
                    ("GET", "/v1/jobs", None), ("POST", "/v1/jobs", self.job), ("GET", "/", None),
                    ("GET", "/metrics", None), ("OPTIONS", "/v1/jobs", None),
                    ("DELETE", "/v1/jobs/x", None)]:
                with self.subTest(host=host, method=method, path=path):
                    answer = self.server.call(method, path, body, {"Host": host})
                    problem = self.assertProblem(answer, 421, "host-not-allowed")
                    self.assertIn("--allowed-hosts", problem["detail"])
                    self.assertIn(host, problem["detail"])

    def test_a_refused_submission_stores_nothing(self):
        before = self.get("/v1/jobs?limit=1000")["jobs"]
        self.assertEqual(self.status("a.example", "POST", body=self.job), 421)
        self.assertEqual(self.get("/v1/jobs?limit=1000")["jobs"], before)

    def test_health_is_told_whatever_the_name(self):
        for path in ("/healthz", "/readyz"):
            self.assertEqual(self.status("10.1.2.3:8080", path=path), 200)

    def curl(self, *arguments):
        """Status, by a name that resolves to the server as an attacker's would."""
        return subprocess.run(
            ["curl", "-s", "-o", "/dev/null", "-w", "%{http_code} %{http_version}",
             "--resolve", "rebound.example:%d:127.0.0.1" % self.server.port, *arguments],
            capture_output=True, text=True, timeout=20).stdout

    def test_it_holds_for_http2_and_absolute_targets(self):
        port = self.server.port
        evil = "http://rebound.example:%d/v1/jobs" % port
        self.assertEqual(self.curl(evil), "421 1.1")
        self.assertEqual(self.curl("--http2-prior-knowledge", evil), "421 2")
        self.assertEqual(self.curl("--http2", evil), "421 2")
        good = "http://localhost:%d/v1/jobs" % port
        self.assertEqual(self.curl("--http2-prior-knowledge", good), "200 2")
        # The target goes before Host, either way round.
        for target, host, wanted in [
                ("http://rebound.example/v1/jobs", "localhost", "421 1.1"),
                ("http://localhost/v1/jobs", "rebound.example", "200 1.1")]:
            answer = self.curl("-H", "Host: " + host, "--request-target", target, good)
            self.assertEqual(answer, wanted)

    def test_http10_without_a_host_is_let_in(self):
        answer = self.curl("--http1.0", "-H", "Host:", "http://127.0.0.1:%d/v1/jobs" % self.server.port)
        self.assertTrue(answer.startswith("200 "), answer)

    def test_names_can_be_added(self):
        with Server(BINARY, FUNCTIONS, more=[
                "--allowed-hosts", "jobs.example,.internal", "--allowed-hosts", "10.0.0.7"]) as server:
            for host, wanted in [
                    ("jobs.example", 200), ("JOBS.example:443", 200), ("a.internal", 200),
                    ("a.b.internal:1", 200), ("10.0.0.7", 200), ("localhost", 200),
                    ("internal", 421), ("xjobs.example", 421), ("a.jobs.example", 421),
                    ("evilinternal", 421), ("10.0.0.8", 421)]:
                with self.subTest(host):
                    self.assertEqual(self.status(host, server=server), wanted)

    def test_with_a_token_names_are_asked_for_only_if_there_are_any(self):
        token = {"Authorization": "Bearer of-twelve-bytes"}
        environment = {**os.environ, "MARTLET_TOKEN": "of-twelve-bytes"}
        for more, wanted in [((), 200), (("--allowed-hosts", "jobs.example"), 421)]:
            with self.subTest(more), Server(
                    BINARY, None, more=more, environment=environment) as server:
                for host, status in (("other.example", wanted), ("jobs.example", 200)):
                    answer = server.call("GET", "/v1/jobs", headers={"Host": host, **token})
                    self.assertEqual(answer[0], status, answer)

    def test_a_unix_socket_has_no_name_to_ask_for(self):
        with tempfile.TemporaryDirectory() as folder:
            path = folder + "/socket"
            with Server(BINARY, None, more=["--listen", "unix:" + path]):
                self.assertEqual(
                    self.curl("--unix-socket", path, "http://whatever/v1/jobs"), "200 1.1")

    def test_wrong_names_are_refused_at_the_start(self):
        for given in ("*", "jobs.example:80", "http://jobs.example", "a,,b", "a b", "."):
            run = subprocess.run(
                [os.path.join(ROOT, BINARY), "config", "--allowed-hosts", given],
                capture_output=True, text=True, timeout=20)
            with self.subTest(given):
                self.assertEqual(run.returncode, 64)
                self.assertIn("--allowed-hosts takes names", run.stderr)


class CrossSiteTests(ServiceTestCase):
    """A page of another site may not have a visitor's browser send jobs (CSRF)."""

    job = {"function": "square", "args": [2]}

    def ask(self, method, path, body=None, **fields):
        return self.server.call(
            method, path, body, {name.replace("_", "-"): value for name, value in fields.items()})

    def test_what_browsers_say_is_of_elsewhere_is_refused(self):
        job = self.server.submit(**self.job)
        for site in ("cross-site", "same-site"):
            for method, path, body in [
                    ("POST", "/v1/jobs", self.job), ("POST", "/v1/jobs/%s/cancel" % job, b""),
                    ("POST", "/v1/jobs/%s/retry" % job, b""), ("DELETE", "/v1/jobs/" + job, None),
                    ("PUT", "/v1/blobs/" + "0" * 64, b"x"), ("GET", "/v1/jobs", None)]:
                with self.subTest(site=site, method=method, path=path):
                    answer = self.ask(method, path, body, Sec_Fetch_Site=site, Sec_Fetch_Mode="no-cors")
                    self.assertProblem(answer, 403, "cross-site")
        form = self.ask("POST", "/v1/jobs/%s/cancel" % job, b"", Sec_Fetch_Site="cross-site",
                        Sec_Fetch_Mode="navigate")
        self.assertProblem(form, 403, "cross-site")
        self.assertEqual(self.ask("DELETE", "/v1/jobs/" + job)[0], 204)  # it is still there

    def test_the_servers_own_page_and_links_are_let_in(self):
        for site in ("same-origin", "none"):
            answer = self.ask("POST", "/v1/jobs", self.job, Sec_Fetch_Site=site)
            self.assertEqual(answer[0], 202)
        link = self.ask("GET", "/", Sec_Fetch_Site="cross-site", Sec_Fetch_Mode="navigate")
        self.assertEqual(link[0], 200)

    def test_older_browsers_are_known_by_their_origin(self):
        host = "localhost:%d" % self.server.port
        for origin, wanted in [
                ("http://" + host, 202), ("HTTP://LOCALHOST:%d" % self.server.port, 202),
                ("http://localhost:1", 403), ("http://127.0.0.1:%d" % self.server.port, 403),
                ("http://evil.example", 403), ("null", 403), ("", 403)]:
            with self.subTest(origin):
                answer = self.ask("POST", "/v1/jobs", self.job, Host=host, Origin=origin)
                self.assertEqual(answer[0], wanted, answer)
        self.assertEqual(self.ask("GET", "/v1/jobs", Origin="http://evil.example")[0], 200)

    def test_an_allowed_host_may_be_the_origin_behind_a_proxy(self):
        with Server(BINARY, None, more=["--allowed-hosts", "jobs.example"]) as server:
            for origin, wanted in (("https://jobs.example", 202), ("https://x.example", 403)):
                answer = server.call("POST", "/v1/jobs", self.job, {"Origin": origin})
                self.assertEqual(answer[0], wanted)

    def test_a_token_does_not_open_the_door_to_pages(self):
        environment = {**os.environ, "MARTLET_TOKEN": "of-twelve-bytes"}
        with Server(BINARY, None, environment=environment) as server:
            fields = {"Authorization": "Bearer of-twelve-bytes", "Sec-Fetch-Site": "cross-site"}
            self.assertEqual(server.call("POST", "/v1/jobs", self.job, fields)[0], 403)


class SecretTests(unittest.TestCase):
    """Starts a server full of secrets, has everything fail, and looks through all it wrote."""

    token = "token-SECRET-1"
    collector = "collector-SECRET-2"

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        environment = {
            **os.environ, "MARTLET_TOKEN": self.token,
            "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9",
            "OTEL_EXPORTER_OTLP_HEADERS": "authorization=" + self.collector}
        self.environment = environment
        self.keys = itertools.count()
        self.server = self.enterContext(Server(
            BINARY, FUNCTIONS, environment=environment, more=[
                "--access-log", self.folder + "/access", "--log-format", "json"]))

    def call(self, method, path, body=None, token=token, **fields):
        fields = {name.replace("_", "-"): value for name, value in fields.items()}
        return self.server.call(
            method, path, body, {"Authorization": "Bearer " + token, **fields})

    def run_job(self, **submission):
        status, _, body = self.call(
            "POST", "/v1/jobs", submission, Prefer="wait=30",
            Idempotency_Key="key-SECRET-3-%d" % next(self.keys))
        self.assertEqual(status, 200, body)
        return json.loads(body)

    def test_nothing_secret_is_written_down(self):
        secret = "argument-SECRET-4"
        for function, pool in [
                ("cat", "process"), ("refuse_all", "process"), ("echo", "thread"),
                ("echo", "process"), ("echo", "async"), ("square", "thread"),
                ("repeat_in_an_error", "process"), ("repeat_in_an_error", "thread"),
                ("repeat_in_an_error_later", "async"), ("die_with", "process"),
                ("py_square", "process"), ("no_such_parameter", "process")]:
            with self.subTest(function=function, pool=pool):
                if function == "no_such_parameter":
                    self.run_job(function="py_square", args={"x": 1, secret: 2})
                else:
                    self.run_job(function=function, pool=pool, args=[secret])
                    self.run_job(function=function, pool=pool, map=[secret] * 3, on_error="continue")
        self.run_job(function="spin", args=[secret], timeout=0.2)
        self.assertEqual(self.call("GET", "/v1/jobs", token="wrong-SECRET-5")[0], 401)
        self.assertEqual(self.call("GET", "/v1/jobs?function=SECRET-6&tag=SECRET-7")[0], 200)
        self.assertEqual(self.call("GET", "/v1/jobs?password=SECRET-13")[0], 400)
        self.assertEqual(self.call("POST", "/v1/jobs", b'{"SECRET-8')[0], 400)
        self.assertEqual(self.call("POST", "/v1/jobs", {"SECRET-9": 1})[0], 422)
        self.assertEqual(self.call("GET", "/", Cookie="session=SECRET-10")[0], 200)
        self.assertEqual(self.call(
            "GET", "/v1/jobs", Referer="http://x/?SECRET-11", Proxy_Authorization="SECRET-12")[0], 200)
        other = self.run_job(function="square", args=[3])
        seen = {
            "job of another": json.dumps(self.call("GET", "/v1/jobs/" + other["id"])[2].decode()),
            **{path: self.call("GET", path)[2].decode() for path in (
                "/metrics", "/v1/functions", "/v1/pools", "/v1/queues", "/readyz", "/openapi.yaml")}}
        for flags in ((), ("--json",)):
            seen["config"] = subprocess.run(
                [os.path.join(ROOT, BINARY), "config", *flags], env=self.environment,
                capture_output=True, text=True, check=True, timeout=20).stdout
        self.assertEqual(self.server.stop(), 0)
        seen["log"] = self.server.said()
        with open(self.folder + "/access") as file:
            seen["access log"] = file.read()
        self.assertGreater(seen["access log"].count("\n"), 30)
        self.assertIn("spans are lost", seen["log"])  # it has tried the secret
        self.assertIn("worker ended", seen["log"])
        for place, text in seen.items():
            with self.subTest(place):
                self.assertNotIn("SECRET", text)

    def test_the_token_is_taken_whole_and_its_scheme_in_any_case(self):
        for field, status in [
                ("Bearer " + self.token, 200), ("bearer " + self.token, 200),
                ("BEARER " + self.token, 200), ("Bearer " + self.token[:-1], 401),
                ("Bearer " + self.token + "1", 401), ("Bearer " + self.token.lower(), 401),
                ("Basic " + self.token, 401), (self.token, 401), ("Bearer", 401), ("", 401)]:
            with self.subTest(field):
                answer = self.server.call("GET", "/v1/pools", headers={"Authorization": field})
                self.assertEqual(answer[0], status)

    def test_functions_are_not_told_the_servers_secrets(self):
        for function, pool in [("all_variables", "process"), ("all_variables", "thread"),
                               ("command_variables", "process")]:
            with self.subTest(function=function, pool=pool):
                job = self.run_job(function=function, pool=pool, args=[])
                self.assertEqual(job["state"], "succeeded", job)
                found = json.dumps(job["result"])
                self.assertIn("MARTLET_", found)
                self.assertNotIn("SECRET", found)

    def test_a_collectors_password_is_not_taken_where_it_would_be_shown(self):
        run = subprocess.run(
            [os.path.join(ROOT, BINARY), "config", "--otlp-endpoint", "http://u:p@127.0.0.1:9"],
            capture_output=True, text=True, timeout=20)
        self.assertEqual(run.returncode, 64)
        self.assertIn("otlp-headers", run.stderr)


if __name__ == "__main__":
    unittest.main()

"""The server under test: started once for the suite, or anew with other settings."""

import atexit
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BINARY = os.path.join(ROOT, os.environ.get("MARTLET_BINARY", ".build/debug/martlet"))
FUNCTIONS = os.path.join(ROOT, "Tests/EndToEnd/functions")


def free_port(family=socket.AF_INET):
    with socket.socket(family) as probe:
        probe.bind(("::1" if family == socket.AF_INET6 else "127.0.0.1", 0))
        return probe.getsockname()[1]


class Service:
    """A server process with a data folder of its own; ends with its `with` block.

    `listen` replaces the one address on a free port; `descriptors` limits its open files: one number,
    or the soft and the hard limit. `environment` is added to that of the tests.
    """

    def __init__(self, *more, listen=None, descriptors=None, processes=1, environment=None):
        self.folder = tempfile.TemporaryDirectory()
        self.port = free_port()
        listen = listen or ["127.0.0.1:%d" % self.port]
        if isinstance(descriptors, int):
            descriptors = (descriptors, descriptors)
        limit = ["prlimit", "--nofile=%d:%d" % descriptors] if descriptors else []
        # It must not outlive a suite that is killed.
        command = ["setpriv", "--pdeathsig", "KILL", *limit, BINARY, "serve",
                   "--data", self.folder.name + "/data", "--functions", FUNCTIONS,
                   "--processes", str(processes), "--threads", "2", *more]
        for address in listen:
            command += ["--listen", address]
        self.log = open(self.folder.name + "/log", "w+")
        self.process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log,
            env={**os.environ, **(environment or {})})
        try:
            self.wait_for_addresses(listen)
        except BaseException:
            self.close()
            raise

    def wait_for_addresses(self, listen):
        deadline = time.monotonic() + 20
        for address in listen:
            while not accepts(address):
                if self.process.poll() is not None or time.monotonic() > deadline:
                    raise AssertionError("the server does not listen on %s: %s" % (
                        address, self.output()))
                time.sleep(0.01)

    def output(self):
        with open(self.log.name, errors="replace") as log:
            return log.read()[-2000:]

    @property
    def pid(self):
        return self.process.pid

    def call(self, method, path, body=None, headers=None, timeout=30, source=None):
        """Status, headers and bytes of one answer over a connection of its own."""
        connection = http.client.HTTPConnection(
            "127.0.0.1", self.port, timeout=timeout, source_address=source)
        try:
            fields = {"Content-Type": "application/json"} if body is not None else {}
            connection.request(method, path, body, {**fields, **(headers or {})})
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()
        finally:
            connection.close()

    def submit(self, **submission):
        status, _, body = self.call("POST", "/v1/jobs", json.dumps(submission))
        assert status == 202, (status, body)
        return json.loads(body)["id"]

    def finished(self, **submission):
        """The id of a job that has succeeded."""
        job = self.submit(**submission)
        state = json.loads(self.call("GET", "/v1/jobs/%s?wait=30" % job, timeout=60)[2])["state"]
        assert state == "succeeded", state
        return job

    def is_well(self, seconds=5):
        return self.call("GET", "/healthz", timeout=seconds)[0] == 200

    def accepted(self, count, seconds=10):
        """Waits until so many connections are open besides the one that asks."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            text = self.call("GET", "/metrics")[2].decode()
            open_now = int(text.split("\nmartlet_http_connections ")[1].split()[0])
            if open_now > count:
                return
            time.sleep(0.02)
        raise AssertionError("%d connections are not accepted" % count)

    def descriptors(self):
        return len(os.listdir("/proc/%d/fd" % self.pid))

    def memory(self):
        """Resident bytes of the server's own process; 0 under a sanitizer, which fills it itself."""
        if "MARTLET_SANITIZER" in os.environ:
            return 0
        with open("/proc/%d/statm" % self.pid) as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def cpu_seconds(self):
        with open("/proc/%d/stat" % self.pid) as file:
            user, system = file.read().rsplit(")", 1)[1].split()[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")

    def stop(self, seconds=30):
        """The exit status after SIGTERM."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(seconds)

    def close(self):
        try:
            self.stop(15)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log.close()
        self.folder.cleanup()

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.close()


def metrics(server):
    """How often limits were met, by their label; other values by their name."""
    text = server.call("GET", "/metrics")[2].decode()
    found = {}
    for name, limit, value in re.findall(
            r'^martlet_http_([a-z_]+)(?:\{limit="([a-z0-9_]+)"\})? (\d+)$', text, re.MULTILINE):
        found[limit or "http_" + name] = int(value)
    return found


def until(condition, what, seconds=20):
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError("not in %d s: %s" % (seconds, what))
        time.sleep(0.1)


def accepts(address):
    """Whether HOST:PORT, [HOST]:PORT or unix:/path takes connections."""
    if address.startswith("unix:"):
        family, place = socket.AF_UNIX, address[5:]
    else:
        host, port = address.rsplit(":", 1)
        family = socket.AF_INET6 if host.startswith("[") else socket.AF_INET
        place = (host.strip("[]"), int(port))
    with socket.socket(family) as probe:
        probe.settimeout(2)
        return probe.connect_ex(place) == 0


class Shared:
    """The one server that most of the suite talks to."""

    service = None

    @classmethod
    def get(cls):
        if cls.service is None:
            cls.service = Service()
            atexit.register(cls.service.close)
        return cls.service

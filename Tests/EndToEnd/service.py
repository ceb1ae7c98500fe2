"""What the end-to-end tests share: the binary, a server for a class, packages from PyPI."""

import fcntl
import json
import os
import site
import subprocess
import sys
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "..", "Examples"))
from server import ROOT, Server  # noqa: E402

# Below the root; `make sanitize` names one of its own.
BINARY = os.environ.get("MARTLET_BINARY", ".build/debug/martlet")
FUNCTIONS = ROOT + "/Tests/EndToEnd/functions"
# Whether the binary is one of `make sanitize`: several times as slow, and large.
IS_SANITIZED = "MARTLET_SANITIZER" in os.environ
VENV = ROOT + "/.build/venv"
# Members of a problem that is about the body of a request (RFC 9457, and ours).
PROBLEM_MEMBERS = {"type", "title", "status", "detail", "pointer"}


def alive(pid):
    """Whether a process runs; one that has ended and was not reaped does not."""
    try:
        with open("/proc/%d/stat" % pid) as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def high_water(pid):
    """The most memory that a process has had, in MiB; 0 when it is gone."""
    try:
        with open("/proc/%d/status" % pid) as file:
            return next((int(line.split()[1]) >> 10 for line in file
                         if line.startswith("VmHWM:")), 0)
    except OSError:
        return 0


def use_packages():
    """Makes what Tests/requirements.txt names importable, installing it the first time."""
    with open(ROOT + "/Tests/requirements.txt") as file:
        wanted = sys.version + "\n" + file.read()
    with open(ROOT + "/.build/venv.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # `make repeat` has several rounds at once
        try:
            with open(VENV + "/made-of") as file:
                made_of = file.read()
        except FileNotFoundError:
            made_of = None
        if made_of != wanted:
            subprocess.run([sys.executable, "-m", "venv", "--clear", VENV], check=True)
            subprocess.run(
                [VENV + "/bin/pip", "install", "--quiet", "--disable-pip-version-check",
                 "--requirement", ROOT + "/Tests/requirements.txt"], check=True)
            with open(VENV + "/made-of", "w") as file:
                file.write(wanted)
    site.addsitedir("%s/lib/python%d.%d/site-packages" % (VENV, *sys.version_info[:2]))


class ServiceTestCase(unittest.TestCase):
    """Tests that share one server, with pools as small as `settings` says."""

    functions = FUNCTIONS
    settings = {}

    @classmethod
    def setUpClass(cls):
        cls.server = Server(BINARY, cls.functions, **cls.settings)
        cls.addClassCleanup(cls.server.__exit__)

    def get(self, path):
        """The JSON at a path that must be there."""
        status, _, body = self.server.call("GET", path)
        self.assertEqual(status, 200, body)
        return json.loads(body)

    def problem(self, method, path, status, code, **request):
        """Asks for what must be refused, and returns the problem."""
        answer = self.server.call(method, path, **request)
        return self.assertProblem(answer, status, code)

    def assertProblem(self, answer, status, code):
        self.assertEqual(answer[0], status, answer[2])
        self.assertEqual(answer[1]["Content-Type"], "application/problem+json")
        problem = json.loads(answer[2])
        self.assertEqual(problem["type"], "urn:martlet:problem:" + code, problem)
        self.assertEqual(problem["status"], status)
        self.assertTrue(problem["title"] and problem["detail"], problem)
        return problem

    def until(self, condition, seconds=20):
        """Waits for a condition; the deadline is for a loaded machine."""
        deadline = time.monotonic() + seconds * (3 if IS_SANITIZED else 1)
        while not condition():
            self.assertLess(time.monotonic(), deadline, "did not come true")
            time.sleep(0.02)

    def await_state(self, job, state):
        self.until(lambda: self.server.wait(job, 0)["state"] == state)

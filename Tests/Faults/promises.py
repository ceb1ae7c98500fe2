"""Jobs under way while a fault strikes, and the promises that must hold after it."""

import collections
import json
import os
import random
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "..", "Examples"))
sys.path.insert(0, os.path.join(HERE, "..", "EndToEnd"))
from server import Server  # noqa: E402

from machine import check, descendants, descriptors, is_alive, until, zombies  # noqa: E402

BINARY = os.environ.get("MARTLET_BINARY", ".build/debug/martlet")
FUNCTIONS = HERE + "/functions"


class Promises:
    def __init__(self, seed):
        self.random = random.Random(seed)
        self.counts = collections.Counter()
        self.folder = tempfile.TemporaryDirectory(prefix="martlet-faults-")
        self.notes = self.folder.name + "/notes"
        open(self.notes, "w").close()
        # Where the server and its workers would leave temporary files.
        self.scratch = self.folder.name + "/scratch"
        os.mkdir(self.scratch)
        os.environ["TMPDIR"] = self.scratch
        self.acknowledged = []  # names, as in the notes
        self.ids = {}
        # Jobs seen as succeeded, with how often they had run then.
        self.succeeded = {}
        self.server = Server(BINARY, FUNCTIONS, data=self.folder.name + "/data", processes=2,
                             threads=4, more=("--max-inline-bytes", "65536"))

    def warm_up(self):
        """Uses every pool once, and notes what the server then holds."""
        self.submit_some(20)
        for function in ("primes", "echo"):
            self.server.run(function=function, pool="process", args=[10])
        self.settle()
        self.processes = len(self.workers())
        self.descriptors = descriptors(self.server.process.pid)
        self.files = {name for name in os.listdir(self.server.data)}

    # --- Jobs --------------------------------------------------------------------------------

    def submit_some(self, count, seconds=0.02):
        for _ in range(count):
            name = "job-%d" % len(self.ids)
            function, pool = self.random.choice(
                [("work", "process"), ("work", "thread"), ("work_async", "async")])
            # Of some jobs arguments and results are files beside the database.
            ballast = "x" * self.random.choice([0, 0, 0, 100_000])
            # A killed worker must not fail what it ran.
            body = {"function": function, "pool": pool,
                    "args": [name, self.notes, seconds, ballast],
                    "retry": {"max_attempts": 20, "initial": 0}}
            try:
                status, _, answer = self.server.call("POST", "/v1/jobs", body, timeout=20)
            except OSError:
                self.ids[name] = None  # not acknowledged; it may be there or not
                continue
            check(status == 202, "a submission was answered", status, answer)
            self.ids[name] = json.loads(answer)["id"]
            self.acknowledged.append(name)
        self.counts["jobs acknowledged"] = len(self.acknowledged)

    def runs(self):
        with open(self.notes) as file:
            return collections.Counter(file.read().split())

    def settle(self):
        """Every acknowledged job ends as succeeded, and runs no more."""
        for name in self.acknowledged:
            if name in self.succeeded:
                continue
            document = self.server.wait(self.ids[name], 60)
            check(document.get("state") == "succeeded", name, document)
            check(document["result"].rstrip("x") == name, name, "has the result of another")
            check(self.runs()[name] >= 1, name, "succeeded and has not run")
            self.succeeded[name] = None
        runs = self.runs()
        for name, count in self.succeeded.items():
            if count is not None:
                check(runs[name] == count, name, "ran again after it had succeeded")
            self.succeeded[name] = runs[name]
        self.counts["runs repeated, their end not yet durable"] = sum(
            count - 1 for count in self.succeeded.values())

    def blamed(self, reason, **submission):
        document = self.server.wait(self.server.submit(**submission), 60)
        error = document.get("error", {})
        check((document["state"], error.get("reason")) == ("failed", reason),
              "not blamed as", reason, document)
        self.counts["failures rightly blamed"] += 1
        return error

    def workers(self):
        return descendants(self.server.process.pid)

    def restart(self):
        """Starts the server again after its end; nothing of the old one may be left."""
        self.server.start()
        self.counts["server starts"] += 1

    def kill_server(self):
        below = self.workers()
        self.server.kill()
        until(lambda: not any(map(is_alive, below)), "workers end with their server", 5)

    # --- What may be left behind -------------------------------------------------------------

    def tidy(self):
        """No process, descriptor or file is left that was not there before."""
        pid = self.server.process.pid
        until(lambda: len(self.workers()) <= self.processes, "no process is left behind")
        until(lambda: not zombies(pid), "what has ended is reaped")
        # A connection may still be closing.
        until(lambda: descriptors(pid) <= self.descriptors + 4,
              "descriptors back at their level of %d" % self.descriptors)
        check(not os.listdir(self.scratch), "files are left:", os.listdir(self.scratch))
        more = set(os.listdir(self.server.data)) - self.files
        check(not more, "files are left beside the store:", more)
        for what in ("processes", "descriptors", "files"):
            self.counts["%s left behind" % what] = 0

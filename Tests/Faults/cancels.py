"""Each kind of running job is cancelled, timed, and its processes looked for."""

import os
import time

from machine import check, descendants, is_alive, until
from promises import Promises


class Cancels(Promises):
    # Function, pool, and what the table calls it.
    CANCELS = [
        ("compute", "process", "Python that computes"),
        ("sleep_long", "process", "Python that sleeps"),
        ("ignore_the_signal", "process", "Python that ignores SIGTERM"),
        ("fork_a_grandchild", "process", "Python with a grandchild in a session of its own"),
        ("primes", "process", "native, in a worker"),
        ("wait_async", "async", "coroutine"),
        ("primes", "thread", "native, in a thread"),
        ("compute", "thread", "Python thread that computes"),
        ("sleep_long", "thread", "Python thread asleep in C"),
    ]

    def cancels(self):
        """Prints how long each took from the request to `cancelled`."""
        for function, pool, what in self.CANCELS:
            path = "%s/%s-%s" % (self.folder.name, function, pool)
            is_native = function == "primes"
            job = self.server.submit(
                function=function, pool=pool, args=[9_000_000_000 if is_native else path])
            until(lambda: self.server.wait(job, 0)["state"] == "running", what + " runs")
            noted = [] if is_native else [self.noted(path)]
            if is_native:
                time.sleep(0.3)
            there = set(self.workers())
            start = time.monotonic()
            self.server.call("POST", "/v1/jobs/%s/cancel" % job)
            document = self.server.wait(job, 30)
            took = time.monotonic() - start
            check(document["state"] == "cancelled", what, document)
            left = self.left_of(document, pool, noted, there, path)
            check(not left, what, "left", left)
            self.counts["running jobs cancelled, nothing of them left"] += 1
            print("cancel: %-50s %7.1f ms" % (what, took * 1000), flush=True)
        self.tidy()

    @staticmethod
    def noted(path):
        """The process id that the function has written."""
        until(lambda: os.path.exists(path), "the function begins")
        with open(path) as file:
            return int(file.read())

    def left_of(self, document, pool, noted, there, path):
        """What of a cancelled job still runs; it is looked at once, when the job is `cancelled`."""
        if pool == "process":
            # The worker goes with its job, and with it all that was below.
            worker = document["error"]["worker"]
            check(worker in there, "the worker was not there:", worker)
            return [pid for pid in [worker, *noted, *descendants(worker)] if is_alive(pid)]
        if path.endswith("primes-thread"):
            return self.busy_threads()
        # A thread or a coroutine ends in a worker that stays, and says so; or goes with its worker.
        return [] if os.path.exists(path + ".ended") or not is_alive(noted[0]) else noted

    def busy_threads(self):
        """Those of the server's own threads for native functions that go on computing; one that has
        just ended a call may be seen to run for a moment."""
        tasks = "/proc/%d/task/" % self.server.process.pid
        found = set(os.listdir(tasks))
        for _ in range(5):
            for name in list(found):
                with open(tasks + name + "/stat") as file:
                    label, rest = file.read().split("(", 1)[1].rsplit(")", 1)
                if label != "thread-pool" or rest.split()[0] != "R":
                    found.remove(name)
            time.sleep(0.02)
        return sorted(map(int, found))

"""Faults at random moments, and after each the promises that must hold.

    python3 faults.py        SEED=1 MINUTES=1.5 by default; `make faults SEED=7 MINUTES=20`

A client submits jobs all the time and keeps what was answered 202. A fault strikes; then every
acknowledged job must end as it should, none that succeeded may run again, every failure must be
blamed on what caused it, and no process may be left. The same seed gives the same faults in the
same order; the machine's own timing stays its own.
"""

import collections
import json
import os
import random
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "..", "Examples"))
sys.path.insert(0, os.path.join(HERE, "..", "EndToEnd"))
from server import Server  # noqa: E402
from test_full_disk import SmallDisk  # noqa: E402

BINARY = ".build/debug/martlet"
FUNCTIONS = HERE + "/functions"


class Broken(Exception):
    """A promise that did not hold."""


def check(condition, *what):
    if not condition:
        raise Broken(" ".join(map(str, what)))


def until(condition, what, seconds=30):
    deadline = time.monotonic() + seconds
    while not condition():
        check(time.monotonic() < deadline, "did not come true:", what)
        time.sleep(0.01)


def descendants(pid):
    """The processes below one, found by their parents; zombies left out."""
    parents = collections.defaultdict(list)
    for name in os.listdir("/proc"):
        if name.isdigit():
            state, parent = status_of(int(name))
            if state not in ("Z", None):
                parents[parent].append(int(name))
    found, open_ = [], [pid]
    while open_:
        below = parents[open_.pop()]
        found += below
        open_ += below
    return found


def status_of(pid):
    try:
        with open("/proc/%d/stat" % pid) as file:
            state, parent = file.read().rsplit(")", 1)[1].split()[:2]
            return state, int(parent)
    except OSError:
        return None, 0


def is_alive(pid):
    return status_of(pid)[0] not in ("Z", None)


def descriptors(pid):
    return len(os.listdir("/proc/%d/fd" % pid))


def memory(pid):
    """Bytes that the process has in memory."""
    with open("/proc/%d/statm" % pid) as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE")


class Suite:
    def __init__(self, seed, seconds):
        self.random = random.Random(seed)
        self.seconds = seconds
        self.counts = collections.Counter()
        self.folder = tempfile.TemporaryDirectory(prefix="martlet-faults-")
        self.notes = self.folder.name + "/notes"
        open(self.notes, "w").close()
        self.acknowledged = []  # names, as in the notes
        self.ids = {}
        # Jobs seen as succeeded, with how often they had run then.
        self.succeeded = {}
        self.server = Server(BINARY, FUNCTIONS, data=self.folder.name + "/data", processes=2,
                             threads=4)
        self.level = descriptors(self.server.process.pid)
        self.memory = None  # after the first round, when all is warm

    # --- Jobs --------------------------------------------------------------------------------

    def submit_some(self, count, seconds=0.02):
        for _ in range(count):
            name = "job-%d" % len(self.ids)
            function, pool = self.random.choice(
                [("work", "process"), ("work", "thread"), ("work_async", "async")])
            # A killed worker must not fail what it ran.
            body = {"function": function, "pool": pool, "args": [name, self.notes, seconds],
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
        return [pid for pid in descendants(self.server.process.pid)]

    def restart(self):
        """Starts the server again after its end; nothing of the old one may be left."""
        self.server.start()
        self.counts["server starts"] += 1

    def kill_server(self):
        below = self.workers()
        self.server.kill()
        until(lambda: not any(map(is_alive, below)), "workers end with their server", 5)

    # --- Faults ------------------------------------------------------------------------------

    def fault_kill_server(self):
        self.submit_some(10)
        time.sleep(self.random.random() * 0.2)
        self.kill_server()
        self.submit_some(1)
        self.restart()

    def fault_kill_worker(self):
        self.submit_some(15)
        time.sleep(self.random.random() * 0.1)
        below = self.workers()
        if below:
            os.kill(self.random.choice(below), signal.SIGKILL)

    def fault_stop_worker(self):
        """A worker that hangs is ended by the timeout of its job."""
        path = self.folder.name + "/stopped"
        job = self.server.submit(function="sleep_long", args=[path], timeout=2)
        until(lambda: os.path.exists(path), "the function begins")
        with open(path) as file:
            pid = int(file.read())
        os.unlink(path)
        os.kill(pid, signal.SIGSTOP)
        self.submit_some(5)
        document = self.server.wait(job, 30)
        check(document.get("error", {}).get("reason") == "timeout", document)
        check(not is_alive(pid), "a stopped worker outlived its job's timeout")
        self.counts["failures rightly blamed"] += 1

    def fault_blame(self):
        error = self.blamed("signal", function="end_by", args=[signal.SIGSEGV])
        check(error["signal"] == signal.SIGSEGV and error["worker"], error)
        error = self.blamed("exit", function="exit_with", args=[3])
        check(error["exit_status"] == 3, error)
        self.blamed("exception", function="raise_error")
        self.blamed("out_of_memory", function="want_memory", args=[900],
                    max_memory_bytes=400 << 20)
        self.blamed("timeout", function="work", args=["", "/dev/null", 60], timeout=0.3)
        self.blamed("exception", function="want_descriptors")
        document = self.server.wait(self.server.submit(
            function="end_by", args=[signal.SIGKILL], retry={"max_attempts": 9, "initial": 0}))
        check(document["attempt"] == 3, "a poisonous job had", document["attempt"], "attempts")

    def fault_cut_client(self):
        """Clients that leave in the middle of a body leave no job behind."""
        before = self.count_jobs()
        for _ in range(10):
            body = json.dumps({"function": "work", "args": ["cut", self.notes, 0]}).encode()
            with socket.create_connection(("127.0.0.1", self.server.port)) as client:
                client.sendall(b"POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Type: "
                               b"application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
                               + body[:self.random.randrange(len(body))])
        time.sleep(0.2)
        check(self.count_jobs() == before, "half a submission became a job")

    def count_jobs(self):
        queues = json.loads(self.server.call("GET", "/v1/queues")[2])["queues"]
        return sum(value for queue in queues for value in queue.values() if type(value) is int)

    def fault_locked_database(self):
        """Another program holds the write lock for a while; what is acknowledged is kept."""
        other = sqlite3.connect(self.server.data + "/martlet.sqlite", isolation_level=None)
        try:
            other.execute("BEGIN IMMEDIATE")
            path = "/v1/jobs/%s" % next(iter(filter(None, self.ids.values())), "0")
            check(self.server.call("GET", path)[0] in (200, 400, 404), "reads wait for the lock")
            time.sleep(self.random.random())
            other.execute("ROLLBACK")
        finally:
            other.close()
        self.submit_some(5)

    def fault_torn_log(self):
        """The end of the write-ahead log is torn, as by a power cut in the middle of a write."""
        self.submit_some(5)
        self.settle()
        self.kill_server()
        path = self.server.data + "/martlet.sqlite-wal"
        if os.path.exists(path):
            # What follows the last commit, which was synced, may hold anything.
            with open(path, "ab") as file:
                file.write(self.random.randbytes(self.random.randrange(1, 9000)))
        self.restart()

    def fault_corrupted_database(self):
        """A damaged file is refused with its name, and not made worse."""
        with tempfile.TemporaryDirectory() as folder:
            data = folder + "/data"
            os.mkdir(data)
            damaged = self.random.randbytes(8192)
            with open(data + "/martlet.sqlite", "wb") as file:
                file.write(damaged)
            ran = subprocess.run(
                [self.server.command[0], "serve", "--listen", "127.0.0.1:0", "--data", data],
                capture_output=True, text=True, timeout=20)
            check(ran.returncode != 0 and "martlet.sqlite" in ran.stderr, ran)
            with open(data + "/martlet.sqlite", "rb") as file:
                check(file.read() == damaged, "a damaged file was written to")

    def fault_few_processes(self):
        """A server whose user may start no more processes says so, and runs on."""
        if os.getuid() != 0 or not shutil.which("setpriv"):
            self.counts["skipped: no fork, not root"] += 1
            return
        with tempfile.TemporaryDirectory() as folder:
            os.chmod(folder, 0o777)
            user = 60_000 + self.random.randrange(5000)  # one who has no other processes
            launcher = folder + "/martlet"
            with open(launcher, "w") as file:
                file.write("#!/bin/sh\nulimit -u 200\nexec setpriv --reuid %d --regid %d"
                           " --clear-groups %s \"$@\"\n" % (user, user, self.server.command[0]))
            os.chmod(launcher, 0o755)
            if subprocess.run([launcher, "--version"], capture_output=True).returncode != 0:
                self.counts["skipped: no fork, binary not readable"] += 1
                return
            with Server(launcher, None, data=folder + "/data", threads=2) as server:
                pid = server.process.pid
                threads = len(os.listdir("/proc/%d/task" % pid))
                limit = ["setpriv", "--reuid", str(user), "--regid", str(user),
                         "--clear-groups", "prlimit", "--pid", str(pid)]
                subprocess.run(limit + ["--nproc=%d:" % (threads - 1)], check=True)
                document = server.wait(server.submit(
                    function="square", pool="process", args=[3]), 30)
                check(document.get("error", {}).get("reason") == "unavailable", document)
                subprocess.run(limit + ["--nproc=200:"], check=True)
                until(lambda: server.wait(server.submit(
                    function="square", pool="process", args=[3]), 20).get("result") == 9,
                      "workers start again")

    def fault_disk(self):
        """A disk that is full, then read-only: jobs, and a start, are refused, and none is lost."""
        try:
            disk = SmallDisk(16).__enter__()
        except unittest.SkipTest:
            self.counts["skipped: no disk can be mounted"] += 1
            return
        try:
            with Server(BINARY, None, data=disk.path + "/data", processes=1) as server:
                kept = [server.submit(function="echo", args=[i], delay=3600) for i in range(5)]
                self.refuse_for_want_of_room(server, disk, kept)
                server.kill()
                self.refuse_a_read_only_disk(server, disk)
                server.start()
                for job in kept:
                    check(server.wait(job, 0).get("state") == "queued", job, "is lost")
        finally:
            disk.__exit__()

    @staticmethod
    def refuse_a_read_only_disk(server, disk):
        # With its files open for writing a file system cannot be made read-only.
        subprocess.run(["mount", "-o", "remount,ro", disk.path], check=True)
        try:
            ran = subprocess.run(server.command, capture_output=True, text=True, timeout=20)
        finally:
            subprocess.run(["mount", "-o", "remount,rw", disk.path], check=True)
        check(ran.returncode == 1 and server.data in ran.stderr, "a read-only disk:", ran)

    @staticmethod
    def refuse_for_want_of_room(server, disk, kept):
        disk.fill()
        try:
            body = {"function": "echo", "args": ["x" * 100_000], "delay": 3600}
            refused = 0
            for _ in range(200):
                status, _, answer = server.call("POST", "/v1/jobs", body)
                if status == 202:
                    kept.append(json.loads(answer)["id"])
                    continue
                check(status == 507, status, answer)
                refused += 1
                if refused == 3:
                    break
            check(refused == 3, "the disk took everything")
            check(server.wait(kept[0], 0).get("state") == "queued", "reads go on")
        finally:
            disk.make_room()
        kept.append(server.submit(function="echo", args=[0], delay=3600))

    # --- Cancels -----------------------------------------------------------------------------

    CANCELS = [("compute", "process"), ("sleep_long", "process"), ("ignore_the_signal", "process"),
               ("fork_a_grandchild", "process"), ("primes", "process"), ("wait_async", "async")]

    def cancels(self):
        """Each kind of running job is cancelled; prints how long that took."""
        for function, pool in self.CANCELS:
            path = self.folder.name + "/" + function
            is_native = function == "primes"
            job = self.server.submit(
                function=function, pool=pool, args=[500_000_000 if is_native else path])
            until(lambda: self.server.wait(job, 0)["state"] == "running", function + " runs")
            if is_native:
                time.sleep(0.3)
                of_job = []
            else:
                until(lambda: os.path.exists(path), function + " begins")
                with open(path) as file:
                    of_job = [int(file.read())]
            start = time.monotonic()
            self.server.call("POST", "/v1/jobs/%s/cancel" % job)
            document = self.server.wait(job, 30)
            took = time.monotonic() - start
            check(document["state"] == "cancelled", function, document)
            if pool == "process":
                left = [pid for pid in of_job if is_alive(pid)]
                check(not left, function, "left processes", left)
            self.counts["running jobs cancelled"] += 1
            print("cancel of %-18s on %-8s %6.1f ms, no process of it remains"
                  % (function, pool, took * 1000))

    # --- The run -----------------------------------------------------------------------------

    def run(self):
        end = time.monotonic() + self.seconds
        self.cancels()
        faults = sorted(name for name in dir(self) if name.startswith("fault_"))
        while True:
            order = faults[:]
            self.random.shuffle(order)
            for name in order:
                try:
                    getattr(self, name)()
                    self.settle()
                except Broken as error:
                    raise Broken("after %s: %s\n%s" % (name, error, self.server.said()[-3000:]))
                self.counts[name.replace("_", " ")] += 1
            self.memory = self.memory or memory(self.server.process.pid)
            if time.monotonic() > end:
                break
        self.end()

    def end(self):
        pid = self.server.process.pid
        until(lambda: descriptors(pid) <= self.level + 16,
              "descriptors back at their level of %d" % self.level, 30)
        grown = memory(pid) - self.memory
        check(grown < 64 << 20, "memory has grown by", grown)
        below = self.workers()
        check(self.server.stop() == 0, "the server did not end well")
        check(not any(map(is_alive, below)), "a worker outlived the server")
        doctor = subprocess.run([self.server.command[0], "doctor", "--data", self.server.data],
                                capture_output=True, text=True, timeout=60)
        check(doctor.returncode == 0, "martlet doctor:", doctor.stdout, doctor.stderr)


def main():
    seed = int(os.environ.get("SEED") or 1)
    minutes = float(os.environ.get("MINUTES") or 1.5)
    print("seed %d, %g minutes" % (seed, minutes), flush=True)
    suite = Suite(seed, minutes * 60)
    try:
        suite.run()
    except Broken as error:
        print("BROKEN with seed %d: %s" % (seed, error))
        return 1
    finally:
        if suite.server.process.poll() is None:
            suite.server.kill()
        suite.folder.cleanup()
    for name, count in sorted(suite.counts.items()):
        print("%6d  %s" % (count, name))
    return 0


if __name__ == "__main__":
    sys.exit(main())

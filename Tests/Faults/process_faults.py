"""Faults of processes and of the machine they run on."""

import os
import resource
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import time
from email.utils import parsedate_to_datetime

from machine import check, is_alive, until
from promises import BINARY, FUNCTIONS, HERE, Promises, Server


class ProcessFaults(Promises):
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

    def fault_kill_the_worker_of_one(self):
        """Only the job that the worker ran notices; whoever waited behind it does not."""
        path = self.folder.name + "/once"
        one = self.server.submit(
            function="sleep_once", args=[path], retry={"max_attempts": 2, "initial": 0})
        until(lambda: os.path.exists(path), "the function begins")
        others = [self.server.submit(
            function="work", pool="process", args=["", os.devnull, 0.001],
            retry={"max_attempts": 2, "initial": 0}) for _ in range(30)]
        with open(path) as file:
            os.kill(int(file.read()), signal.SIGKILL)
        document = self.server.wait(one, 30)
        check((document["state"], document["attempt"]) == ("succeeded", 2), document)
        check(document["failed_attempts"][0]["error"]["reason"] == "signal", document)
        os.unlink(path)
        for job in others:
            document = self.server.wait(job, 30)
            check((document["state"], document["attempt"]) == ("succeeded", 1), document)
        self.counts["jobs run again after their worker was killed"] += 1
        self.counts["jobs beside a killed worker, none hurt"] += len(others)

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

    def fault_no_descriptors(self):
        """The server itself has no descriptor left, while a worker is to be replaced."""
        self.submit_some(5, seconds=0.3)
        pid = self.server.process.pid
        _, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        highest = max(int(name) for name in os.listdir("/proc/%d/fd" % pid))
        # A worker wants some: they run out sometimes before and sometimes in its start.
        most = highest + 1 + self.random.randrange(10)
        before = resource.prlimit(pid, resource.RLIMIT_NOFILE, (most, hard))
        clients = []
        try:
            os.kill(self.random.choice(self.workers()), signal.SIGKILL)
            for _ in range(self.random.randrange(10)):
                clients.append(socket.create_connection(("127.0.0.1", self.server.port), 5))
                clients[-1].sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
            time.sleep(0.5 + self.random.random())
            check(self.server.process.poll() is None, "the server ended")
        finally:
            resource.prlimit(pid, resource.RLIMIT_NOFILE, before)
            for client in clients:
                client.close()
        self.submit_some(5)

    def fault_clock(self):
        """The wall clock jumps an hour: timeouts, delays, retries and results keep their time."""
        with tempfile.TemporaryDirectory() as folder:
            library, clock = folder + "/clock.so", folder + "/clock"
            built = subprocess.run(
                [shutil.which("clang") or "cc", "-shared", "-fPIC", "-o", library,
                 HERE + "/clock.c"])
            check(built.returncode == 0, "the library that sets the clock")
            with open(clock, "wb") as file:
                file.write(bytes(8))
            os.environ.update(LD_PRELOAD=library, CLOCK=clock)
            try:
                server = Server(BINARY, FUNCTIONS, data=folder + "/data", processes=1, threads=4)
            finally:
                del os.environ["LD_PRELOAD"], os.environ["CLOCK"]
            with server:
                until(lambda: server.call("GET", "/v1/functions/work")[0] == 200, "Python starts")
                for hours in (1, 0, -1):
                    self.jump(server, clock, hours, folder)

    def jump(self, server, clock, hours, folder):
        path = folder + "/fails-once-%d" % hours
        kept = server.submit(function="echo", args=[1], keep=60)
        server.wait(kept)
        began = time.monotonic()
        lasting = server.submit(function="work", pool="thread", args=["", os.devnull, 1.5],
                                timeout=20)
        ending = server.submit(function="work", pool="process", args=["", os.devnull, 60],
                               timeout=1.5)
        delayed = server.submit(function="echo", args=[2], delay=1.5)
        retried = server.submit(function="fail_once", pool="thread", args=[path],
                                retry={"max_attempts": 2, "initial": 1.5})
        until(lambda: os.path.exists(path), "the function fails")
        shown = server.call("GET", "/healthz")[1]["Date"]
        with open(clock, "r+b") as file:
            file.write(struct.pack("=q", hours * 3600))
        until(lambda: abs(self.seconds_since(server, shown)) > 1800, "the clock jumps", 10)
        check(server.wait(lasting)["state"] == "succeeded", "a timeout misfired")
        error = server.wait(ending).get("error", {})
        check(error.get("reason") == "timeout", "a timeout did not fire", error)
        for job in (delayed, retried):
            document = server.wait(job)
            check(document["state"] == "succeeded", document)
        took = time.monotonic() - began
        check(1.3 < took < 15, "delays of 1.5 s took", took)
        check(server.call("GET", "/v1/jobs/%s/result" % kept)[0] == 200, "a result expired")
        self.counts["jumps of the clock by an hour"] += 1

    @staticmethod
    def seconds_since(server, shown):
        """How far the server's clock has gone since it showed that."""
        now = parsedate_to_datetime(server.call("GET", "/healthz")[1]["Date"])
        return (now - parsedate_to_datetime(shown)).total_seconds()

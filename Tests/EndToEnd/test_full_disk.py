"""A disk that is really full, under the data folder: nothing is lost, and nothing is promised."""

import contextlib
import json
import os
import sqlite3
import subprocess
import tempfile
import unittest

from description import Description
from service import BINARY, FUNCTIONS, Server, ServiceTestCase


class SmallDisk:
    """A tmpfs of some megabytes that can be filled to the last byte; use it with `with`."""

    def __init__(self, megabytes):
        self.folder = tempfile.TemporaryDirectory()
        self.path = self.folder.name + "/disk"
        os.mkdir(self.path)
        self.size = "size=%dm" % megabytes

    def __enter__(self):
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", self.size, "tmpfs", self.path],
            capture_output=True, text=True)
        if mounted.returncode != 0:
            self.folder.cleanup()
            raise unittest.SkipTest("no file system can be mounted: " + mounted.stderr.strip())
        return self

    def __exit__(self, *unused):
        subprocess.run(["umount", "--lazy", self.path], check=True)
        self.folder.cleanup()

    def fill(self):
        """Leaves no byte free."""
        with open(self.path + "/filler", "ab", buffering=0) as file:
            for size in (1 << 16, 1 << 12, 1):
                try:
                    while True:
                        file.write(b"\0" * size)
                except OSError:
                    continue

    def make_room(self):
        os.unlink(self.path + "/filler")


class FullDiskTests(ServiceTestCase):
    @classmethod
    def setUpClass(cls):
        pass  # its server stands on a disk of its own

    def setUp(self):
        self.disk = self.enterContext(SmallDisk(16))
        self.server = self.enterContext(Server(BINARY, FUNCTIONS, data=self.disk.path + "/data"))
        self.outside = self.enterContext(tempfile.TemporaryDirectory())
        self.description = Description(self.server.call("GET", "/openapi.yaml")[2])

    def submit(self, body, path="/v1/jobs"):
        """The ids of the jobs; none if the disk had no room for them."""
        answer = self.server.call("POST", path, body)
        self.description.check("POST", path, answer)
        if answer[0] == 202:
            document = json.loads(answer[2])
            return [job["id"] for job in document.get("jobs", [document])]
        self.assertProblem(answer, 507, "store-full")
        return []

    def submit_until_full(self, length):
        """Jobs that were taken before the room was at its end, which must come."""
        taken = []
        for _ in range(500):
            job = self.submit({"function": "echo", "args": ["x" * length], "delay": 3600})
            if not job:
                return taken
            taken += job
        self.fail("the disk never became full")

    def blocked_jobs(self, gate):
        """A call and a map that run until there is a file `gate`."""
        notes = self.outside + "/notes"
        call = self.server.submit(function="note_when_open", args=["call", gate, notes])
        map_ = self.server.submit(
            function="note_when_open", pool="thread", spread=True,
            map=[["item %d" % i, gate, notes] for i in range(4)])
        for job in (call, map_):
            self.await_state(job, "running")
        self.until(lambda: self.get("/v1/queues") == {
            "queues": [{"name": "default", "running": 2, "succeeded": 1}]})
        return call, map_

    def test_a_full_disk_refuses_jobs_and_loses_none(self):
        gate = self.outside + "/gate"
        first = self.server.submit(function="square", args=[12])
        self.assertEqual(self.server.result(first), 144)
        running = self.blocked_jobs(gate)

        self.disk.fill()
        taken = self.submit_until_full(50_000) + self.submit_until_full(1)
        for _ in range(3):
            self.assertEqual(self.submit({"function": "echo", "args": ["x" * 50_000]}), [])
            self.assertEqual(self.submit([{"function": "echo", "args": [1]}] * 50,
                                         "/v1/jobs/batch"), [])

        # What is there can be read.
        self.assertEqual(self.server.result(first), 144)
        self.assertEqual(len(self.get("/v1/jobs?limit=1000")["jobs"]), 3 + len(taken))
        for job in running:
            self.assertEqual(self.server.wait(job, 0)["state"], "running")
        for path in ("/v1/queues", "/v1/pools", "/v1/functions", "/healthz"):
            self.get(path)

        # What runs ends, but its end has no room: it is not told before it is durable.
        open(gate, "w").close()
        self.until(lambda: self.text_of("/notes").count("\n") == 5)
        self.until(lambda: "cannot write a job" in self.server.said())
        for job in running:
            self.assertEqual(self.server.wait(job, 0)["state"], "running")

        self.disk.make_room()
        self.assertEqual(self.server.result(running[0]), "call")
        self.assertEqual(self.server.result(running[1]), ["item %d" % i for i in range(4)])
        self.assertEqual(self.server.run(function="square", args=[3]), 9)

        # All that was taken outlives the server, and nothing else is there.
        self.server.kill()
        self.server.start()
        wanted = {first, *running, *taken}
        found = {job["id"]: job for job in self.get("/v1/jobs?limit=1000")["jobs"]}
        self.assertEqual(wanted - set(found), set())
        self.assertEqual(len(found), len(wanted) + 1)
        for job in running:
            self.assertEqual((found[job]["state"], found[job]["attempt"]), ("succeeded", 1))

    def test_files_have_no_room_either_and_leave_nothing(self):
        gate, large = self.outside + "/gate", "x" * (2 << 20)
        running = self.server.submit(
            function="note_when_open", args=[large, gate, self.outside + "/notes"])
        self.await_state(running, "running")
        taken = self.submit_until_full(3 << 20)
        self.disk.fill()
        for _ in range(3):
            self.assertEqual(self.submit({"function": "echo", "args": [large]}), [])
        self.assertEqual(self.files(), self.named(1 + len(taken)))

        # Its result waits for room, and leaves nothing of its vain attempts.
        open(gate, "w").close()
        self.until(lambda: "cannot write a job" in self.server.said())
        self.assertEqual(self.server.wait(running, 0)["state"], "running")
        self.disk.make_room()
        self.assertEqual(self.server.call("DELETE", "/v1/jobs/" + taken.pop())[0], 204)
        self.assertEqual(self.server.result(running), large)
        self.until(lambda: self.files() == self.named(2 + len(taken)))

    def files(self):
        return sorted(os.listdir(self.disk.path + "/data/payloads"))

    def named(self, count):
        """The files that the store's rows name, which must be so many."""
        store = sqlite3.connect(
            "file:%s/data/martlet.sqlite?mode=ro" % self.disk.path, uri=True)
        with contextlib.closing(store):
            names = sorted(name for name, in store.execute("SELECT file FROM payloads"))
        self.assertEqual(len(names), count)
        return names

    def text_of(self, name):
        """What the functions have written; empty when nothing yet."""
        try:
            with open(self.outside + name) as file:
                return file.read()
        except FileNotFoundError:
            return ""


if __name__ == "__main__":
    unittest.main()

"""Faults of the disk, the store and of clients in the middle of a request."""

import json
import os
import socket
import sqlite3
import struct
import subprocess
import tempfile
import time
import unittest

from machine import check
from promises import BINARY, Promises, Server
from test_full_disk import SmallDisk


class LogFile:
    """SQLite's write-ahead log as it lies there (sqlite.org/fileformat2.html, section 4)."""

    HEADER, FRAME_HEADER = 32, 24

    def __init__(self, path):
        with open(path, "rb") as file:
            data = file.read()
        self.page_bytes = struct.unpack(">I", data[8:12])[0]
        self.salt = data[16:24]
        # Pages of the frames of this generation; those behind them are left from the one before.
        self.pages = []
        size = self.FRAME_HEADER + self.page_bytes
        for place in range(self.HEADER, len(data) - size + 1, size):
            if data[place + 8:place + 16] != self.salt:
                break
            self.pages.append(struct.unpack(">I", data[place:place + 4])[0])

    def place(self, frame):
        """Where a frame begins in the file."""
        return self.HEADER + frame * (self.FRAME_HEADER + self.page_bytes)


class StorageFaults(Promises):
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

    def fault_kill_after_acknowledgement(self):
        """A thousand jobs are acknowledged, and the server is killed at once: all are there."""
        tag = "thousand-%d" % self.counts["fault kill after acknowledgement"]
        body = [{"function": "echo", "args": [i], "delay": 3600, "tags": [tag]}
                for i in range(1000)]
        status, _, answer = self.server.call("POST", "/v1/jobs/batch", body)
        check(status == 202, status, answer)
        self.kill_server()
        self.restart()
        left = json.loads(self.server.call("POST", "/v1/jobs/cancel?tag=" + tag)[2])["jobs"]
        check(left == 1000, "of 1000 acknowledged jobs are left", left)
        self.counts["acknowledged jobs left after kill -9, of 1000 each"] += left

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

    def fault_torn_commit(self):
        """The power fails in the middle of a commit: what was acknowledged before it is there."""
        self.submit_some(5)
        self.settle()
        path = self.server.data + "/martlet.sqlite-wal"
        before = LogFile(path)
        known = len(self.acknowledged)
        self.submit_some(5)
        self.kill_server()
        after = LogFile(path)
        if after.salt == before.salt and len(after.pages) > len(before.pages):
            # These were not acknowledged when the power failed.
            del self.acknowledged[known:]
            frame = self.random.randrange(len(before.pages), len(after.pages))
            start = after.place(frame) + self.random.randrange(after.place(1) - after.place(0))
            self.overwrite(path, start, after.place(len(after.pages)) - start)
            self.counts["commits torn"] += 1
        self.verify(files_may_be_left=True)
        self.restart()

    def fault_torn_page(self):
        """The power fails while the log is copied into the file: half a page is written."""
        self.submit_some(5)
        self.settle()
        self.kill_server()
        log = LogFile(self.server.data + "/martlet.sqlite-wal")
        path = self.server.data + "/martlet.sqlite"
        for page in self.random.sample(sorted(set(log.pages)), min(3, len(set(log.pages)))):
            place = (page - 1) * log.page_bytes
            if place + log.page_bytes <= os.path.getsize(path):
                self.overwrite(path, place + log.page_bytes // 2, log.page_bytes // 2)
                self.counts["pages torn"] += 1
        self.verify(files_may_be_left=True)
        self.restart()

    def overwrite(self, path, start, count):
        with open(path, "r+b") as file:
            file.seek(start)
            file.write(self.random.randbytes(count))

    def verify(self, files_may_be_left=False):
        """`martlet doctor` finds nothing to mend, but for files whose jobs were not committed; those
        the next start removes."""
        doctor = subprocess.run([self.server.command[0], "doctor", "--data", self.server.data],
                                capture_output=True, text=True, timeout=60)
        found = [line for line in doctor.stdout.splitlines() if line.startswith("wrong: ")]
        if files_may_be_left and found and all("files belong to no job" in line for line in found):
            return
        check(doctor.returncode == 0, "martlet doctor:", doctor.stdout, doctor.stderr)

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

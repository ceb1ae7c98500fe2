"""Arguments and results too large for the database: files beside it, through crashes and all."""

import http.client
import json
import os
import random
import shutil
import socket
import sqlite3
import subprocess
import tempfile
import threading
import time
import unittest

from service import BINARY, FUNCTIONS, IS_SANITIZED, ROOT, Server, ServiceTestCase

LARGE = 3 << 20


class PayloadTests(ServiceTestCase):
    @classmethod
    def setUpClass(cls):
        pass  # each test has a server of its own

    def setUp(self):
        self.folder = self.enterContext(tempfile.TemporaryDirectory())
        self.data = self.folder + "/data"

    def serve(self, *more, functions=None):
        self.server = self.enterContext(
            Server(BINARY, functions, data=self.data, more=more))
        return self.server

    def files(self):
        """Names and sizes of the files, and of those that the store's rows name."""
        there = {}
        for name in os.listdir(self.data + "/payloads"):
            try:
                there[name] = os.path.getsize(self.data + "/payloads/" + name)
            except FileNotFoundError:
                pass  # just removed
        store = sqlite3.connect("file:%s/martlet.sqlite?mode=ro" % self.data, uri=True)
        try:
            return there, dict(store.execute("SELECT file, bytes FROM payloads"))
        finally:
            store.close()

    def await_files(self, count):
        """Waits until so many files are there, and those that rows name."""
        def agree():
            there, named = self.files()
            return there == named and len(there) == count
        self.until(agree)

    def test_all_that_shows_a_large_result_gives_it_whole(self):
        self.serve()
        text = random.randbytes(LARGE // 2).hex()
        # Kept as it was sent, white space too.
        sent = b'{"function": "echo",  "args": [ "%s" ], "keep": 60, "cache": 60}' % text.encode()
        status, _, body = self.server.call(
            "POST", "/v1/jobs", sent, headers={"Prefer": "wait=30"})
        self.assertEqual(status, 200)
        job = json.loads(body)
        self.assertEqual((job["state"], job["result"]), ("succeeded", text))
        path = "/v1/jobs/" + job["id"]
        self.await_files(2)

        status, fields, body = self.server.call("GET", path)
        self.assertEqual((status, fields["Content-Length"]), (200, str(len(body))))
        self.assertEqual(json.loads(body), job)
        tag = fields["ETag"]
        self.assertEqual(
            self.server.call("GET", path, headers={"If-None-Match": tag})[::2], (304, b""))
        head = self.server.call("HEAD", path)
        self.assertEqual((head[1]["Content-Length"], head[2]), (str(len(body)), b""))
        self.assertEqual(
            self.server.call("GET", path + "/submission")[2], sent)
        self.assertEqual(
            self.server.call("GET", path + "/result", headers={"Range": "bytes=2000000-2000009"})[::2],
            (206, text[1_999_999:2_000_009].encode()))
        # Another submission that it answers.
        status, fields, body = self.server.call("POST", "/v1/jobs", sent)
        self.assertEqual((status, fields["Martlet-Existing"]), (200, "cache"))
        self.assertEqual(json.loads(body), job)
        # An end that is waited for.
        later = self.server.submit(function="echo", args=[text], delay=0.3)
        self.assertEqual(self.server.wait(later)["result"], text)
        self.assertEqual(len(self.get("/v1/jobs")["jobs"]), 2)
        self.await_files(4)

        # A retry has a result of its own.
        self.assertEqual(self.server.call("POST", path + "/retry")[0], 202)
        self.assertEqual(self.server.result(job["id"]), text)
        self.await_files(4)
        for each in (job["id"], later):
            self.assertEqual(self.server.call("DELETE", "/v1/jobs/" + each)[0], 204)
        self.await_files(0)

    def test_the_same_key_is_compared_with_large_arguments(self):
        self.serve()
        body = {"function": "echo", "args": ["x" * LARGE], "delay": 3600}
        key = {"Idempotency-Key": "large"}
        first = self.server.call("POST", "/v1/jobs", body, headers=key)
        again = self.server.call("POST", "/v1/jobs", body, headers=key)
        self.assertEqual(json.loads(first[2])["id"], json.loads(again[2])["id"])
        body["args"] = ["x" * (LARGE - 1) + "y"]
        self.problem("POST", "/v1/jobs", 422, "idempotency-key-reused", body=body, headers=key)
        self.await_files(1)

    def test_batches_come_whole_and_results_are_gone_in_time(self):
        self.serve("--max-inline-bytes", "65536")
        jobs = [{"function": "echo", "args": [str(n) * 100_000], "keep": 0.01} for n in range(5)]
        status, _, body = self.server.call("POST", "/v1/jobs/batch", jobs)
        self.assertEqual(status, 202)
        ids = [job["id"] for job in json.loads(body)["jobs"]]
        for job in ids:
            self.assertEqual(self.server.wait(job)["state"], "succeeded")
        self.await_files(10)  # until the janitor comes
        time.sleep(0.02)  # longer than they are kept
        self.assertEqual(self.server.call("GET", "/v1/jobs/%s/result" % ids[0])[0], 410)

    def test_nothing_that_was_taken_is_lost_by_kills_at_random_moments(self):
        seed = int(os.environ.get("SEED", time.time()))
        print("SEED=%d" % seed, flush=True)
        chance = random.Random(seed)
        self.serve("--max-inline-bytes", "65536", functions=FUNCTIONS)
        taken = {}
        for _ in range(6):
            stop = threading.Event()
            clients = [threading.Thread(target=self.submit_until, args=(stop, taken, number))
                       for number in range(4)]
            for client in clients:
                client.start()
            time.sleep(chance.uniform(0.05, 0.8))
            self.server.kill()
            stop.set()
            for client in clients:
                client.join()
            self.server.start()
        self.assertGreater(len(taken), 10)
        for job, text in taken.items():
            self.assertEqual(self.server.result(job), text)
        # Jobs whose clients were not told are there too, whole; nothing else.
        jobs, cursor = [], ""
        while cursor is not None:
            page = self.get("/v1/jobs?limit=500" + (cursor and "&cursor=" + cursor))
            jobs += page["jobs"]
            cursor = page["next_cursor"]
        for job in jobs:
            self.server.result(job["id"])
        self.await_files(2 * len(jobs))
        said = subprocess.run(
            [ROOT + "/" + BINARY, "doctor", "--data", self.data], capture_output=True, text=True)
        self.assertEqual(said.returncode, 0, said.stdout)

    def test_a_call_that_has_ended_leaves_no_memory_behind(self):
        self.serve(functions=FUNCTIONS)

        def resident():
            # Without code, which the server gives back and fetches as it runs it.
            with open("/proc/%d/status" % self.server.process.pid) as file:
                return next(int(line.split()[1]) >> 10 for line in file
                            if line.startswith("RssAnon:"))

        for pool in ("thread", "process", "async"):
            def run(times):
                for _ in range(times):
                    self.server.run(function="echo", pool=pool, args=["x" * 2_000_000])
            run(3)
            before = resident()
            run(15)
            if not IS_SANITIZED:
                self.assertLess(resident() - before, 20, pool)

    def submit_until(self, stop, taken, number):
        while not stop.is_set():
            text = "%d-" % number + "%x" % random.getrandbits(64) + "z" * 200_000
            try:
                taken[self.server.submit(function="echo", args=[text])] = text
            except (OSError, http.client.HTTPException, RuntimeError):
                return  # the server was killed; what it has taken it has said

    def test_a_backup_is_one_file_and_restores_large_jobs(self):
        self.serve()
        text = "x" * LARGE
        done = self.server.submit(function="echo", args=[text])
        waiting = self.server.submit(function="echo", args=[text + "y"], delay=2)
        self.assertEqual(self.server.result(done), text)
        copy = self.folder + "/copy.sqlite"
        subprocess.run([ROOT + "/" + BINARY, "backup", copy, "--data", self.data],
                       check=True, capture_output=True)
        self.assertGreater(os.path.getsize(copy), 3 * LARGE)
        self.server.stop()
        self.data = self.folder + "/restored"
        os.mkdir(self.data)
        shutil.copy(copy, self.data + "/martlet.sqlite")
        self.serve()
        self.assertEqual(self.server.result(done), text)
        self.assertEqual(self.server.result(waiting), text + "y")

    def test_a_result_that_is_being_fetched_stays_whole_when_its_job_goes(self):
        self.serve()
        # More than the kernel takes for a client that does not read.
        text = random.randbytes(8 << 20).hex()
        job = self.server.submit(function="echo", args=[text])
        self.assertEqual(self.server.wait(job)["state"], "succeeded")
        clients = []
        for path in ("/v1/jobs/%s/result" % job, "/v1/jobs/" + job):
            client = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=30)
            self.addCleanup(client.close)
            client.connect()
            client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
            client.request("GET", path)
            clients.append(client.getresponse())
            self.assertEqual(clients[-1].status, 200)
        first = clients[1].read(1 << 20)
        self.assertEqual(self.server.call("DELETE", "/v1/jobs/" + job)[0], 204)
        self.await_files(0)
        self.assertTrue(clients[0].read() == b'"%s"' % text.encode())
        self.assertEqual(json.loads(first + clients[1].read())["result"], text)
        self.assertEqual(self.server.call("GET", "/v1/jobs/%s/result" % job)[0], 404)

    def test_a_result_that_the_disk_alone_has_is_sent_as_any_other(self):
        self.serve()
        text = random.randbytes(4 << 20).hex()
        job = self.server.submit(function="echo", args=[text])
        self.assertEqual(self.server.wait(job)["state"], "succeeded")
        self.await_files(2)
        for name in os.listdir(self.data + "/payloads"):
            file = os.open(self.data + "/payloads/" + name, os.O_RDONLY)
            os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(file)
        self.assertTrue(self.server.call("GET", "/v1/jobs/%s/result" % job)[2]
                        == b'"%s"' % text.encode())

    def test_a_missing_file_is_named_and_hurts_nobody_else(self):
        self.serve()
        jobs = [self.server.submit(function="echo", args=[str(n) * LARGE]) for n in range(2)]
        for job in jobs:
            self.server.wait(job)
        self.server.stop()
        for name in os.listdir(self.data + "/payloads"):
            if name.startswith(jobs[0]):
                os.unlink(self.data + "/payloads/" + name)
        said = subprocess.run(
            [ROOT + "/" + BINARY, "doctor", "--data", self.data], capture_output=True, text=True)
        self.assertEqual(said.returncode, 1)
        self.assertIn("2 files are not there", said.stdout)
        self.server.start()
        self.assertEqual(self.server.result(jobs[1]), "1" * LARGE)
        for path in ("/v1/jobs/%s/submission" % jobs[0], "/v1/jobs/%s/result" % jobs[0]):
            try:
                status, _, body = self.server.call("GET", path)
            except http.client.IncompleteRead:
                continue  # seen to be cut
            self.assertGreaterEqual(status, 400, body[:99])
        self.assertEqual(self.server.run(function="square", args=[3]), 9)
        self.assertEqual(self.server.call("DELETE", "/v1/jobs/" + jobs[0])[0], 204)
        self.await_files(2)

    def test_a_thousand_clients_that_do_not_read_hold_little(self):
        self.serve()
        job = self.server.submit(function="echo", args=["x" * (6 << 20)])
        self.assertEqual(self.server.wait(job)["state"], "succeeded")
        paths = ["/v1/jobs/" + job, "/v1/jobs/%s/submission" % job, "/v1/jobs/%s/result" % job]
        before, clients = self.memory(), []
        try:
            for number in range(1000):
                client = socket.socket()
                clients.append(client)
                client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                client.connect(("127.0.0.1", self.server.port))
                client.sendall(b"GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n"
                               % paths[number % 3].encode())
            most, deadline = 0, time.monotonic() + 4
            while time.monotonic() < deadline:
                most = max(most, self.memory())
                self.assertEqual(self.server.call("GET", "/healthz")[0], 200)
                time.sleep(0.1)
        finally:
            for client in clients:
                client.close()
        # 6 GB, if each had its own.
        if not IS_SANITIZED:
            self.assertLess((most - before) >> 20, 200, "MiB more than before")

    def memory(self):
        with open("/proc/%d/statm" % self.server.process.pid) as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


if __name__ == "__main__":
    unittest.main()

"""The store under the hands of those who look after it: backup, compact, doctor, bounds, keys."""

import json
import os
import shutil
import sqlite3
import subprocess
import tempfile
import unittest

from service import BINARY, ROOT, Server, ServiceTestCase


class StoreTests(ServiceTestCase):
    @classmethod
    def setUpClass(cls):
        pass  # each test has a server of its own

    def setUp(self):
        self.folder = self.enterContext(tempfile.TemporaryDirectory())
        self.data = self.folder + "/deep/er/data"

    def serve(self, *more, data=None):
        self.server = self.enterContext(Server(BINARY, None, data=data or self.data, more=more))
        return self.server

    def martlet(self, *arguments, status=0):
        """What a command of the binary says."""
        run = subprocess.run(
            [os.path.join(ROOT, BINARY), *arguments], stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, timeout=60)
        self.assertEqual(run.returncode, status, run.stdout)
        return run.stdout

    def ask(self, sql):
        database = sqlite3.connect(self.data + "/martlet.sqlite")
        with database:
            found = database.execute(sql).fetchall()
        database.close()
        return found

    def test_a_backup_beside_the_server_brings_all_back(self):
        self.serve()
        done = self.server.submit(function="square", args=[12], tags=["kept"])
        self.server.wait(done)
        later = self.server.submit(function="square", args=[5], delay=3600)
        copy = self.folder + "/copy.sqlite"
        self.assertIn("bytes", self.martlet("backup", copy, "--data", self.data))
        self.assertIn("there already", self.martlet("backup", copy, "--data", self.data, status=1))
        lost = self.server.submit(function="square", args=[6])
        self.assertEqual(self.server.stop(), 0)

        restored = self.folder + "/restored"
        os.mkdir(restored)
        shutil.copy(copy, restored + "/martlet.sqlite")
        self.assertIn("2 jobs, sound", self.martlet("doctor", "--data", restored))
        self.serve(data=restored)
        self.assertEqual(self.server.result(done), 144)
        self.assertEqual(self.server.wait(later, 0)["state"], "queued")
        self.assertEqual(self.server.call("GET", "/v1/jobs/" + lost)[0], 404)
        self.assertEqual([job["id"] for job in self.get("/v1/jobs?tag=kept")["jobs"]], [done])

    def test_compacting_wants_the_server_stopped(self):
        self.serve()
        jobs = [self.server.submit(function="square", args=[n], delay=3600, tags=["x" * 100] * 1)
                for n in range(20)]
        large = self.server.submit(function="square", map=[12345] * 200_000, delay=3600)
        self.assertIn("in use", self.martlet("compact", "--data", self.data, status=1))
        self.assertEqual(self.server.call("DELETE", "/v1/jobs/" + large)[0], 204)
        self.server.stop()
        size = os.path.getsize(self.data + "/martlet.sqlite")
        self.martlet("compact", "--data", self.data)
        self.assertLess(os.path.getsize(self.data + "/martlet.sqlite"), size / 5)
        self.server.start()
        self.assertEqual(len(self.get("/v1/jobs")["jobs"]), len(jobs))

    def test_the_doctor_mends_what_the_server_then_serves(self):
        self.serve()
        jobs = [self.server.submit(function="square", args=[n], tags=["t"]) for n in range(5)]
        for job in jobs:
            self.server.wait(job)
        self.assertIn("sound, in use", self.martlet("doctor", "--data", self.data))
        self.server.stop()
        self.ask("UPDATE buckets SET count = 77")
        self.ask("DELETE FROM job_tags")
        self.ask("INSERT INTO items VALUES (9, 0, 1, x'31', NULL)")
        said = self.martlet("doctor", "--data", self.data, status=1)
        self.assertEqual(said.count("wrong:"), 3, said)
        said = self.martlet("doctor", "--repair", "--data", self.data)
        self.assertEqual(said.count("mended:"), 3, said)
        self.server.start()
        self.assertEqual(self.get("/v1/queues")["queues"], [{"name": "default", "succeeded": 5}])
        self.assertEqual(len(self.get("/v1/jobs?tag=t&state=succeeded")["jobs"]), 5)

    def test_a_damaged_file_is_named_by_all_and_left_as_it_is(self):
        self.serve()
        for n in range(200):
            self.server.submit(function="square", args=["x" * 500], delay=3600)
        self.server.stop()
        path = self.data + "/martlet.sqlite"
        with open(path, "r+b") as file:
            for page in range(4, os.path.getsize(path) // 4096):
                file.seek(page * 4096)
                file.write(b"\x5a" * 200)
        with open(path, "rb") as file:
            damaged = file.read()
        self.assertIn("malformed", self.martlet("doctor", "--data", self.data, status=1))
        copy = self.folder + "/copy"
        self.martlet("backup", copy, "--data", self.data, status=1)
        self.assertEqual([name for name in os.listdir(self.folder) if "copy" in name], [])
        self.martlet("compact", "--data", self.data, status=1)
        with open(path, "rb") as file:
            self.assertEqual(file.read(), damaged)
        with open(path, "r+b") as file:
            file.write(b"no database")
        self.assertIn("not a database", self.martlet("doctor", "--data", self.data, status=1))
        self.assertIn("no store", self.martlet("doctor", "--data", self.folder, status=1))

    def test_a_store_with_a_bound_refuses_what_is_too_much(self):
        self.serve("--max-store-bytes", "2000000")
        first = self.server.run(function="square", args=[3])
        self.assertEqual(first, 9)
        status = 202
        for _ in range(100):
            if status != 202:
                break
            status, _, body = self.server.call(
                "POST", "/v1/jobs", {"function": "square", "args": ["x" * 50_000], "delay": 3600})
        self.assertEqual(status, 507, body)
        self.assertEqual(json.loads(body)["type"], "urn:martlet:problem:store-full")
        self.assertLess(os.path.getsize(self.data + "/martlet.sqlite"), 2_100_000)

    def test_a_search_finds_ids_functions_and_tags(self):
        self.serve()
        job = self.server.submit(function="square", args=[3], tags=["blue"], delay=3600)
        self.server.submit(function="echo", args=[3], delay=3600)
        for text in (job, job[:-6], "squ", "blue"):
            found = self.get("/v1/jobs?search=" + text)["jobs"]
            self.assertEqual([each["id"] for each in found], [job], text)
        self.assertEqual(self.get("/v1/jobs?search=bl")["jobs"], [])
        self.assertEqual(len(self.get("/v1/jobs?search=" + job[:6])["jobs"]), 2)

    def test_delayed_jobs_of_all_pools_start_in_their_time(self):
        self.serve()
        jobs = [self.server.submit(function="square", args=[n], pool=pool, delay=delay)
                for n, (pool, delay) in enumerate(
                    [("thread", 0.3), ("process", 0.3), ("thread", 0.1), ("process", 0.6)])]
        self.assertEqual([self.server.result(job) for job in jobs], [0, 1, 4, 9])
        # One that an earlier server was given.
        job = self.server.submit(function="square", args=[7], delay=1)
        self.server.kill()
        self.server.start()
        self.assertEqual(self.server.result(job), 49)


if __name__ == "__main__":
    unittest.main()

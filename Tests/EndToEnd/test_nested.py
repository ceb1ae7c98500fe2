"""Jobs that wait for jobs, in pools with hardly a slot; jobs that take several slots."""

import http.client
import json
import os
import socket
import ssl
import subprocess
import tempfile
import time
import unittest

from service import BINARY, ServiceTestCase

TOKEN = "a-token-of-some-length"


class NestedTests(ServiceTestCase):
    settings = {"processes": 1, "threads": 1, "more": ("--async-limit", "1")}

    def test_jobs_wait_for_jobs_deeper_than_there_are_slots(self):
        self.assertEqual(self.server.run(function="depth", args=[5]), 5)

    def test_items_of_a_map_wait_for_jobs(self):
        result = self.server.run(function="depth", map=[2] * 12, chunk=1)
        self.assertEqual(result, [2] * 12)
        self.assertEqual(self.server.run(function="depth", map=[1] * 6, chunk=3), [1] * 6)

    def test_a_job_reads_the_items_of_a_map_that_it_submits(self):
        self.assertEqual(self.server.run(function="sum_of_map", args=[[1, 2, 3]]), 14)

    def test_threads_and_coroutines_wait_for_jobs(self):
        self.assertEqual(self.server.run(function="threaded_depth", args=[4]), 4)
        self.assertEqual(self.server.run(function="later_depth", args=[4]), 4)

    def test_what_becomes_of_a_child_is_told(self):
        self.assertIn("odd", self.server.run(function="failing_child"))

    def test_a_call_behind_one_that_waits_is_run_by_another_worker(self):
        # Known as short, so that calls are given ahead of time.
        self.server.run(function="depth", map=[0] * 50, chunk=1)
        jobs = [self.server.submit(function="depth", args=[n % 3]) for n in range(40)]
        self.assertEqual([self.server.result(job) for job in jobs], [n % 3 for n in range(40)])
        # What is waited for goes first: only those wait that had been given out before, 17 a worker.
        pools = {pool["name"]: pool for pool in self.get("/v1/pools")["pools"]}
        self.assertLessEqual(pools["process"]["workers"], 20)

    def test_slots_are_taken_back(self):
        self.server.run(function="depth", args=[3])
        spans = sorted(self.server.run(function="interval", map=[0.2] * 3, chunk=1))
        for before, after in zip(spans, spans[1:]):
            self.assertGreaterEqual(after[0], before[1] - 0.01)
        pools = {pool["name"]: pool for pool in self.get("/v1/pools")["pools"]}
        self.assertEqual(pools["process"]["running"], 0)

    def test_a_cancelled_parent_gives_nothing_back_twice(self):
        for _ in range(3):
            job = self.server.submit(function="depth", args=[1])
            self.server.call("POST", "/v1/jobs/%s/cancel" % job)
            self.server.wait(job)
        self.assertEqual(self.server.run(function="depth", args=[2]), 2)


class TokenTests(ServiceTestCase):
    def test_workers_have_a_token_of_their_own(self):
        with tempfile.TemporaryDirectory() as folder:
            path = folder + "/token"
            with open(path, "w") as file:
                file.write(TOKEN)
            server = type(self.server)(
                BINARY, self.functions, more=("--token-file", path))
            try:
                fields = {"Authorization": "Bearer " + TOKEN}
                def run(**submission):
                    answer = server.call(
                        "POST", "/v1/jobs", submission, {**fields, "Prefer": "wait=60"})
                    return json.loads(answer[2])
                self.assertEqual(run(function="depth", args=[2])["result"], 2)
                seen = run(function="environment", args=["MARTLET_TOKEN"])["result"]
                self.assertTrue(seen)
                self.assertNotEqual(seen, TOKEN)
                self.assertEqual(server.call("GET", "/v1/pools")[0], 401)
                self.assertEqual(server.call(
                    "GET", "/v1/pools", headers={"Authorization": "Bearer " + seen})[0], 200)
            finally:
                server.__exit__()


class TLSTests(ServiceTestCase):
    """A server that others reach by TLS only, and its workers by a socket of their own."""

    def start(self, folder, data, *more):
        if not os.path.exists(folder + "/key"):
            subprocess.run(
                ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
                 "-nodes", "-keyout", folder + "/key", "-out", folder + "/certificate", "-days", "2",
                 "-subj", "/CN=martlet.example"], check=True, capture_output=True)
        server = type(self.server)(BINARY, self.functions, data=data, more=(
            "--tls-cert", folder + "/certificate", "--tls-key", folder + "/key", *more))
        self.addCleanup(server.__exit__)
        return server

    def call(self, server, method, path, body=None, **fields):
        connection = http.client.HTTPSConnection(
            "127.0.0.1", server.port, timeout=60, context=ssl._create_unverified_context())
        try:
            connection.request(
                method, path, body and json.dumps(body),
                {"Content-Type": "application/json", "Prefer": "wait=60", **fields})
            return json.loads(connection.getresponse().read())
        finally:
            connection.close()

    def test_jobs_submit_jobs(self):
        with tempfile.TemporaryDirectory() as folder:
            with open(folder + "/token", "w") as file:
                file.write(TOKEN)
            server = self.start(folder, folder + "/data", "--token-file", folder + "/token")
            def run(**submission):
                return self.call(
                    server, "POST", "/v1/jobs", submission, Authorization="Bearer " + TOKEN)
            self.assertEqual(run(function="depth", args=[2]).get("result"), 2)
            self.assertEqual(run(function="later_depth", args=[2]).get("result"), 2)
            door = run(function="server_url", args=[])["result"]
            self.assertEqual(door, "unix:%s/data/workers/server.sock" % folder)
            self.assertEqual(os.stat(folder + "/data/workers").st_mode & 0o777, 0o700)
            # Who gets at the socket still has to have a token.
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(door[5:])
                client.sendall(b"GET /v1/pools HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                self.assertIn(b" 401 ", client.makefile("rb").readline())
            self.assertEqual(server.stop(), 0)
            self.assertFalse(os.path.exists(folder + "/data/workers"))

    def test_a_data_folder_with_a_long_path_will_do(self):
        with tempfile.TemporaryDirectory() as folder:
            server = self.start(folder, folder + "/" + 100 * "d")
            answer = self.call(server, "POST", "/v1/jobs", {"function": "depth", "args": [1]})
            self.assertEqual(answer.get("result"), 1, answer)
            door = self.call(server, "POST", "/v1/jobs", {"function": "server_url", "args": []})
            self.assertEqual(server.stop(), 0)
            self.assertFalse(os.path.exists(os.path.dirname(door["result"][5:])))

    def test_jobs_found_at_the_start_know_the_way(self):
        with tempfile.TemporaryDirectory() as folder:
            server = self.start(folder, folder + "/data")
            fields = {"Prefer": "wait=0"}
            def submit(**submission):
                return self.call(server, "POST", "/v1/jobs", submission, **fields)["id"]
            for _ in range(2):
                submit(function="interval", args=[1.5])
            jobs = [submit(function="server_url", args=[]), submit(function="depth", args=[1])]
            server.kill()
            server.start()
            door, depth = [
                self.call(server, "GET", "/v1/jobs/%s?wait=60" % job)["result"] for job in jobs]
            self.assertEqual(door, "unix:%s/data/workers/server.sock" % folder)
            self.assertEqual(depth, 1)


class SlotTests(ServiceTestCase):
    settings = {"processes": 3, "threads": 2}

    def spans(self, **submission):
        return self.server.submit(function="interval", args=[0.4], **submission)

    def most_at_once(self, spans):
        return max(sum(span[0] <= at[0] < span[1] for span in spans) for at in spans)

    def test_a_job_takes_the_slots_that_it_asks_for(self):
        self.server.run(function="interval", map=[0.01] * 3, chunk=1)  # the workers are there
        wide = [self.spans(cpus=2) for _ in range(3)]
        wide = [self.server.result(job) for job in wide]
        self.assertEqual(self.most_at_once(wide), 1)
        mixed = [self.spans(cpus=2), self.spans(), self.spans()]
        spans = [self.server.result(job) for job in mixed]
        self.assertEqual(self.most_at_once(spans), 2)
        self.assertEqual(self.most_at_once([self.server.result(self.spans(cpus=3))]), 1)

    def test_a_job_takes_the_slots_that_its_function_asks_for(self):
        self.server.run(function="interval", map=[0.01] * 3, chunk=1)  # the workers are there
        self.assertEqual(self.get("/v1/functions/wide_interval")["cpus"], 2)
        self.assertNotIn("cpus", self.get("/v1/functions/interval"))
        def submit(**more):
            return self.server.submit(function="wide_interval", args=[0.4], **more)
        wide = [submit() for _ in range(2)]
        self.assertEqual(self.most_at_once([self.server.result(job) for job in wide]), 1)
        # What a job says itself counts.
        narrow = [submit(cpus=1) for _ in range(2)]
        self.assertEqual(self.most_at_once([self.server.result(job) for job in narrow]), 2)
        said = [self.get("/v1/jobs/" + job)["cpus"] for job in (wide[0], narrow[0])]
        self.assertEqual(said, [2, 1])
        spans = self.server.run(function="wide_interval", map=[0.2] * 3, chunk=1)
        self.assertEqual(self.most_at_once(spans), 1)

    def test_a_function_that_asks_for_more_than_there_is_gets_all(self):
        job = self.server.submit(function="as_wide_as_can_be", args=[])
        one = int(self.server.run(function="caps")[0])
        self.assertEqual(self.server.result(job), 3 * one)
        self.assertEqual(self.get("/v1/jobs/" + job)["cpus"], 3)

    def test_items_of_a_map_take_slots_each(self):
        spans = self.server.run(function="interval", map=[0.2] * 4, cpus=2, chunk=1)
        self.assertEqual(self.most_at_once(spans), 1)

    def test_threads_of_libraries_follow(self):
        one = [int(cap) for cap in self.server.run(function="caps")]
        three = [int(cap) for cap in self.server.run(function="caps", cpus=3)]
        self.assertEqual(three, [3 * cap for cap in one])
        self.assertEqual([int(cap) for cap in self.server.run(function="caps")], one)

    def test_commands_are_told_too(self):
        one = int(self.server.run(function="threads_of", args=[]))
        self.assertEqual(int(self.server.run(function="threads_of", args=[], cpus=2)), 2 * one)

    def test_more_than_the_pool_has_is_refused(self):
        for cpus in (4, 0, -1, 1.5, "2"):
            problem = self.problem("POST", "/v1/jobs", 422, "invalid-member", body={
                "function": "interval", "args": [0], "cpus": cpus})
            self.assertEqual(problem["pointer"], "/cpus")


if __name__ == "__main__":
    unittest.main()

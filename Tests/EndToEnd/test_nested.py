"""Jobs that wait for jobs, in pools with hardly a slot; jobs that take several slots."""

import json
import os
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

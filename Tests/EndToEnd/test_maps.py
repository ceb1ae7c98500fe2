"""Maps as a resource: items as they end, retries of what failed, blame, order."""

import http.client
import json
import os
import tempfile
import time
import unittest

from service import BINARY, FUNCTIONS, Server


class MapTests(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server(BINARY, FUNCTIONS)

    @classmethod
    def tearDownClass(cls):
        cls.server.__exit__()

    def lines(self, job, query=""):
        """The lines of a map's items with the seconds after which each came."""
        connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=60)
        connection.request("GET", "/v1/jobs/%s/items%s" % (job, query))
        response, began = connection.getresponse(), time.time()
        self.assertEqual(response.status, 200)
        for line in response:
            yield time.time() - began, json.loads(line)
        connection.close()

    def test_results_that_go_while_they_are_read_are_seen_to_be_cut_short(self):
        for part, start in (("result", b'["xxx'), ("items", b'{"index":0,"result":"xxx')):
            with self.subTest(part=part):
                job = self.server.submit(function="echo", map=["x" * 10_000] * 3000)
                self.assertEqual(self.server.wait(job)["state"], "succeeded")
                connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=60)
                self.addCleanup(connection.close)
                connection.request("GET", "/v1/jobs/%s/%s" % (job, part))
                response = connection.getresponse()
                self.assertTrue(response.read(1000).startswith(start))
                self.assertEqual(self.server.call("DELETE", "/v1/jobs/" + job)[0], 204)
                with self.assertRaises((http.client.IncompleteRead, ConnectionResetError)):
                    response.read()

    def test_who_reads_meanwhile_reads_to_the_end_what_nobody_keeps(self):
        job = self.server.submit(
            function="slow_square", map=list(range(20)), concurrency=1, keep=0)
        self.assertEqual([line["index"] for _, line in self.lines(job)], list(range(20)))

    def test_items_are_told_while_the_map_runs_in_their_order(self):
        job = self.server.submit(function="slow_square", map=list(range(20)), concurrency=1)
        told = list(self.lines(job))
        self.assertEqual([line["result"] for _, line in told], [i * i for i in range(20)])
        self.assertEqual([line["index"] for _, line in told], list(range(20)))
        self.assertLess(told[0][0], told[-1][0] - 0.8)
        self.assertEqual(
            [line["index"] for _, line in self.lines(job, "?from=17")], [17, 18, 19])

    def test_items_are_told_in_the_order_of_completion(self):
        job = self.server.submit(function="rest", map=[0.9, 0.01, 0.01, 0.01], chunk=1)
        indices = [line["index"] for _, line in self.lines(job, "?order=completion")]
        self.assertEqual(sorted(indices), [0, 1, 2, 3])
        self.assertEqual(indices[-1], 0)
        self.assertEqual(
            self.server.call("GET", "/v1/jobs/%s/items?order=completion&from=2" % job)[0], 400)

    def test_only_failed_items_are_told_and_run_again(self):
        with tempfile.TemporaryDirectory() as folder:
            path = folder + "/there"
            job = self.server.submit(
                function="fail_unless_there", map=[[i, path] for i in range(10)], spread=True,
                on_error="continue", chunk=5)
            self.assertEqual(self.server.wait(job)["progress"]["failed"], 5)
            failed = [line for _, line in self.lines(job, "?state=failed")]
            self.assertEqual([line["index"] for line in failed], [1, 3, 5, 7, 9])
            self.assertTrue(all(line["error"]["type"] == "ValueError" for line in failed))
            open(path, "w").close()
            os.remove(path + ".calls")
            self.assertEqual(
                self.server.call("POST", "/v1/jobs/%s/retry?items=failed" % job)[0], 202)
            document = self.server.wait(job)
            self.assertEqual(document["progress"], {
                "total": 10, "done": 10, "failed": 0, "running": 0})
            self.assertEqual(self.server.result(job), list(range(10)))
            with open(path + ".calls") as calls:
                self.assertEqual(sorted(int(line) for line in calls), [1, 3, 5, 7, 9])

    def test_an_item_that_kills_its_worker_is_blamed_alone(self):
        job = self.server.submit(
            function="die_at", map=[[i, 7] for i in range(30)], spread=True, on_error="continue",
            chunk=10)
        document = self.server.wait(job)
        self.assertEqual(document["state"], "succeeded")
        self.assertEqual(document["progress"]["failed"], 1)
        (_, line), = self.lines(job, "?state=failed")
        self.assertEqual(line["index"], 7)
        self.assertEqual((line["error"]["reason"], line["error"]["signal"]), ("signal", 9))
        expected = [i if i != 7 else None for i in range(30)]
        self.assertEqual(self.server.result(job), expected)

    def test_concurrency_counts_as_in_joblib(self):
        self.assertEqual(
            self.server.run(function="slow_square", map=[1, 2], concurrency=-1), [1, 4])
        began = time.time()
        self.server.run(function="slow_square", map=[1, 2, 3], concurrency=-100)
        self.assertGreater(time.time() - began, 0.3)
        status, _, body = self.server.call(
            "POST", "/v1/jobs", b'{"function":"square","map":[1],"concurrency":0}')
        self.assertEqual((status, json.loads(body)["pointer"]), (422, "/concurrency"))

    def test_numerical_libraries_share_the_cpus(self):
        caps = self.server.run(function="thread_caps", args=[0])
        self.assertTrue(all(int(cap) >= 1 for cap in caps), caps)


if __name__ == "__main__":
    unittest.main()

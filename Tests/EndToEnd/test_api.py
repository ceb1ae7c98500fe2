"""What the endpoints say of jobs: order, tags, times, expiry, counts, keys, methods."""

import json
import os
import tempfile
import time
import unittest
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone

from service import BINARY, FUNCTIONS, Server, ServiceTestCase


def moment(text):
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


class OrderTests(ServiceTestCase):
    settings = {"processes": 1, "threads": 1}

    def test_a_full_pool_runs_the_highest_priority_first_then_the_oldest(self):
        for pool in ("process", "thread"):
            with self.subTest(pool=pool), tempfile.TemporaryDirectory() as folder:
                gate, notes = folder + "/gate", folder + "/notes"

                def submit(name, priority, pool=pool, gate=gate, notes=notes):
                    return self.server.submit(
                        function="note_when_open", args=[name, gate, notes], pool=pool,
                        priority=priority)

                self.await_state(submit("blocker", 0), "running")
                jobs = [submit(name, priority) for name, priority in [
                    ("low", -5), ("first", 0), ("second", 0), ("high", 5), ("highest", 1000)]]
                self.assertEqual(
                    {self.server.wait(job, 0)["state"] for job in jobs}, {"queued"})
                open(gate, "w").close()
                for job in jobs:
                    self.assertEqual(self.server.wait(job)["state"], "succeeded")
                with open(notes) as file:
                    self.assertEqual(
                        file.read().split(),
                        ["blocker", "highest", "high", "first", "second", "low"])


class ListTests(unittest.TestCase):
    def test_lists_select_and_page_also_after_a_restart(self):
        with tempfile.TemporaryDirectory() as folder, \
                Server(BINARY, FUNCTIONS, data=folder + "/data") as server:
            ids = [server.submit(
                function="echo" if i % 2 else "square", args=[i], queue="q%d" % (i % 3),
                tags=["all", "caf\u00e9 %d" % (i % 2)]) for i in range(7)]
            ids.append(server.submit(function="echo", args=[0], delay=3600))
            for job in ids[:7]:
                server.wait(job)

            def listed(query):
                status, _, body = server.call("GET", "/v1/jobs" + query)
                self.assertEqual(status, 200, body)
                return json.loads(body)

            def check():
                newest_first = ids[::-1]
                for query, wanted in [
                        ("", newest_first),
                        ("?tag=all", newest_first[1:]),
                        ("?tag=caf%C3%A9%201", [ids[5], ids[3], ids[1]]),
                        ("?tag=none", []),
                        ("?queue=q0", [ids[6], ids[3], ids[0]]),
                        ("?function=square", [ids[6], ids[4], ids[2], ids[0]]),
                        ("?state=queued", [ids[7]]),
                        ("?state=succeeded&queue=q1&function=echo&tag=all", [ids[1]])]:
                    with self.subTest(query=query):
                        page = listed(query)
                        self.assertEqual([job["id"] for job in page["jobs"]], wanted)
                        self.assertIsNone(page["next_cursor"])
                self.assertEqual(listed("?limit=1&tag=all")["jobs"][0]["tags"],
                                 ["all", "caf\u00e9 0"])
                self.assertNotIn("result", listed("?limit=3")["jobs"][2])
                paged, cursor = [], ""
                while cursor is not None:
                    page = listed("?limit=3" + cursor)
                    self.assertLessEqual(len(page["jobs"]), 3)
                    paged += [job["id"] for job in page["jobs"]]
                    cursor = page["next_cursor"] and "&cursor=" + page["next_cursor"]
                self.assertEqual(paged, newest_first)

            check()
            server.stop()
            server.start()
            check()

    def test_a_wrong_query_is_refused(self):
        with Server(BINARY, FUNCTIONS) as server:
            job = server.submit(function="echo", map=[1])
            for query in ("?state=done", "?state=", "?limit=0", "?limit=1001", "?limit=1.5",
                          "?limit=x", "?limit=", "?cursor=x", "?cursor=",
                          "/%s?wait=-1" % job, "/%s?wait=x" % job, "/%s?wait=3601" % job,
                          "/%s?wait=nan" % job, "/%s/result?wait=inf" % job,
                          "/%s/items?from=-1" % job, "/%s/items?from=0.5" % job):
                with self.subTest(query=query):
                    status, headers, body = server.call("GET", "/v1/jobs" + query)
                    self.assertEqual(status, 400, body)
                    self.assertEqual(headers["Content-Type"], "application/problem+json")
                    self.assertEqual(
                        json.loads(body)["type"], "urn:martlet:problem:invalid-query")


class TimeTests(ServiceTestCase):
    def test_a_delayed_job_waits_for_its_time(self):
        def soon():
            return (datetime.now(timezone.utc) + timedelta(seconds=0.5)).isoformat()

        for when in (lambda: {"delay": 0.5}, lambda: {"not_before": soon()}):
            with self.subTest(when=when()):
                document = json.loads(self.server.call(
                    "POST", "/v1/jobs", {"function": "echo", "args": [1], **when()})[2])
                self.assertEqual(document["state"], "queued")
                due = moment(document["not_before"])
                document = self.server.wait(document["id"])
                self.assertEqual(document["state"], "succeeded")
                self.assertGreaterEqual(moment(document["started_at"]), due)
                self.assertLess(moment(document["started_at"]), due + timedelta(seconds=10))

    def test_a_time_that_has_passed_delays_nothing(self):
        for when in ({"delay": 0}, {"not_before": "2020-01-31T10:30:00.5+01:00"}):
            self.assertEqual(self.server.run(function="echo", args=[1], **when), 1)

    def test_a_time_in_another_zone_is_shown_in_utc(self):
        job = self.server.submit(
            function="echo", args=[1], not_before="2999-12-31T23:30:00.25-01:30")
        self.assertEqual(
            self.server.wait(job, 0)["not_before"], "3000-01-01T01:00:00.250000Z")

    def test_a_delay_outlives_the_server(self):
        with tempfile.TemporaryDirectory() as folder, \
                Server(BINARY, FUNCTIONS, data=folder + "/data") as server:
            far = server.submit(function="echo", args=[1], delay=3600)
            near = server.submit(function="echo", args=[1], delay=1)
            due = moment(server.wait(near, 0)["not_before"])
            server.kill()
            server.start()
            document = server.wait(near)
            self.assertEqual(document["state"], "succeeded")
            self.assertGreaterEqual(moment(document["started_at"]), due)
            self.assertEqual(server.wait(far, 0)["state"], "queued")

    def test_a_result_expires_when_keep_says(self):
        kept = self.server.wait(self.server.submit(function="echo", args=[1], keep=3600))
        self.assertEqual(
            moment(kept["expires_at"]) - moment(kept["ended_at"]), timedelta(hours=1))
        for work, parts in ({"args": [1]}, ["result"]), ({"map": [1, 2]}, ["result", "items"]):
            job = self.server.submit(function="echo", keep=0, **work)
            self.assertEqual(self.server.wait(job)["state"], "succeeded")
            for part in parts:
                problem = self.problem(
                    "GET", "/v1/jobs/%s/%s" % (job, part), 410, "result-expired")
                self.assertIn(job, problem["detail"])
        self.assertEqual(self.server.result(kept["id"]), 1)

    def test_an_etag_spares_the_answer_until_the_job_changes(self):
        with tempfile.TemporaryDirectory() as folder:
            gate = folder + "/gate"
            job = self.server.submit(function="note_when_open", args=["a", gate, folder + "/notes"])
            self.await_state(job, "running")
            path = "/v1/jobs/" + job
            tag = self.server.call("GET", path)[1]["ETag"]
            status, headers, body = self.server.call("GET", path, headers={"If-None-Match": tag})
            self.assertEqual((status, headers["ETag"], body), (304, tag, b""))
            open(gate, "w").close()
            self.server.wait(job)
            status, headers, body = self.server.call("GET", path, headers={"If-None-Match": tag})
            self.assertEqual((status, json.loads(body)["state"]), (200, "succeeded"))
            self.assertNotEqual(headers["ETag"], tag)

    def test_conditions_keep_a_job_from_being_changed(self):
        job = self.server.submit(function="echo", args=[1], delay=3600)
        path = "/v1/jobs/" + job
        stale, fresh = '"other"', self.server.call("GET", path)[1]["ETag"]
        cancel, retry = ("POST", path + "/cancel"), ("POST", path + "/retry")
        delete = ("DELETE", path)
        for headers in ({"If-Match": stale}, {"If-None-Match": fresh}, {"If-None-Match": "*"}):
            for change in (cancel, delete):
                self.problem(*change, 412, "http-412", headers=headers)
            # RFC 9110, section 13.2.1: only where nothing else is in the way.
            self.problem(*retry, 409, "job-not-ended", headers=headers)
        self.assertEqual(self.server.wait(job, 0)["state"], "queued")
        self.assertEqual(self.server.call(*cancel, headers={"If-Match": fresh})[0], 200)
        # What the client has seen is no more.
        for change in (cancel, retry, delete):
            self.problem(*change, 412, "http-412", headers={"If-Match": fresh})
        self.assertEqual(self.server.wait(job, 0)["state"], "cancelled")
        for headers in ({"If-Match": "*"}, {"If-None-Match": stale}):
            self.assertEqual(self.server.call(*cancel, headers=headers)[0], 200)
        self.assertEqual(self.server.call(*retry, headers={"If-Match": "*"})[0], 202)
        self.await_state(job, "succeeded")
        fresh = self.server.call("GET", path)[1]["ETag"]
        self.assertEqual(self.server.call(*delete, headers={"If-Match": fresh})[0], 204)
        self.problem(*delete, 404, "no-such-job", headers={"If-Match": fresh})

    def test_of_changes_on_one_condition_one_is_made(self):
        for turn in range(20):
            job = self.server.submit(function="echo", args=[turn], delay=3600)
            path = "/v1/jobs/" + job
            condition = {"If-Match": self.server.call("GET", path)[1]["ETag"]}
            with ThreadPoolExecutor(8) as clients:
                statuses = list(clients.map(
                    lambda _: self.server.call("POST", path + "/cancel", headers=condition)[0],
                    range(8)))
            self.assertEqual(sorted(statuses), [200] + 7 * [412])

    def test_a_condition_of_what_has_no_etag_holds_of_anything_alone(self):
        job = {"function": "echo", "args": [1], "delay": 3600, "tags": ["on-condition"]}
        for path, body in (("/v1/jobs", job), ("/v1/jobs/batch", [job]),
                           ("/v1/jobs/cancel?tag=on-condition", None),
                           ("/v1/jobs/retry?tag=on-condition", None)):
            for headers in ({"If-Match": '"x"'}, {"If-None-Match": "*"}):
                self.problem("POST", path, 412, "http-412", body=body, headers=headers)
        self.assertEqual(self.get("/v1/jobs?tag=on-condition")["jobs"], [])
        for headers in ({"If-Match": "*"}, {"If-None-Match": '"x"'}):
            self.assertEqual(self.server.call("POST", "/v1/jobs", job, headers)[0], 202)
        self.problem("GET", "/v1/pools", 412, "http-412", headers={"If-Match": '"x"'})
        self.assertEqual(self.server.call("GET", "/v1/pools", headers={"If-Match": "*"})[0], 200)
        status, _, body = self.server.call("GET", "/v1/pools", headers={"If-None-Match": "*"})
        self.assertEqual((status, body), (304, b""))

    def test_an_etag_changes_with_the_progress_of_a_call(self):
        with tempfile.TemporaryDirectory() as folder:
            gate = folder + "/gate"
            path = "/v1/jobs/" + self.server.submit(function="step_to", args=[gate])

            def asked(done):
                self.until(lambda: self.get(path).get("progress", {}).get("done") == done)
                return self.server.call("GET", path)[1]["ETag"]

            tag = asked(1)
            self.assertEqual(self.server.call("GET", path, headers={"If-None-Match": tag})[0], 304)
            open(gate, "w").close()
            self.assertNotEqual(asked(2), tag)
            self.assertEqual(self.server.call("GET", path, headers={"If-None-Match": tag})[0], 200)
            os.remove(gate)
            self.server.wait(path.rpartition("/")[2])

    def test_a_parameter_that_a_list_does_not_know_is_refused(self):
        for query, wanted in (
                ("stat=failed", 'Did you mean "state"?'), ("colour=red", "Known are state,"),
                ("state=failed&state=queued", '"state" is given twice.')):
            with self.subTest(query=query):
                problem = self.problem("GET", "/v1/jobs?" + query, 400, "invalid-query")
                self.assertIn(wanted, problem["detail"])


class PreferenceTests(ServiceTestCase):
    def submit(self, prefer, **submission):
        status, headers, body = self.server.call(
            "POST", "/v1/jobs", submission, {"Prefer": prefer} if prefer else {})
        job = json.loads(body)
        self.assertEqual(headers["Location"], "/v1/jobs/" + job["id"])
        return status, job

    def test_prefer_wait_answers_with_the_end(self):
        for prefer in ("wait=30", "WAIT=30", "respond-async, wait=30", "wait = 30"):
            with self.subTest(prefer=prefer):
                status, job = self.submit(prefer, function="square", args=[12])
                self.assertEqual((status, job["state"], job["result"]), (200, "succeeded", 144))
        status, job = self.submit("wait=30", function="fail", args=["no"])
        self.assertEqual((status, job["state"]), (200, "failed"))

    def test_a_wait_that_is_too_short_answers_with_the_job_as_it_then_is(self):
        status, job = self.submit("wait=0.5", function="fail", args=["no"],
                                  retry={"max_attempts": 2, "initial": 3600})
        self.assertEqual((status, job["state"], job["attempt"]), (202, "queued", 1))
        self.assertEqual(job["error"]["message"], "no")

    def test_a_wait_that_is_too_short_or_not_understood_answers_with_the_queued_job(self):
        for prefer in (None, "wait=0", "wait=0.05", "wait", "wait=-1", "wait=x", "handling=strict"):
            with self.subTest(prefer=prefer):
                status, job = self.submit(prefer, function="echo", args=[1], delay=3600)
                self.assertEqual((status, job["state"]), (202, "queued"))


class CountTests(ServiceTestCase):
    settings = {"processes": 1, "threads": 3, "more": ["--async-limit", "50"]}

    def pools(self):
        return {pool.pop("name"): pool for pool in self.get("/v1/pools")["pools"]}

    def test_pools_and_queues_say_what_is_there(self):
        self.until(lambda: self.pools()["process"]["workers"] > 0)
        pools = self.pools()
        self.assertEqual({name: pool["slots"] for name, pool in pools.items()},
                         {"thread": 3, "process": 1, "async": 50})
        self.assertEqual({pool["running"] for pool in pools.values()}, {0})
        with tempfile.TemporaryDirectory() as folder:
            gate = folder + "/gate"

            def blocked(**more):
                return self.server.submit(
                    function="note_when_open", args=["a", gate, folder + "/notes"], **more)

            running = [blocked(pool="thread", queue="a") for _ in range(2)]
            running.append(blocked(queue="b"))
            running += [self.server.submit(function="later", args=[60], queue="b")
                        for _ in range(4)]
            for job in running:
                self.await_state(job, "running")
            for _ in range(5):
                blocked(queue="b")
            self.server.submit(function="echo", args=[1], delay=3600, queue="c")
            ended = [self.server.submit(function=function, args=["x"], queue="c", pool="thread")
                     for function in ("echo", "echo", "fail")]
            for job in ended:
                self.server.wait(job)
            self.assertEqual({name: pool["running"] for name, pool in self.pools().items()},
                             {"thread": 2, "process": 1, "async": 4})
            # The start of an attempt is written without waiting for it.
            wanted = [
                {"name": "a", "running": 2}, {"name": "b", "queued": 5, "running": 5},
                {"name": "c", "failed": 1, "queued": 1, "succeeded": 2}]
            self.until(lambda: self.get("/v1/queues")["queues"] == wanted)
            for job in running[3:]:
                self.server.call("POST", "/v1/jobs/%s/cancel" % job, b"")
            open(gate, "w").close()
            wanted = [
                {"name": "a", "succeeded": 2}, {"name": "b", "cancelled": 4, "succeeded": 6},
                {"name": "c", "failed": 1, "queued": 1, "succeeded": 2}]
            self.until(lambda: self.get("/v1/queues")["queues"] == wanted)
            self.assertEqual({pool["running"] for pool in self.pools().values()}, {0})


class IdempotencyTests(unittest.TestCase):
    def test_a_key_names_its_job_also_after_a_restart(self):
        with tempfile.TemporaryDirectory() as folder, \
                Server(BINARY, FUNCTIONS, data=folder + "/data") as server:
            def submit(args, **headers):
                status, _, body = server.call(
                    "POST", "/v1/jobs", {"function": "square", "args": args},
                    {"Idempotency-Key": "order 66", **headers})
                return status, json.loads(body)

            status, first = submit([8])
            self.assertEqual(status, 202)
            server.wait(first["id"])
            server.kill()
            server.start()
            self.assertEqual(submit([8])[1]["id"], first["id"])
            status, again = submit([8], Prefer="wait=30")
            self.assertEqual((status, again["id"], again["result"]), (200, first["id"], 64))
            status, problem = submit([9])
            self.assertEqual(status, 422)
            self.assertEqual(problem["type"], "urn:martlet:problem:idempotency-key-reused")
            self.assertIn(first["id"], problem["detail"])
            jobs = json.loads(server.call("GET", "/v1/jobs")[2])["jobs"]
            self.assertEqual([job["id"] for job in jobs], [first["id"]])
            self.assertEqual(server.call("DELETE", "/v1/jobs/" + first["id"])[0], 204)
            status, second = submit([9])
            self.assertEqual(status, 202)
            self.assertNotEqual(second["id"], first["id"])

    def test_many_at_once_with_one_key_make_one_job(self):
        from concurrent.futures import ThreadPoolExecutor
        with Server(BINARY, FUNCTIONS) as server, ThreadPoolExecutor(16) as threads:
            def submit(_):
                for _ in range(1000):
                    status, fields, body = server.call(
                        "POST", "/v1/jobs", {"function": "echo", "args": [1]},
                        {"Idempotency-Key": "once"})
                    if status != 409:  # the first one is being stored
                        return json.loads(body)["id"]
                    self.assertIn("idempotency-key-in-use", body.decode())
                    self.assertEqual(fields["Retry-After"], "1")
                    time.sleep(0.01)
            self.assertEqual(len(set(threads.map(submit, range(64)))), 1)

    def test_a_key_of_a_batch_brings_its_jobs_again(self):
        with tempfile.TemporaryDirectory() as folder, \
                Server(BINARY, FUNCTIONS, data=folder + "/data") as server:
            def submit(*args):
                status, _, body = server.call(
                    "POST", "/v1/jobs/batch", [{"function": "square", "args": [n]} for n in args],
                    {"Idempotency-Key": "all"})
                return status, json.loads(body)

            status, first = submit(1, 2, 3)
            self.assertEqual(status, 202)
            server.kill()
            server.start()
            ids = [job["id"] for job in first["jobs"]]
            self.assertEqual([job["id"] for job in submit(1, 2, 3)[1]["jobs"]], ids)
            status, problem = submit(1, 2)
            self.assertEqual((status, problem["type"]), (422, "urn:martlet:problem:idempotency-key-reused"))
            self.assertEqual(len(json.loads(server.call("GET", "/v1/jobs")[2])["jobs"]), 3)

    def test_a_key_is_of_a_job_or_of_a_batch(self):
        with Server(BINARY, FUNCTIONS) as server:
            job = {"function": "square", "args": [1]}
            for first, second in [("/v1/jobs", "/v1/jobs/batch"), ("/v1/jobs/batch", "/v1/jobs")]:
                key = {"Idempotency-Key": first}
                bodies = {"/v1/jobs": job, "/v1/jobs/batch": [job, job]}
                self.assertEqual(server.call("POST", first, bodies[first], key)[0], 202)
                status, _, body = server.call("POST", second, bodies[second], key)
                self.assertEqual((status, json.loads(body)["type"]),
                                 (422, "urn:martlet:problem:idempotency-key-reused"))
            self.assertEqual(len(json.loads(server.call("GET", "/v1/jobs")[2])["jobs"]), 3)

    def test_a_key_is_free_after_its_hours(self):
        with Server(BINARY, FUNCTIONS, more=("--idempotency-hours", "0.001")) as server:
            def submit(args):
                return server.call("POST", "/v1/jobs", {"function": "square", "args": args},
                                   {"Idempotency-Key": "k"})[0]
            self.assertEqual([submit([1]), submit([2])], [202, 422])
            time.sleep(3.7)
            self.assertEqual(submit([2]), 202)


class LikenessTests(ServiceTestCase):
    def submit(self, expected, **submission):
        """The id of the job that answers, and why it does."""
        status, fields, body = self.server.call("POST", "/v1/jobs", submission)
        self.assertEqual(status, expected, body)
        return json.loads(body)["id"], fields["Martlet-Existing"]

    def test_a_unique_job_is_there_once_while_it_waits(self):
        same = {"function": "echo", "args": [["unique"]], "unique": True, "delay": 3600}
        first, why = self.submit(202, **same)
        self.assertIsNone(why)
        self.assertEqual(self.submit(202, **same), (first, "unique"))
        self.assertEqual(self.submit(202, **dict(same, tags=["other"])), (first, "unique"))
        for other in (dict(same, args=[["else"]]), dict(same, unique=False), dict(same, args=[["unique"], 2])):
            self.assertIsNone(self.submit(202, **other)[1])
        status, _, body = self.server.call("POST", "/v1/jobs/batch", [same, same])
        self.assertEqual([job["id"] for job in json.loads(body)["jobs"]], [first, first])
        self.server.call("POST", "/v1/jobs/%s/cancel" % first)
        self.assertIsNone(self.submit(202, **same)[1])

    def test_a_result_answers_for_as_long_as_it_is_said(self):
        same = {"function": "square", "args": [77], "cache": 60}
        first, why = self.submit(202, **same)
        self.assertIsNone(why)
        self.server.wait(first)
        self.assertEqual(self.submit(200, **same), (first, "cache"))
        status, _, body = self.server.call("POST", "/v1/jobs", dict(same, args=[77.0]))
        self.assertEqual(status, 202)
        self.assertEqual(self.submit(202, function="square", args=[77])[1], None)
        time.sleep(0.05)
        self.assertIsNone(self.submit(202, **dict(same, cache=0.01))[1])

    def test_what_failed_is_no_answer(self):
        same = {"function": "square", "args": ["x"], "cache": 60}
        first, _ = self.submit(202, **same)
        self.server.wait(first)
        self.assertIsNone(self.submit(202, **same)[1])

    def test_a_changed_file_has_no_results_yet(self):
        with tempfile.TemporaryDirectory() as folder:
            path = folder + "/f.py"
            def write(number):
                with open(path, "w") as file:
                    file.write("import martlet\n\n@martlet.function\ndef number():\n    return %d\n" % number)
            write(1)
            with Server(BINARY, folder) as server:
                def run():
                    status, _, body = server.call(
                        "POST", "/v1/jobs", {"function": "number", "args": [], "cache": 600},
                        {"Prefer": "wait=30"})
                    return json.loads(body)["result"]
                self.assertEqual([run(), run()], [1, 1])
                write(22)
                self.until(lambda: run() == 22)


    def test_a_function_whose_tags_no_job_may_bear_is_told_of(self):
        with tempfile.TemporaryDirectory() as folder:
            # A worker of somebody else's, which does not look at them itself.
            worker = folder + "/worker"
            functions = [{"name": "good", "pool": "process", "tags": ["fine"]},
                         {"name": "bad", "pool": "process", "tags": ["fine", "a\0b"],
                          "file": "/srv/bad.py"}]
            hello = json.dumps({"hello": {"protocol": 1, "functions": functions, "broken": []}})
            with open(worker, "w") as file:
                file.write("#!/bin/sh\nprintf '%%s\\n' '%s' >&3\nread -r line <&3\n" % hello)
            os.chmod(worker, 0o755)
            os.mkdir(folder + "/functions")
            with open(folder + "/functions/some.py", "w"):
                pass
            with Server(BINARY, folder + "/functions", more=["--python", worker]) as server:
                listed = json.loads(server.call("GET", "/v1/functions")[2])
                self.assertEqual(
                    [(broken["file"], broken["error"]) for broken in listed["broken"]],
                    [("/srv/bad.py", "bad: A tag is a string of 1 to 100 bytes without control"
                      ' characters, not "a\\u0000b".')])
                self.assertEqual(server.call("GET", "/v1/functions/bad")[0], 404)
                self.assertEqual(server.call("GET", "/v1/functions/good")[0], 200)

    def test_a_function_may_say_so_for_its_jobs(self):
        with tempfile.TemporaryDirectory() as folder:
            with open(folder + "/f.py", "w") as file:
                file.write("import martlet, random\n\n"
                           "@martlet.function(unique=True, cache=600)\n"
                           "def number(of=None):\n    return random.random()\n\n"
                           "@martlet.function(cache='long')\ndef broken():\n    pass\n")
            with Server(BINARY, folder) as server:
                functions = json.loads(server.call("GET", "/v1/functions")[2])
                self.assertIn("cache must be a number", str(functions["broken"]))
                with open(folder + "/f.py") as file:
                    whole = file.read()
                with open(folder + "/f.py", "w") as file:
                    file.write(whole[:whole.index("@martlet.function(cache")])
                self.until(lambda: server.call("GET", "/v1/functions/number")[0] == 200)
                shown = json.loads(server.call("GET", "/v1/functions/number")[2])
                self.assertEqual((shown["unique"], shown["cache"]), (True, 600))

                def submit(**members):
                    status, fields, body = server.call(
                        "POST", "/v1/jobs", {"function": "number", **members})
                    self.assertIn(status, (200, 202), body)
                    return json.loads(body)["id"], fields["Martlet-Existing"]
                waiting, _ = submit(args=[1], delay=3600)
                self.assertEqual(submit(args=[1]), (waiting, "unique"))
                self.assertIsNone(submit(args=[1], unique=False, delay=3600)[1])
                done, _ = submit(args=[2])
                self.assertEqual(server.wait(done)["state"], "succeeded")
                self.assertEqual(submit(args=[2]), (done, "cache"))
                self.assertIsNone(submit(args=[2], cache=0)[1])
                # Items that follow as lines are not compared.
                for _ in range(2):
                    status, fields, body = server.call(
                        "POST", "/v1/jobs", b'{"function":"number"}\n1\n',
                        {"Content-Type": "application/x-ndjson"})
                    self.assertEqual((status, fields["Martlet-Existing"]), (202, None), body)


class MethodTests(ServiceTestCase):
    """HEAD, OPTIONS and wrong methods, at every route."""

    ROUTES = {
        "/v1/jobs": {"GET", "POST"}, "/v1/jobs/batch": {"POST"},
        "/v1/jobs/{id}": {"GET", "DELETE"}, "/v1/jobs/{id}/result": {"GET"},
        "/v1/jobs/{id}/items": {"GET"}, "/v1/jobs/{id}/cancel": {"POST"},
        "/v1/jobs/{id}/retry": {"POST"}, "/v1/functions": {"GET"},
        "/v1/functions/{name}": {"GET"}, "/v1/pools": {"GET"}, "/v1/queues": {"GET"},
        "/healthz": {"GET"}, "/readyz": {"GET"}, "/openapi.yaml": {"GET"},
    }

    def concrete(self):
        """The routes with a job and a function that are there."""
        job = self.server.submit(function="echo", map=[1, 2])
        self.assertEqual(self.server.wait(job)["state"], "succeeded")
        for path, methods in self.ROUTES.items():
            yield path.replace("{id}", job).replace("{name}", "echo"), methods

    def test_head_answers_as_get_without_the_content(self):
        for path, methods in self.concrete():
            with self.subTest(path=path):
                status, headers, body = self.server.call("HEAD", path)
                self.assertEqual(body, b"")
                if "GET" not in methods:
                    self.assertEqual(status, 405)
                    continue
                wanted, fields, content = self.server.call("GET", path)
                self.assertEqual((status, wanted), (200, 200))
                for name in ("Content-Type", "ETag", "Transfer-Encoding"):
                    self.assertEqual(headers[name], fields[name])
                if "Transfer-Encoding" not in headers:
                    self.assertEqual(headers["Content-Length"], fields["Content-Length"])
                    self.assertEqual(int(fields["Content-Length"]), len(content))
        self.assertEqual(self.server.call("HEAD", "/v1/jobs/nope")[0], 404)

    def test_options_name_the_methods(self):
        for path, methods in self.concrete():
            with self.subTest(path=path):
                status, headers, body = self.server.call("OPTIONS", path)
                self.assertEqual((status, body), (204, b""))
                more = {"HEAD", "OPTIONS"} if "GET" in methods else {"OPTIONS"}
                self.assertEqual(set(headers["Allow"].split(", ")), methods | more)

    def test_another_method_is_not_allowed_and_changes_nothing(self):
        for path, methods in self.concrete():
            for method in {"GET", "POST", "PUT", "PATCH", "DELETE", "TRACE", "PURGE"} - methods:
                with self.subTest(method=method, path=path):
                    before = self.get("/v1/queues")
                    answer = self.server.call(method, path, b'{"function":"echo"}')
                    self.assertProblem(answer, 405, "http-405")
                    allowed = set(answer[1]["Allow"].split(", "))
                    self.assertEqual(allowed - {"HEAD", "OPTIONS"}, methods)
                    self.assertEqual(self.get("/v1/queues"), before)

    def test_nothing_is_at_another_path(self):
        for path in ("/v1", "/v1/", "/v1/job", "/v2/jobs", "/healthz/",
                     "/v1/jobs/%2e%2e/x/y", "/V1/jobs", "//v1/jobs"):
            with self.subTest(path=path):
                self.problem("GET", path, 404, "http-404")

    def test_an_id_that_is_none_is_no_job(self):
        for job in ("", "nope", "0", "00000000-0000-0000-0000-000000000000",
                    "01890a5d-ac96-774b-bcce-b302099a8057", "%00", "..", "a" * 2000):
            for method, part in [("GET", ""), ("DELETE", ""), ("GET", "/result"), ("GET", "/items"),
                                 ("POST", "/cancel"), ("POST", "/retry")]:
                with self.subTest(job=job, method=method, part=part):
                    self.problem(method, "/v1/jobs/%s%s" % (job, part), 404, "no-such-job")

    def test_what_has_not_ended_cannot_be_retried_and_what_has_can(self):
        job = self.server.submit(function="later", args=[60])
        self.await_state(job, "running")
        self.problem("POST", "/v1/jobs/%s/retry" % job, 409, "job-not-ended")
        self.server.call("POST", "/v1/jobs/%s/cancel" % job)
        job = self.server.submit(function="echo", args=[1], delay=3600)
        self.problem("POST", "/v1/jobs/%s/retry" % job, 409, "job-not-ended")
        self.assertEqual(self.server.wait(job, 0)["state"], "queued")
        self.assertEqual(self.server.call("POST", "/v1/jobs/%s/cancel" % job)[0], 200)
        problem = self.problem("GET", "/v1/jobs/%s/result" % job, 409, "job-cancelled")
        self.assertEqual(problem["error"]["reason"], "cancelled")
        self.problem("GET", "/v1/jobs/%s/items" % job, 409, "not-a-map")
        # It has no failed items: it must not run again whole.
        self.problem("POST", "/v1/jobs/%s/retry?items=failed" % job, 409, "not-a-map")
        self.assertEqual(self.server.wait(job, 0)["state"], "cancelled")
        self.assertEqual(self.server.call("POST", "/v1/jobs/%s/retry" % job)[0], 202)
        self.assertEqual(self.server.result(job), 1)


if __name__ == "__main__":
    unittest.main()

"""Server-sent events: what they tell, where they end, how they are taken up again."""

import time
import unittest

from service import BINARY, FUNCTIONS, Server, ServiceTestCase
from stream import EventSource

STATE_MEMBERS = {"job", "function", "queue", "pool", "state", "attempt", "at"}


class EventTests(ServiceTestCase):
    def events(self, path, last=None):
        source = EventSource(
            self.server, path, headers={"Last-Event-ID": last} if last is not None else {})
        self.addCleanup(source.close)
        return source

    def test_a_jobs_stream_tells_its_states_and_ends_with_the_job(self):
        job = self.server.submit(function="nap", args=[0.3], delay=0.3)
        source = self.events("/v1/jobs/%s/events" % job)
        self.assertEqual(source.status, 200)
        self.assertEqual(source.response.headers["Content-Type"], "text/event-stream")
        self.assertEqual(source.response.headers["Cache-Control"], "no-store")
        told = list(source)
        self.assertEqual([data["state"] for _, data in told], ["queued", "running", "succeeded"])
        self.assertEqual([data["attempt"] for _, data in told], [0, 1, 1])
        for _, data in told:
            self.assertEqual(set(data), STATE_MEMBERS)
            self.assertEqual(
                (data["job"], data["function"], data["queue"], data["pool"]),
                (job, "nap", "default", "process"))

    def test_a_jobs_stream_begins_with_its_state_as_it_stands(self):
        job = self.server.submit(function="fail", args=["no"])
        self.server.wait(job)
        (name, data), = list(self.events("/v1/jobs/%s/events" % job))
        self.assertEqual((name, data["state"]), ("state", "failed"))
        self.assertEqual(data["error"], {
            "reason": "exception", "type": "ValueError", "message": "no"})

    def test_a_retried_job_tells_each_attempt(self):
        job = self.server.submit(
            function="fail", args=["no"], delay=0.3,
            retry={"max_attempts": 2, "backoff": "constant", "initial": 0.1})
        told = list(self.events("/v1/jobs/%s/events" % job))
        self.assertEqual(
            [(data["state"], data["attempt"]) for _, data in told],
            [("queued", 0), ("running", 1), ("queued", 1), ("running", 2), ("failed", 2)])

    def test_a_cancelled_job_tells_that_it_is_being_stopped(self):
        job = self.server.submit(function="spin", args=[60])
        source = self.events("/v1/jobs/%s/events" % job)
        source.until(lambda name, data: data.get("state") == "running")
        self.server.call("POST", "/v1/jobs/%s/cancel" % job)
        self.assertEqual(source.states(), ["cancelling", "cancelled"])

    def test_a_map_tells_its_progress_ten_times_a_second_at_most(self):
        job = self.server.submit(function="nap", map=[0.02] * 60, chunk=1)
        told = list(self.events("/v1/jobs/%s/events" % job))
        steps = [data for name, data in told if name == "progress"]
        self.assertGreater(len(steps), 2)
        self.assertEqual(steps, sorted(steps, key=lambda step: step["done"]))
        self.assertEqual(
            {member: steps[-1][member] for member in ("job", "done", "total", "failed")},
            {"job": job, "done": 60, "total": 60, "failed": 0})
        document = self.server.wait(job)
        seconds = (float(document["ended_at"][17:-1]) - float(document["started_at"][17:-1])) % 60
        self.assertLessEqual(len(steps), seconds * 10 + 3)

    def test_all_jobs_are_told_and_filtered(self):
        everything = self.events("/v1/events")
        squares = self.events("/v1/events?function=square")
        queue = self.events("/v1/events?queue=reports")
        tagged = self.events("/v1/events?tag=blue")
        first = self.server.submit(function="echo", args=[1], tags=["blue", "red"])
        second = self.server.submit(function="square", args=[2], tags=["red"])
        third = self.server.submit(function="square", args=[3], queue="reports")
        self.server.wait(first)
        ends = {first, second, third}

        def is_last(name, data):
            if name == "state" and data["state"] == "succeeded":
                ends.discard(data["job"])
            return not ends
        told = everything.until(is_last)
        for job in (first, second, third):
            self.assertEqual(
                [data["state"] for _, data in told if data.get("job") == job],
                ["queued", "running", "succeeded"])
        for source, job in ((tagged, first), (squares, second), (queue, third)):
            seen = source.until(lambda name, data: data.get("state") == "succeeded")
            self.assertEqual({data["job"] for _, data in seen} - {third}, {job} - {third})

    def test_a_stream_is_taken_up_where_it_was_left(self):
        source = self.events("/v1/events?queue=resumed")
        job = self.server.submit(function="nap", args=[0.2], queue="resumed")
        source.until(lambda name, data: data.get("state") == "queued")
        source.close()
        self.server.wait(job)
        for resumed in (self.events("/v1/events?queue=resumed", source.last),
                        self.events("/v1/events?queue=resumed&last_event_id=" + source.last),
                        self.events("/v1/jobs/%s/events" % job, source.last)):
            self.assertEqual(resumed.states(job), ["running", "succeeded"])

    def test_what_is_missed_for_good_is_told_as_a_gap(self):
        job = self.server.submit(function="nap", args=[0.5])
        told = list(self.events("/v1/jobs/%s/events" % job, "1"))
        self.assertEqual(told[0], ("gap", {"reason": "expired"}))
        self.assertEqual(told[-1][1]["state"], "succeeded")
        with self.events("/v1/events", "99999999999999999") as source:
            self.assertEqual(next(iter(source))[0], "gap")

    def test_a_client_that_has_seen_the_end_is_told_not_to_come_back(self):
        job = self.server.submit(function="square", args=[2])
        source = self.events("/v1/jobs/%s/events" % job)
        source.states()
        self.until(lambda: self.events(
            "/v1/jobs/%s/events" % job, source.last).status == 204)

    def test_a_mark_that_is_no_id_is_refused(self):
        for path in ("/v1/events", "/v1/jobs/%s/events" % self.server.submit(
                function="square", args=[1])):
            self.problem("GET", path + "?last_event_id=x", 400, "invalid-query")

    def test_a_slow_reader_is_told_of_a_gap_and_goes_on(self):
        source = self.events("/v1/events")
        batch = [{"function": "echo", "args": [1]}] * 5_000
        for _ in range(8):
            self.assertEqual(self.server.call("POST", "/v1/jobs/batch", batch)[0], 202)
        last = self.server.submit(function="echo", args=[1], priority=-1)
        self.server.wait(last)
        told = source.until(
            lambda name, data: data.get("job") == last and data.get("state") == "succeeded")
        self.assertIn(("gap", {"reason": "slow_reader"}), told)


class StreamTests(unittest.TestCase):
    def test_a_client_that_hangs_up_makes_room_at_once(self):
        with Server(BINARY, FUNCTIONS, more=["--max-event-streams", "2"]) as server:
            first, second = EventSource(server, "/v1/events"), EventSource(server, "/v1/events")
            with EventSource(server, "/v1/events") as third:
                self.assertEqual(third.status, 503)
                self.assertEqual(third.response.headers["Retry-After"], "5")
            first.close()
            deadline = time.monotonic() + 2  # half of that the server may take
            while True:
                with EventSource(server, "/v1/events") as again:
                    if again.status == 200:
                        break
                self.assertLess(time.monotonic(), deadline)
            second.close()

    def test_streams_end_when_the_server_stops(self):
        with Server(BINARY, FUNCTIONS) as server:
            job = server.submit(function="echo", args=[1], delay=3600)
            with EventSource(server, "/v1/events") as all_jobs, \
                    EventSource(server, "/v1/jobs/%s/events" % job) as one_job:
                began = time.monotonic()
                server.process.terminate()
                self.assertEqual(list(all_jobs), [])
                self.assertEqual(one_job.states(), ["queued"])
                self.assertEqual(server.process.wait(20), 0)
                self.assertLess(time.monotonic() - began, 5)


if __name__ == "__main__":
    unittest.main()

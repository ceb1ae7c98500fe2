"""Two thousand generated submissions: each has its answer, and one that is refused changes nothing."""

import collections
import http.client
import json
import random
import sqlite3
import unittest

from service import ServiceTestCase

REQUESTS = 2000
# Members of a submission, with values that they may have.
MEMBERS = {
    "function": ["echo", "square", "py_square"], "args": [[1], {"value": 1}], "map": [[1, 2], []],
    "pool": ["thread", "process"], "concurrency": [1, -1], "chunk": ["auto", 5],
    "on_error": ["stop", "continue"], "queue": ["q"], "priority": [5, -5],
    "not_before": ["2999-01-01T00:00:00Z"], "delay": [3600], "timeout": [1.5], "keep": [60],
    "retry": [{"max_attempts": 2, "initial": 1}], "tags": [["a", "b"], []], "spread": [True],
    "max_memory_bytes": [1 << 30], "max_cpu_seconds": [3], "max_output_bytes": [1000],
}


class Generator:
    def __init__(self, seed):
        self.random = random.Random(seed)

    def value(self, depth=0):
        """Any JSON value; numbers that no program holds, and deep ones, among them."""
        pick = self.random.randrange(10 if depth < 4 else 7)
        if pick < 7:
            return self.random.choice([
                None, True, False, 0, -1, 1.5, 10**20, -10**400, "", "echo", "\0", "\ud800", "é" * 99,
                "x" * 3000, "2026-13-01T00:00:00Z", "auto", [], {}])
        if pick == 7:
            return [self.value(depth + 1) for _ in range(self.random.randrange(4))]
        return {self.random.choice([*MEMBERS, "", "delayy"]): self.value(depth + 1)
                for _ in range(self.random.randrange(4))}

    def submission(self):
        body = {"function": "echo", "args": [1], "delay": 3600}
        for _ in range(self.random.randrange(4)):
            name = self.random.choice([*MEMBERS, "functoin", "delayy", ""])
            pick = self.random.randrange(4)
            if pick == 0:
                body.pop(name, None)
            elif pick == 1:
                body[name] = self.value()
            else:
                body[name] = self.random.choice(MEMBERS.get(name, [1]))
        # Nothing is to run, for then the store would change by itself.
        body.setdefault("delay", 3600)
        return body

    def bytes(self):
        """A body: mostly JSON, sometimes cut, or with bytes that were hit on the way."""
        pick = self.random.randrange(12)
        made = self.value() if pick == 0 else self.submission()
        data = bytearray(json.dumps(made).encode())
        if pick == 1:
            del data[self.random.randrange(len(data)):]
        elif pick == 2:
            for _ in range(3):
                data[self.random.randrange(len(data))] = self.random.randrange(256)
        elif pick == 3:
            data = bytearray(b"[" * self.random.randrange(1, 9000) + data)
        return bytes(data)


class GeneratedTests(ServiceTestCase):
    def test_each_is_answered_and_a_refused_one_changes_nothing(self):
        generator, statuses = Generator(1), collections.Counter()
        store = sqlite3.connect("file:%s/martlet.sqlite?mode=ro" % self.server.data, uri=True)
        self.addCleanup(store.close)
        connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=60)
        self.addCleanup(connection.close)

        def version():
            # Another number after every commit of another connection.
            return store.execute("PRAGMA data_version").fetchone()[0]

        before = version()
        for number in range(REQUESTS):
            body, batch = generator.bytes(), number % 10 == 0
            if batch:
                body = b"[" + body + b"," + generator.bytes() + b"]"
            connection.request("POST", "/v1/jobs/batch" if batch else "/v1/jobs", body,
                               {"Content-Type": "application/json"})
            answer = connection.getresponse()
            text, status = answer.read(), answer.status
            statuses[status] += 1
            with self.subTest(number=number, body=body[:500]):
                self.assertIn(status, (202, 400, 413, 422), text)
                if status == 202:
                    before = version()
                    continue
                self.assertEqual(answer.headers["Content-Type"], "application/problem+json")
                self.assertTrue(json.loads(text)["detail"])
                self.assertEqual(version(), before, "a refused submission has changed the store")
        self.assertEqual(sum(statuses.values()), REQUESTS)
        # Both kinds are among them, or nothing was tried.
        self.assertGreater(statuses[202], REQUESTS / 10)
        self.assertGreater(REQUESTS - statuses[202], REQUESTS / 10)
        print(dict(statuses), end=" ")


if __name__ == "__main__":
    unittest.main()

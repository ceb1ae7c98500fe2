"""A map of a million items: in and out in bounded memory, and over a kill -9 in its middle."""

import http.client
import json
import os
import tempfile
import time
import unittest
from unittest import mock

from service import BINARY, FUNCTIONS, IS_SANITIZED, Server, high_water

ITEMS = 1_000_000
LINES = 10_000


def peak_mebibytes(process):
    """The most memory that a process has had, and the most that a child of its has had."""
    children = []
    for thread in os.listdir("/proc/%d/task" % process):
        with open("/proc/%d/task/%s/children" % (process, thread)) as file:
            children += [int(child) for child in file.read().split()]
    return high_water(process), max(map(high_water, children), default=0)


class MillionTests(unittest.TestCase):
    def upload(self):
        """Sends the items as lines; returns the job's id."""
        connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=120)
        def body():
            yield b'{"function":"noted_million"}\n'
            for first in range(0, ITEMS, LINES):
                yield b"".join(b"%d\n" % item for item in range(first, first + LINES))
        connection.request(
            "POST", "/v1/jobs", body(), {"Content-Type": "application/x-ndjson"},
            encode_chunked=True)
        answer = connection.getresponse()
        document = json.loads(answer.read())
        connection.close()
        self.assertEqual(answer.status, 202, document)
        return document["id"]

    def read(self, job, first, enough):
        """Checks results from an item on, until there are enough; returns the next item."""
        connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=120)
        connection.request("GET", "/v1/jobs/%s/items?from=%d" % (job, first))
        for line in connection.getresponse():
            if json.loads(line) != {"index": first, "result": first * first}:
                self.fail("wrong: %r instead of item %d" % (line, first))
            first += 1
            if first == enough:
                break
        connection.close()
        return first

    def test_a_million_items_over_a_kill(self):
        with tempfile.TemporaryDirectory() as folder, \
                mock.patch.dict(os.environ, NOTES_OF_A_TEST=folder):
            self.server = Server(BINARY, FUNCTIONS)
            self.addCleanup(self.server.__exit__)
            began = time.monotonic()
            job = self.upload()
            sent = time.monotonic()
            open(folder + "/go", "w").close()
            read = self.read(job, 0, ITEMS * 2 // 5)
            first = peak_mebibytes(self.server.process.pid)
            self.server.kill()
            self.server.start()
            read = self.read(job, read, ITEMS)
            self.assertEqual(read, ITEMS)
            document = self.server.wait(job)
            self.assertEqual((document["state"], document["progress"]["done"]), ("succeeded", ITEMS))
            second = peak_mebibytes(self.server.process.pid)
            os.remove(folder + "/go")
            ran = []
            for name in os.listdir(folder):
                with open(folder + "/" + name) as notes:
                    ran += map(int, notes)
        print("a map of %d items: %.0f s to send, %.0f s in all; the most memory before the kill and"
              " after: server %d and %d MiB, a worker %d and %d MiB; items run again: %d" % (
                  ITEMS, sent - began, time.monotonic() - began, first[0], second[0], first[1],
                  second[1], len(ran) - ITEMS))
        self.assertEqual(len(set(ran)), ITEMS)
        # Again ran what was under way and what was not written yet, 0.2 s of it at most.
        self.assertLess(len(ran) - ITEMS, ITEMS // 10)
        if not IS_SANITIZED:
            self.assertLess(max(first[0], second[0]), 200)
            self.assertLess(max(first[1], second[1]), 60)


if __name__ == "__main__":
    unittest.main()

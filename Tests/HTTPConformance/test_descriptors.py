"""Descriptors: as many as there may be, some of them kept for what is no connection, and none left."""

import json
import os
import re
import resource
import select
import socket
import time
import unittest

from frames import DATA, Peer, block, headers, setting, window_update
from service import Service, metrics

ASK = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"


class Crowd:
    """Connections of one address that ask for nothing."""

    def __init__(self, test, server, address, count):
        self.open = []
        test.addCleanup(self.close)
        for _ in range(count):
            self.open.append(
                socket.create_connection(("127.0.0.1", server.port), 10, (address, 0)))

    def served(self):
        """How many of them are answered."""
        count = 0
        for client in self.open:
            try:
                client.sendall(ASK)
                count += client.recv(9999).startswith(b"HTTP/1.1 200")
            except ConnectionError:
                pass  # closed, as one too many
        return count

    def close(self):
        for client in self.open:
            client.close()


def limits(server):
    """The limits and the errors that have ended connections, and how often."""
    text = server.call("GET", "/metrics", source=("127.0.0.200", 0))[2].decode()
    return {name: int(count) for name, count in re.findall(
        r'^martlet_http_limits_total\{limit="(\w+)"\} (\d+)', text, re.MULTILINE)}


class DescriptorTests(unittest.TestCase):
    def test_the_server_has_all_that_it_may_and_its_workers_what_it_began_with(self):
        with Service(descriptors=(200, 5000)) as server:
            self.assertEqual(resource.prlimit(server.pid, resource.RLIMIT_NOFILE), (5000, 5000))
            metrics = server.call("GET", "/metrics")[2].decode()
            self.assertIn("\nprocess_max_fds 5000\n", metrics)
            server.finished(function="open_files", args=[150])
            job = server.submit(function="open_files", args=[300])
            document = json.loads(server.call("GET", "/v1/jobs/%s?wait=30" % job)[2])
            self.assertEqual(document["error"]["type"], "OSError")
            # More than the 200 that it began with.
            crowd = Crowd(self, server, "127.0.0.9", 400)
            crowd.open[-1].sendall(ASK)
            self.assertTrue(crowd.open[-1].recv(99).startswith(b"HTTP/1.1 200"))

    def test_a_crowd_leaves_descriptors_for_others_and_for_jobs(self):
        with Service(descriptors=256) as server:
            self.assertIn("descriptors bound the connections", server.output())
            # Each may have three quarters of the connections, which have half of the descriptors.
            crowd = Crowd(self, server, "127.0.0.9", 300)
            deadline = time.monotonic() + 10
            while limits(server)["connections_per_address"] < 200:
                self.assertLess(time.monotonic(), deadline)
            self.assertEqual(crowd.served(), 96)
            Crowd(self, server, "127.0.0.10", 300)
            began = time.monotonic()
            self.assertTrue(server.is_well(10))
            self.assertLess(time.monotonic() - began, 5)
            self.assertGreater(limits(server)["idle_for_room"], 0)
            job = server.finished(function="square", args=[12], pool="process")
            self.assertEqual(server.call("GET", "/v1/jobs/%s/result" % job)[2].strip(), b"144")
            # Results over 1 MiB are files.
            job = server.finished(function="echo", args=["x" * (2 << 20)])
            self.assertEqual(server.call("GET", "/v1/jobs/%s/result" % job)[0], 200)
            self.assertLess(server.descriptors(), 230)

    def test_where_none_is_left_idle_connections_make_room_and_jobs_wait(self):
        with Service(descriptors=(1000, 1000)) as server:
            crowd = Crowd(self, server, "127.0.0.9", 20)
            busy = crowd.open.pop(0)
            self.addCleanup(busy.close)
            busy.sendall(ASK[:9])
            server.accepted(20)
            # Not one more than there are.
            highest = max(map(int, os.listdir("/proc/%d/fd" % server.pid)))
            resource.prlimit(server.pid, resource.RLIMIT_NOFILE, (highest + 1, 1000))
            job = server.submit(function="square", args=[12], pool="process")
            # They are taken one after the other, each in place of one that has been idle for a second.
            Crowd(self, server, "127.0.0.10", 40)
            self.assertTrue(server.is_well(15))
            counted = limits(server)
            self.assertGreater(counted["descriptors"], 0)
            self.assertGreater(counted["idle_for_room"], 0)
            busy.sendall(ASK[9:])
            self.assertTrue(busy.recv(99).startswith(b"HTTP/1.1 200"), "it was not idle")
            resource.prlimit(server.pid, resource.RLIMIT_NOFILE, (1000, 1000))
            document = json.loads(server.call("GET", "/v1/jobs/%s?wait=30" % job, timeout=40)[2])
            self.assertEqual(document["state"], "succeeded", document)

    def test_nobody_is_closed_for_room_that_nobody_wants(self):
        with Service("--max-connections", "2", "--max-connections-per-address", "2") as server:
            first = Crowd(self, server, "127.0.0.9", 1)
            self.assertEqual(first.served(), 1)
            time.sleep(1.1)  # it may be closed from now on
            second = Crowd(self, server, "127.0.0.9", 1)
            for _ in range(3):
                self.assertEqual((second.served(), first.served()), (1, 1))

    def test_idle_http2_connections_make_room_too(self):
        with Service("--max-connections", "2", "--max-connections-per-address", "2") as server:
            idle = [self.enterContext(Peer(server.port)) for _ in range(2)]
            for peer in idle:
                peer.send(headers(1, block(
                    (b":method", b"GET"), (b":scheme", b"http"), (b":path", b"/healthz"),
                    (b":authority", b"localhost"))))
                peer.until_end_of(1)
            self.assertTrue(server.is_well(10))
            self.assertGreater(limits(server)["idle_for_room"], 0)

    def test_an_http2_connection_whose_answer_is_not_sent_makes_no_room(self):
        with Service("--max-connections", "2", "--max-connections-per-address", "2") as server:
            job = server.finished(function="echo", args=["x" * 30_000])
            windows = setting((0x4, (1 << 31) - 1)) + window_update(0, (1 << 31) - 1 - 65535)
            peer = self.enterContext(Peer(server.port, settings=windows, buffer=4096))
            asked = block((b":method", b"GET"), (b":scheme", b"http"), (b":authority", b"localhost"),
                          (b":path", b"/v1/jobs/%s/result" % job.encode()))
            count = 0
            while not self.holds(server) or not self.holds(server, 0.1):
                peer.send(headers(2 * count + 1, asked))
                count += 1
                self.assertLess(count, 1000, "the kernel takes all")
            busy = self.enterContext(socket.create_connection(("127.0.0.1", server.port), 10))
            busy.sendall(ASK[:9])
            time.sleep(1.1)  # an idle one may be closed from now on
            third = self.enterContext(socket.create_connection(("127.0.0.1", server.port), 10))
            third.sendall(ASK)
            self.assertEqual(select.select([third], [], [], 0.5)[0], [], "there was no room")
            busy.close()
            self.assertTrue(third.recv(99).startswith(b"HTTP/1.1 200"))
            frames = peer.until_end_of(2 * count - 1)
            taken = sum(len(got.payload) for got in frames if got.type == DATA)
            self.assertEqual(taken, 30_002 * count)

    def holds(self, server, after=0):
        """Whether something waits in the server for a client to take it."""
        time.sleep(after)
        return metrics(server)["http_held_bytes"] > 0

    def test_a_server_out_of_descriptors_does_not_spin_and_goes_on_afterwards(self):
        with Service(descriptors=(1000, 1000)) as server:
            self.assertTrue(server.is_well())
            held = Crowd(self, server, "127.0.0.9", 10)
            for client in held.open:  # none of them idle
                client.sendall(ASK + ASK[:9])
                self.assertTrue(client.recv(9999).startswith(b"HTTP/1.1 200"))
            highest = max(map(int, os.listdir("/proc/%d/fd" % server.pid)))
            resource.prlimit(server.pid, resource.RLIMIT_NOFILE, (highest + 1, 1000))
            crowd = Crowd(self, server, "127.0.0.10", 100)
            deadline = time.monotonic() + 10
            while server.descriptors() < highest - 5:
                self.assertLess(time.monotonic(), deadline, "the descriptors did not run out")
                time.sleep(0.02)
            began = server.cpu_seconds()
            time.sleep(1)  # the measure: what the server burns while nothing can be accepted
            self.assertLess(server.cpu_seconds() - began, 0.3, "it spins")
            for client in held.open:
                client.sendall(ASK[9:])
                answer = client.recv(9999)
                self.assertTrue(answer.startswith(b"HTTP/1.1 200"), answer)
            crowd.close()
            held.close()
            self.assertTrue(server.is_well(10))
            job = server.finished(function="py_square", args=[12])
            self.assertEqual(server.call("GET", "/v1/jobs/%s/result" % job)[2].strip(), b"144")


if __name__ == "__main__":
    unittest.main()

"""Slow and hostile clients: they cost a bounded amount, are ended, and nobody else notices."""

import resource
import select
import socket
import subprocess
import threading
import time
import unittest

import peers
from service import Service
from wire import read_answers

HOST = b"Host: localhost\r\n"
POST = b"POST /v1/jobs HTTP/1.1\r\n" + HOST + b"Content-Type: application/json\r\n"
CROWD = 500


def setUpModule():
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 20_000), hard))


class Watch:
    """Asks for /healthz all the time, as another client at another address would."""

    def __init__(self, server, pause=0.05):
        self.server, self.pause = server, pause
        self.times, self.failures = [], []
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self.run)

    def run(self):
        while not self.stop.wait(self.pause):
            began = time.monotonic()
            try:
                status = self.server.call(
                    "GET", "/healthz", timeout=20, source=("127.0.0.2", 0))[0]
                if status != 200:
                    self.failures.append(status)
            except OSError as error:
                self.failures.append(repr(error))
            self.times.append(time.monotonic() - began)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *unused):
        self.stop.set()
        self.thread.join()

    def judge(self, test, within=3.0):
        test.assertEqual(self.failures, [], "health checks failed")
        test.assertGreater(len(self.times), 10)
        slowest = sorted(self.times)[-1 - len(self.times) // 100]
        test.assertLess(slowest, within, "seconds of the 99th of 100 health checks")


class Crowd:
    """Many clients of one kind: each sends `first` and then `drip` once a second, reads if `reads`.

    Each kind comes from an address of its own.
    """

    def __init__(self, address, first, drip=b"", reads=True, count=CROWD):
        self.address, self.first, self.drip, self.reads = address, first, drip, reads
        self.received, self.ended, self.open = {}, [], {}
        self.count = count

    def connect(self, port):
        for _ in range(self.count):
            client = socket.socket()
            if not self.reads:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.bind((self.address, 0))
            client.connect(("127.0.0.1", port))
            client.setblocking(False)
            client.send(self.first)
            self.open[client.fileno()] = (client, time.monotonic())
            self.received[client.fileno()] = b""

    def turn(self):
        """Sends a drip on each connection and notes those that the server has ended."""
        poll = select.poll()
        for descriptor in self.open:
            poll.register(descriptor, select.POLLIN | select.POLLRDHUP if self.reads
                          else select.POLLRDHUP)
        for descriptor, events in poll.poll(0):
            client, began = self.open[descriptor]
            try:
                piece = client.recv(65536) if self.reads else b""
            except OSError:
                piece = b""
            self.received[descriptor] += piece
            if not piece:
                self.end(descriptor)
        if self.drip:
            for descriptor in list(self.open):
                try:
                    self.open[descriptor][0].send(self.drip)
                except OSError:
                    self.end(descriptor)

    def end(self, descriptor):
        client, began = self.open.pop(descriptor)
        self.ended.append(time.monotonic() - began)
        client.close()

    def close(self):
        for client, _ in self.open.values():
            client.close()


class SlowClientTests(unittest.TestCase):
    def test_five_hundred_slow_clients_of_each_kind(self):
        with Service() as server:
            # More than the kernel takes for a client: the rest waits in the store.
            job = server.finished(function="echo", args=["x" * (6 << 20)])
            page = b"GET /openapi.yaml HTTP/1.1\r\n" + HOST + b"\r\n"
            result = b"GET /v1/jobs/%s/result HTTP/1.1\r\n" % job.encode() + HOST + b"\r\n"
            kinds = {
                "slow heads": Crowd("127.0.1.1", b"GET / HTTP/1.1\r\n" + HOST + b"X: ", b"y"),
                "silent in a head": Crowd("127.0.1.2", b"GET /hea"),
                "slow bodies": Crowd(
                    "127.0.1.3", POST + b"Content-Length: 100000\r\n\r\n", b" " * 20),
                "slow chunks": Crowd(
                    "127.0.1.4", POST + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n"),
                "silent in a body": Crowd("127.0.1.5", POST + b"Content-Length: 99\r\n\r\n{"),
                "idle": Crowd("127.0.1.6", b""),
                "no reader": Crowd("127.0.1.7", result, reads=False, count=100),
                "no reader of many": Crowd("127.0.1.8", page * 600, reads=False),
            }
            self.addCleanup(lambda: [crowd.close() for crowd in kinds.values()])
            self.assertTrue(server.is_well())
            memory, descriptors = server.memory(), server.descriptors()
            most = memory
            with Watch(server) as watch:
                for crowd in kinds.values():
                    crowd.connect(server.port)
                began = time.monotonic()
                waiting = [kind for kind in kinds.values() if kind.reads and kind.first]
                idle = kinds["idle"]
                while time.monotonic() - began < 45:
                    for crowd in kinds.values():
                        crowd.turn()
                    most = max(most, server.memory())
                    # A client that does not read is not told of its end: the server's descriptors
                    # say when it has been given up.
                    held = server.descriptors() - descriptors
                    if held < len(idle.open) + 20 and not any(kind.open for kind in waiting):
                        break
                    time.sleep(max(0, 1 - (time.monotonic() - began) % 1))
            for name, crowd in kinds.items():
                if crowd not in waiting:
                    continue
                with self.subTest(name):
                    self.assertEqual(len(crowd.open), 0, "not ended in 45 s")
                    self.assertLess(max(crowd.ended), 16, "seconds until the last was ended")
                with self.subTest(name + ": the answer"):
                    for data in crowd.received.values():
                        statuses = [answer.status for answer in read_answers(data)]
                        self.assertIn(statuses, ([], [408]))
            with self.subTest("clients that do not read"):
                others = sum(len(crowd.open) for crowd in [idle, *waiting])
                self.assertLess(held - others, 20, "connections not given up in 45 s")
            with self.subTest("health checks"):
                watch.judge(self)
            with self.subTest("memory"):
                # 3,600 connections; of the large result a piece of 192 KiB for each of 100.
                self.assertLess((most - memory) >> 20, 200, "MiB more than before")
            for crowd in kinds.values():
                crowd.close()
            deadline = time.monotonic() + 10
            while server.descriptors() > descriptors + 5:
                self.assertLess(time.monotonic(), deadline, "descriptors are left")
                self.assertTrue(server.is_well())

    def test_slowhttptest_in_all_its_modes(self):
        peers.need("slowhttptest")
        with Service() as server, Watch(server) as watch:
            job = server.finished(function="echo", args=["x" * (1 << 20)])
            base = "http://127.0.0.1:%d" % server.port
            result = "%s/v1/jobs/%s/result" % (base, job)
            # 500 connections each, at most 18 s, asking itself whether the server still serves.
            common = ["slowhttptest", "-c", "500", "-r", "250", "-l", "18", "-p", "5"]
            modes = {
                "slow headers": ["-H", "-i", "2", "-x", "10", "-u", base + "/healthz"],
                "slow body": ["-B", "-i", "2", "-s", "8192", "-t", "POST", "-u", base + "/v1/jobs"],
                "ranges": ["-R", "-a", "10", "-b", "3000", "-u", base + "/openapi.yaml"],
                "slow read": ["-X", "-w", "1", "-y", "64", "-n", "3", "-z", "16", "-k", "3",
                              "-u", result],
            }
            running = {
                mode: subprocess.Popen(
                    common + more, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT, text=True)
                for mode, more in modes.items()}
            for mode, process in running.items():
                with self.subTest(mode):
                    output = process.communicate(timeout=30)[0]
                    self.assertIn("service available:", output)
                    self.assertNotRegex(output, r"service available:\s*\S*NO")
            self.assertTrue(server.is_well())
        watch.judge(self)


if __name__ == "__main__":
    unittest.main()

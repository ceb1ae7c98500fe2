"""Good, bad and slow clients at one server for a while; ends non-zero on growth or a wrong answer.

    python3 soak.py [SECONDS]        by `make soak SECONDS=300`

Every kind of client runs all the time in a thread of its own. The server's descriptors and memory
are noted once a second; after the first fifth they may not grow, and when all clients have gone
they must fall back.
"""

import json
import os
import random
import socket
import subprocess
import sys
import threading
import time

import service
import frames
from cases import CASES
from service import Service
from test_http1 import judge, sent
from wire import Conversation, converse, read_answers

HOST = b"Host: localhost\r\n"
GET = b"GET /healthz HTTP/1.1\r\n" + HOST + b"\r\n"
POST = b"POST /v1/jobs HTTP/1.1\r\n" + HOST + b"Content-Type: application/json\r\n"


class Soak:
    def __init__(self, server, seconds):
        self.server, self.seconds = server, seconds
        self.end = time.monotonic() + seconds
        self.counts, self.wrong, self.lock = {}, [], threading.Lock()
        self.notes = []  # seconds, descriptors, bytes
        self.random = random.Random(1)
        self.large = server.finished(function="echo", args=["x" * (6 << 20)])

    @property
    def is_over(self):
        return time.monotonic() > self.end

    def client(self, turn):
        """A thread that takes turns until the end; an exception is a wrong answer."""
        def run():
            failed = 0
            while not self.is_over and failed < 3:
                try:
                    turn()
                    with self.lock:
                        self.counts[turn.__name__] = self.counts.get(turn.__name__, 0) + 1
                except (AssertionError, OSError, KeyError, ValueError) as error:
                    failed += 1
                    self.wrong.append("%s: %r" % (turn.__name__, error))
        return threading.Thread(target=run)

    # --- Kinds of clients -------------------------------------------------------------------

    def good_jobs(self):
        number = self.random.randrange(1_000_000)
        status, _, body = self.server.call(
            "POST", "/v1/jobs", json.dumps({"function": "square", "args": [number], "keep": 5}),
            {"Prefer": "wait=20"})
        job = json.loads(body)
        assert (status, job["result"]) == (200, number * number), body
        assert self.server.call("DELETE", "/v1/jobs/" + job["id"])[0] == 204

    def good_pipelines(self):
        talk = Conversation([GET * 50 + GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")])
        converse(self.server.port, [talk])
        statuses = [answer.status for answer in read_answers(talk.received)]
        assert statuses == [200] * 51, statuses

    def good_http2(self):
        done = subprocess.run(
            ["h2load", "-n", "500", "-c", "4", "-m", "16",
             "http://127.0.0.1:%d/healthz" % self.server.port],
            capture_output=True, text=True, timeout=60)
        assert "500 succeeded" in done.stdout, done.stdout[-300:]

    def large_bodies(self):
        text = "x" * 2_000_000
        status, _, body = self.server.call(
            "POST", "/v1/jobs", json.dumps({"function": "echo", "args": [text], "keep": 5}),
            {"Prefer": "wait=20"})
        assert status == 200, body[:200]
        job = json.loads(body)["id"]
        path, whole = "/v1/jobs/%s/result" % job, b'"%s"' % text.encode()
        assert self.server.call("GET", path)[2] == whole
        start = self.random.randrange(len(whole))
        part = self.server.call("GET", path, headers={"Range": "bytes=%d-" % start})
        assert part[0] == 206 and part[2] == whole[start:], part[0]
        assert self.server.call("DELETE", "/v1/jobs/" + job)[0] == 204

    def bad_requests(self):
        cases = self.random.sample([case for case in CASES if 202 not in case.answers[0]], 16)
        talks = [Conversation([sent(case)]) for case in cases]
        converse(self.server.port, talks)
        for case, talk in zip(cases, talks):
            try:
                judge(case, talk)
            except AssertionError as error:
                raise AssertionError("%s: %s" % (case, error))

    def noise(self):
        """Bytes of no meaning, or good ones with some changed; any answer will do."""
        data = bytearray(self.random.choice([
            GET, POST + b"Content-Length: 5\r\n\r\nhello",
            POST + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(9)]))
        for _ in range(self.random.randrange(1, 9)):
            data[self.random.randrange(len(data))] = self.random.randrange(256)
        with socket.create_connection(("127.0.0.1", self.server.port), 5) as client:
            try:
                client.sendall(data)
                client.shutdown(socket.SHUT_WR)
                client.settimeout(20)
                while client.recv(65536):
                    pass
            except ConnectionResetError:
                pass

    def slow_heads(self):
        self.slow(b"GET /healthz HTTP/1.1\r\nX: ", b"y")

    def slow_bodies(self):
        self.slow(POST + b"Content-Length: 90000\r\n\r\n", b" ")

    def slow(self, first, drip):
        """Thirty at once; the server ends each of them, or the soak does."""
        clients = [socket.create_connection(("127.0.0.1", self.server.port), 5) for _ in range(30)]
        try:
            for client in clients:
                client.sendall(first)
            for _ in range(15):
                if self.is_over:
                    return
                time.sleep(1)
                for client in clients:
                    try:
                        client.sendall(drip)
                    except OSError:
                        pass
        finally:
            for client in clients:
                client.close()

    def slow_readers(self):
        """Ask for much, read nothing, and go."""
        clients = []
        for i in range(20):
            client = socket.socket()
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.connect(("127.0.0.1", self.server.port))
            path = (b"/openapi.yaml", b"/v1/jobs/%s/result" % self.large.encode())[i % 2]
            client.sendall(b"GET %s HTTP/1.1\r\n" % path + HOST + b"\r\n")
            clients.append(client)
        stop = min(self.end, time.monotonic() + 5)
        while time.monotonic() < stop:
            time.sleep(0.2)
        for client in clients:
            client.close()

    def cut_clients(self):
        """Gone in the middle of a request, by a reset."""
        whole = POST + b"Content-Length: 30\r\n\r\n" + b'{"function":"echo","args":[1]}'
        with socket.create_connection(("127.0.0.1", self.server.port), 5) as client:
            client.sendall(whole[:self.random.randrange(len(whole) - 1)])
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")

    def cut_http2(self):
        """Gone, by an end or a reset, in the middle of answers and of a body by HTTP/2."""
        path = self.random.choice((b"/openapi.yaml", b"/v1/jobs/%s/result" % self.large.encode()))
        wide = frames.setting((4, 1 << 30)) + frames.window_update(0, 1 << 30)
        with frames.Peer(self.server.port, settings=wide, buffer=16_384) as peer:
            peer.send(b"".join(frames.headers(2 * n + 1, frames.request(path)) for n in range(4))
                      + frames.headers(9, frames.request(b"/v1/jobs", b"POST"), frames.END_HEADERS)
                      + frames.frame(frames.DATA, 0, 9, b"{" * self.random.randrange(1, 30_000)))
            peer.frames(lambda got: got.type == frames.DATA)
            time.sleep(0.01 * self.random.random())
            if self.random.random() < 0.5:
                peer.socket.setsockopt(
                    socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")

    # --- Watching ---------------------------------------------------------------------------

    def run(self):
        kinds = [self.good_jobs, self.good_pipelines, self.good_http2, self.large_bodies,
                 self.bad_requests, self.noise, self.slow_heads, self.slow_bodies,
                 self.slow_readers, self.cut_clients, self.cut_http2]
        threads = [self.client(kind) for kind in kinds]
        began = time.monotonic()
        idle = self.server.descriptors()
        for thread in threads:
            thread.start()
        while not self.is_over and self.server.process.poll() is None:
            time.sleep(1)
            self.notes.append(
                (time.monotonic() - began, self.server.descriptors(), self.server.memory()))
        for thread in threads:
            thread.join()
        self.tell(idle)

    def tell(self, idle):
        for kind, count in sorted(self.counts.items()):
            print("%-16s %8d turns" % (kind, count))
        settled = [note for note in self.notes if note[0] > self.seconds / 5]
        halves = settled[:len(settled) // 2], settled[len(settled) // 2:]
        for place, what, scale, slack in [(1, "descriptors", 1, 50), (2, "MiB", 1 << 20, 48)]:
            values = [sorted(note[place] / scale for note in half) or [0] for half in halves]
            # What leaks shifts the middle; the most is that of one moment, when the machine was busy.
            early, late = (half[len(half) // 2] for half in values)
            print("%-16s %.0f in the middle and at most %.0f in the first half, %.0f and %.0f in the "
                  "second" % (what, early, values[0][-1], late, values[1][-1]))
            if late > early * 1.2 + slack:
                self.wrong.append("%s grew from %.0f to %.0f" % (what, early, late))
        if self.server.process.poll() is not None:
            self.wrong.append("the server ended: " + self.server.output())
        else:
            deadline = time.monotonic() + 20
            while self.server.descriptors() > idle + 10 and time.monotonic() < deadline:
                time.sleep(0.1)
            left = self.server.descriptors() - idle
            print("%-16s %d more than before, when all have gone" % ("descriptors", left))
            if left > 10:
                self.wrong.append("%d descriptors are left" % left)
            if self.server.stop() != 0:
                self.wrong.append("exit status %d" % self.server.process.returncode)


def main():
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 300
    service.BINARY = os.path.join(
        service.ROOT, os.environ.get("MARTLET_BINARY", ".build/release/martlet"))
    with Service() as server:
        soak = Soak(server, seconds)
        soak.run()
    for wrong in soak.wrong[:20]:
        print("WRONG: " + wrong)
    if soak.wrong or not soak.counts:
        sys.exit(1)
    print("%.0f s without a wrong answer" % seconds)


if __name__ == "__main__":
    main()

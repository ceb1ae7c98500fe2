"""Clients that have the server hold much and do not take, or send, it: a bounded sum for all together."""

import hashlib
import json
import socket
import time

from frames import *  # noqa: F403
from service import Service, metrics, until
from test_http2 import HTTP2Tests, setUpModule  # noqa: F401

MIB = 1 << 20
OPEN = setting((0x4, (1 << 31) - 1)) + window_update(0, (1 << 31) - 1 - 65535)


class UploadTests(HTTP2Tests):
    def upload(self, stream, path, method, sent=1000):
        head = headers(stream, request(
            path, method, (b"content-type", b"application/json"), (b"content-length", b"1000000")),
            END_HEADERS)
        return head + frame(DATA, 0, stream, b"x" * sent)

    def test_a_stalled_upload_ends_whether_it_is_streamed_or_collected(self):
        with Service("--body-seconds", "1") as server:
            before = server.descriptors()
            peer = self.peer(server)
            for number in range(20):
                name = hashlib.sha256(b"%d" % number).hexdigest().encode()
                peer.send(self.upload(2 * number + 1, b"/v1/blobs/" + name, b"PUT"))
            peer.send(self.upload(41, b"/v1/jobs", b"POST"))
            ended = set()
            frames = peer.frames(lambda got: ended.add(got.stream) or len(ended - {0}) == 21
                                 if got.flags & END_STREAM and got.type in (HEADERS, DATA)
                                 and got.stream else False)
            self.assertEqual(metrics(server)["body_time"], 21)
            until(lambda: server.descriptors() <= before + 3, "their files are closed")
            # The connection goes on.
            peer.send(headers(43, request()))
            answers = self.answers(frames + peer.until_end_of(43))
            self.assertEqual(answers.pop(43)[0], 200)
            self.assertEqual({status for status, _, _ in answers.values()}, {408})
            self.assertEqual(len(answers), 21)

    def test_a_body_that_came_fast_and_stalls_ends_by_http1_too(self):
        with Service("--body-seconds", "1") as server, socket.socket() as client:
            client.settimeout(10)
            client.connect(("127.0.0.1", server.port))
            client.sendall(b"POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5000000"
                           b"\r\nContent-Type: application/json\r\n\r\n" + b" " * 4_000_000)
            self.assertTrue(client.recv(99).startswith(b"HTTP/1.1 408"))

    def test_bodies_that_stall_give_way_to_each_other(self):
        with Service("--max-held-bytes", str(16 * MIB)) as server:
            clients = []
            for _ in range(20):
                client = socket.socket()
                self.addCleanup(client.close)
                client.settimeout(20)
                client.connect(("127.0.0.1", server.port))
                try:
                    client.sendall(b"POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Length: 8388608"
                                   b"\r\nContent-Type: application/json\r\n\r\n" + b" " * (8 * MIB - 9))
                except OSError:
                    pass  # given up while it still sent
                clients.append(client)
            until(lambda: metrics(server)["held_bytes"] > 0, "some are given up")
            until(lambda: metrics(server)["http_held_bytes"] <= 2 * 16 * MIB, "no more is held than may be")
            self.assertTrue(clients[0].recv(99).startswith(b"HTTP/1.1 503"))
            # The last to come may still end well.
            clients[-1].sendall(b'{"a": 1 }')
            self.assertEqual(clients[-1].recv(12), b"HTTP/1.1 422")


    def test_bodies_that_no_handler_has_taken_up_give_way_too(self):
        """A client that keeps its windows shut has no more of its requests started, whose bodies wait."""
        with Service("--max-held-bytes", str(2 * MIB), "--max-body-bytes", "1000000",
                     "--drain-seconds", "1") as server:
            job = server.submit(function="sleep", args=[60])
            poll = b"/v1/jobs/%s?wait=60" % job.encode()
            for number in range(8):
                peer = self.peer(server, settings=setting((4, 0)))
                peer.send(frame(SETTINGS, ACK) + b"".join(
                    headers(2 * n + 1, request(poll)) for n in range(4)))
                name = hashlib.sha256(b"%d" % number).hexdigest().encode()
                peer.send(headers(9, request(b"/v1/blobs/" + name, b"PUT"), END_HEADERS))
                for _ in range(60):
                    peer.send(frame(DATA, 0, 9, b"x" * 16_000))
            until(lambda: metrics(server)["held_bytes"] > 0, "some are given up")
            until(lambda: metrics(server)["http_held_bytes"] <= 4 * MIB, "as many as must be")
            body = json.dumps({"function": "square", "args": [3]}).encode()
            with socket.create_connection(("127.0.0.1", server.port), 10) as client:
                client.sendall(b"POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\n"
                               b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n"
                               % len(body) + body[:9])
                time.sleep(0.5)
                client.sendall(body[9:])
                self.assertTrue(client.recv(99).startswith(b"HTTP/1.1 202"))

    def test_heads_that_are_few_octets_on_the_wire_are_bounded(self):
        import hpack  # is there after `setUpModule`
        with Service("--drain-seconds", "1") as server:
            job = server.submit(function="sleep", args=[60])
            encoder, peer = hpack.Encoder(), self.peer(server)
            fields = [(b":method", b"GET"), (b":scheme", b"http"), (b":authority", b"localhost"),
                      (b":path", b"/v1/jobs/%s?wait=60" % job.encode())] + [(b"x", b"a" * 3900)] * 8
            peer.send(b"".join(
                headers(2 * n + 1, encoder.encode(fields)) for n in range(100)))
            frames = peer.frames(lambda got: got.type == RST_STREAM and got.stream == 199)
            refused = [got for got in frames if got.type == RST_STREAM]
            self.assertEqual({code(got) for got in refused}, {REFUSED_STREAM})
            # 512 KiB, each with 31 of them.
            self.assertEqual([got.stream for got in refused], list(range(33, 200, 2)))
            self.assertEqual(metrics(server)["streams"], len(refused))


    def test_whole_bodies_that_wait_for_their_turn_give_way_too(self):
        with Service("--max-held-bytes", str(2 * MIB), "--max-body-bytes", "1000000",
                     "--drain-seconds", "1") as server:
            job = server.submit(function="sleep", args=[60])
            poll = b"/v1/jobs/%s?wait=60" % job.encode()
            kind = (b"content-type", b"application/json")
            for _ in range(8):
                peer = self.peer(server, settings=setting((4, 0)))
                peer.send(frame(SETTINGS, ACK) + b"".join(
                    headers(2 * n + 1, request(poll)) for n in range(4)))
                for stream in (9, 11, 13):
                    peer.send(headers(stream, request(b"/v1/jobs", b"POST", kind), END_HEADERS))
                    peer.send(b"".join(frame(DATA, END_STREAM if last else 0, stream, b" " * 16_000)
                                       for last in [False] * 17 + [True]) + PROBE)
                    peer.until_ping()
            until(lambda: metrics(server)["held_bytes"] > 0, "some are given up")
            until(lambda: metrics(server)["http_held_bytes"] <= 4 * MIB, "as many as must be")

    def test_heads_of_those_who_wait_are_counted(self):
        import hpack  # is there after `setUpModule`
        with Service("--max-held-bytes", str(MIB), "--max-body-bytes", "100000",
                     "--drain-seconds", "1") as server:
            job = server.submit(function="sleep", args=[60])
            fields = [(b":method", b"GET"), (b":scheme", b"http"), (b":authority", b"localhost"),
                      (b":path", b"/v1/jobs/%s?wait=60" % job.encode())] + [(b"x", b"a" * 3900)] * 7
            for _ in range(20):
                encoder, peer = hpack.Encoder(), self.peer(server)
                peer.send(b"".join(headers(2 * n + 1, encoder.encode(fields)) for n in range(16)))
                peer.send(PROBE)
                peer.until_ping()
            until(lambda: metrics(server)["held_bytes"] > 0, "some are given up")
            until(lambda: metrics(server)["http_held_bytes"] <= 2 * MIB, "as many as must be")


class SubmissionTests(HTTP2Tests):
    """Bodies that cost more than they say."""

    def post(self, path, body, *fields):
        connection = socket.create_connection(("127.0.0.1", self.server.port), 20)
        self.addCleanup(connection.close)
        head = ["POST %s HTTP/1.1" % path, "Host: localhost", "Content-Length: %d" % len(body), *fields]
        connection.sendall("\r\n".join(head).encode() + b"\r\n\r\n" + body)
        return connection

    def test_a_name_of_megabytes_is_not_compared_nor_told(self):
        for body in (b'{"function":"echo","%s":1}', b'{"function":"echo","retry":{"%s":1}}'):
            began = self.server.cpu_seconds()
            status, _, answer = self.server.call("POST", "/v1/jobs", body % (b"y" * 4_000_000))
            self.assertEqual(status, 422)
            self.assertLess(len(answer), 2000)
            self.assertIn("yyy\u2026", json.loads(answer)["detail"])
            self.assertLess(self.server.cpu_seconds() - began, 3)

    def test_a_batch_is_read_no_further_than_it_may_be_long(self):
        job = '{"function":"echo","delay":3600}'
        lines = ((job + "\n") * 10_001 + "no JSON\n").encode()
        fields = {"Content-Type": "application/x-ndjson"}
        status, _, answer = self.server.call("POST", "/v1/jobs/batch", lines, fields)
        self.assertEqual((status, json.loads(answer)["title"]), (413, "Too many jobs"))
        array = ("[" + ",".join([job] * 10_001) + ',{"no":"job"}]').encode()
        self.assertEqual(self.server.call("POST", "/v1/jobs/batch", array)[0], 413)

    def test_a_body_that_nobody_reads_is_dropped_or_refused(self):
        body = b"x" * 60_000
        client = socket.create_connection(("127.0.0.1", self.server.port), 10)
        self.addCleanup(client.close)
        client.sendall(b"GET /v1/pools HTTP/1.1\r\nHost: localhost\r\nContent-Length: 60000\r\n\r\n" + body
                       + b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        answers = b""
        while piece := client.recv(65536):
            answers += piece
        self.assertEqual(answers.count(b"HTTP/1.1 200 OK"), 2)
        self.assertEqual(self.server.call("GET", "/v1/events", b"x" * 70_000)[0], 413)

    def test_what_was_sent_along_is_not_held_while_its_end_is_waited_for(self):
        body = json.dumps({"function": "echo", "delay": 3600, "args": ["y" * (8 * MIB)]}).encode()
        with Service("--drain-seconds", "1") as server:
            self.server = server
            self.post("/v1/jobs", body, "Content-Type: application/json")
            until(lambda: server.call("GET", "/v1/queues")[2].count(b'"queued":1'), "it is kept")
            before = server.memory()
            for _ in range(20):
                self.post("/v1/jobs", body, "Content-Type: application/json", "Prefer: wait=60")
            until(lambda: b'"queued":21' in server.call("GET", "/v1/queues")[2], "they are kept")
            time.sleep(1)  # what the disk has taken leaves memory
            self.assertLess((server.memory() - before) / MIB, 80)

    def test_a_line_that_does_not_end_is_counted(self):
        with Service("--max-held-bytes", str(4 * MIB), "--max-body-bytes", "1000000") as server:
            self.server = server
            for _ in range(8):
                connection = socket.create_connection(("127.0.0.1", server.port), 20)
                self.addCleanup(connection.close)
                connection.sendall(
                    b"POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-ndjson\r\n"
                    b"Content-Length: 99999999\r\n\r\n" + b'{"function":"echo"}\n"' + b"x" * (3 * MIB))
            until(lambda: metrics(server)["held_bytes"] > 0, "some are given up")
            until(lambda: 0 < metrics(server)["http_held_bytes"] <= 8 * MIB, "as many as must be")


class ReaderTests(HTTP2Tests):
    def test_a_stream_that_waits_for_its_turn_is_not_given_up(self):
        with Service("--write-seconds", "1") as server:
            job = server.finished(function="echo", args=["x" * 60_000])
            path = b"/v1/jobs/%s/result" % job.encode()
            peer = self.peer(server, buffer=16_384,
                             settings=setting((4, 1 << 30)) + window_update(0, 1 << 30))
            peer.send(b"".join(headers(2 * n + 1, request(path)) for n in range(100)))
            ended = 0
            while ended < 100:
                got = peer.read()
                self.assertIsNotNone(got)
                self.assertNotEqual(got.type, RST_STREAM, got)
                ended += got.type == DATA and got.flags & END_STREAM
                if got.type == DATA:
                    time.sleep(len(got.payload) / 1_000_000)
            self.assertEqual(metrics(server)["write_time"], 0)

    def crowd(self, server, path, count, streams, *more):
        """Connections that ask for much and read nothing."""
        peers = []
        for _ in range(count):
            peer = self.peer(server, settings=OPEN, buffer=4096)
            for stream in range(1, 2 * streams, 2):
                peer.send(headers(stream, request(path, b"GET", *more)))
            peers.append(peer)
        return peers

    def judge(self, mebibytes, *more):
        with Service("--max-held-bytes", str(16 * MIB)) as server:
            job = server.finished(function="echo", args=["0123456789abcdef" * (MIB // 4)])
            path = b"/v1/jobs/%s/result" % job.encode()
            before, most = server.memory(), 0
            self.crowd(server, path, 10, 100, *more)
            began = time.monotonic()
            while time.monotonic() < began + 4:
                most = max(most, server.memory())
                time.sleep(0.05)
            self.assertTrue(server.is_well())
            # Two loops, each 16 MiB and as much again for those that have just begun, and pieces that
            # are being read for them; with a coder for each stream it was 2 GiB.
            self.assertLess((most - before) / MIB, mebibytes)
            return metrics(server)

    def test_streams_that_nobody_reads_are_given_up(self):
        self.assertGreater(self.judge(200)["held_bytes"], 0)

    def test_compressed_ones_too(self):
        self.assertGreater(self.judge(320, (b"accept-encoding", b"zstd"))["coders"], 0)

    def test_a_stream_that_is_not_read_is_counted_once(self):
        with Service("--write-seconds", "1") as server:
            job = server.finished(function="echo", args=["x" * (4 * MIB)])
            path = b"/v1/jobs/%s/result" % job.encode()
            peers = self.crowd(server, path, 3, 50)
            until(lambda: metrics(server)["http_connections"] <= 1, "they are given up")
            self.assertLessEqual(metrics(server)["write_time"], 3 * 51)
            for peer in peers:
                peer.close()

    def test_streams_past_the_bound_are_counted(self):
        with Service("--max-streams", "5") as server:
            peer = self.peer(server)
            peer.send(frame(SETTINGS, ACK))
            for stream in range(1, 15, 2):
                peer.send(headers(stream, request(
                    b"/v1/jobs", b"POST", (b"content-type", b"application/json")), END_HEADERS))
            peer.frames(lambda got: got.type in (RST_STREAM, GOAWAY))
            self.assertGreater(metrics(server)["streams"], 0)


class EventTests(HTTP2Tests):
    def test_readers_of_events_that_do_not_read_share_what_waits(self):
        with Service() as server:
            clients = []
            for _ in range(200):
                client = socket.socket()
                self.addCleanup(client.close)
                client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                client.connect(("127.0.0.1", server.port))
                client.sendall(b"GET /v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
                clients.append(client)
            until(lambda: metrics(server)["http_connections"] > 200, "they are served")
            before = server.memory()
            batch = json.dumps([{"function": "echo", "args": [1], "tags": ["t" * 100]}] * 3000)
            for _ in range(2):
                self.assertEqual(server.call("POST", "/v1/jobs/batch", batch)[0], 202)
            server.finished(function="echo", args=[1], priority=-1)
            # Each had 1 MiB of events waiting and as much of their text; the jobs take some, too.
            self.assertLess((server.memory() - before) / MIB, 150)


if __name__ == "__main__":
    import unittest
    unittest.main()

"""HTTP/2 requests that end otherwise than by their whole answer."""

import hashlib
import http.client
import json
import socket
import struct
import tempfile
import time

from frames import *  # noqa: F403
from service import Service, metrics, until
from test_http2 import HTTP2Tests, setUpModule  # noqa: F401

JSON = (b"content-type", b"application/json")


def new_decoder():
    import hpack  # is there after `setUpModule`
    return hpack.Decoder()


def upload(stream, path, *more, method=b"POST"):
    """The head of a request whose body is to come."""
    return headers(stream, request(path, method, *more), END_HEADERS)


class EarlyAnswerTests(HTTP2Tests):
    """RFC 9113, section 8.1: an answer may leave before the request has come."""

    def refused(self, peer, decoder, head, stream):
        """The status of an upload that is answered at its head and then told to stop."""
        peer.send(head)
        frames = peer.frames(lambda got: got.type == RST_STREAM and got.stream == stream)
        self.assertEqual(code(frames[-1]), NO_ERROR)
        ends = [got for got in frames if got.stream == stream and got.flags & END_STREAM
                and got.type in (DATA, HEADERS)]
        self.assertEqual(len(ends), 1, "the answer is whole before the stream is reset")
        fields = [dict(decoder.decode(got.payload)) for got in frames if got.type == HEADERS]
        return int(fields[-1][":status"])

    def test_a_refused_upload_is_told_to_stop(self):
        peer, decoder = self.peer(), new_decoder()
        for stream, path, length, status in [
                (1, b"/nothing", b"9999999", 404), (3, b"/v1/jobs", b"104857600", 413)]:
            head = upload(stream, path, JSON, (b"content-length", length))
            self.assertEqual(self.refused(peer, decoder, head, stream), status)

    def test_the_rest_of_refused_uploads_shuts_no_window(self):
        """More than a connection's window, on streams that are gone."""
        text = b"x" * 200_000
        name = b"/v1/blobs/" + hashlib.sha256(text).hexdigest().encode()
        self.assertEqual(self.server.call("PUT", name.decode(), text)[0], 201)
        peer, decoder, sent = self.peer(), new_decoder(), 0
        for stream in range(1, 61, 2):
            head = upload(stream, name, (b"content-length", b"%d" % len(text)),
                          (b"expect", b"100-continue"), method=b"PUT")
            self.assertEqual(self.refused(peer, decoder, head, stream), 204)
            for first in range(0, len(text), 16_000):
                piece = text[first:first + 16_000]
                peer.send(frame(DATA, 0, stream, piece))
                sent += len(piece)
            peer.send(PROBE)
            opened = sum(int.from_bytes(got.payload, "big") for got in peer.until_ping()
                         if got.type == WINDOW_UPDATE and got.stream == 0)
            sent -= opened
            self.assertLess(sent, 4 << 20, "the connection's window is used up")

    def test_bodies_over_the_limit_together_are_asked_to_come_later(self):
        body = json.dumps({"function": "echo", "args": ["x" * 150_000]}).encode()
        pieces = [body[first:first + 16_000] for first in range(0, len(body), 16_000)]
        with Service("--max-body-bytes", "200000") as server:
            peer = self.peer(server)
            peer.send(upload(1, b"/v1/jobs", JSON) + upload(3, b"/v1/jobs", JSON))
            for i, piece in enumerate(pieces):
                last = END_STREAM if i == len(pieces) - 1 else 0
                peer.send(frame(DATA, last, 1, piece) + frame(DATA, last, 3, piece))
            frames = peer.until_end_of(1)
            if not any(got.stream == 3 and got.flags & END_STREAM for got in frames):
                frames += peer.until_end_of(3)
            answers = self.answers(frames)
            self.assertEqual(sorted(answer[0] for answer in answers.values()), [202, 503])
            late = next(answer for answer in answers.values() if answer[0] == 503)
            self.assertIn("retry-after", late[1])
            self.assertIn("over 200000 bytes", json.loads(late[2])["detail"])


    def test_a_request_that_has_come_whole_is_not_told_to_stop(self):
        """RFC 9113, section 5.1: on a closed stream nothing more is said."""
        peer = self.peer()
        peer.send(upload(1, b"/nothing", JSON) + frame(DATA, END_STREAM, 1, b"{}"))
        frames = peer.until_end_of(1)
        peer.send(PROBE)
        frames += peer.until_ping()
        self.assertFalse([got for got in frames if got.type == RST_STREAM])


class PassedOverTests(HTTP2Tests):
    def test_a_frame_that_is_passed_over_is_not_waited_for(self):
        """The last frame of each is one that nobody answers; a long poll goes on beside it."""
        unfit = headers(3, request(b"/healthz", b"GET", (b"Upper", b"case")))
        last = {
            "a window of a closed stream": headers(3, request()) + window_update(3, 7),
            "the priority of a closed stream":
                headers(3, request()) + frame(PRIORITY, 0, 3, b"\0\0\0\1\0"),
            "a malformed request": unfit,
            "a frame of an unknown type": frame(0x7F, 0, 0, b"x"),
        }
        job = self.server.submit(function="sleep", args=[12])
        poll = headers(1, request(b"/v1/jobs/%s?wait=30" % job.encode()))
        peers = {says: self.peer() for says in last}
        for says, peer in peers.items():
            peer.send(poll + last[says])
        for says, peer in peers.items():
            with self.subTest(says):
                frames = peer.frames(lambda got: got.type == GOAWAY or got.stream == 1
                                     and got.type == DATA and got.flags & END_STREAM, 25)
                self.assertNotIn(GOAWAY, [got.type for got in frames])
                self.assertEqual(json.loads(self.answers(frames)[1][2])["state"], "succeeded")


class LeavingTests(HTTP2Tests):
    def test_clients_that_leave_in_the_middle_of_an_answer(self):
        job = self.server.finished(function="echo", args=["x" * (3 << 20)])
        path = b"/v1/jobs/%s/result" % job.encode()
        wide = setting((4, 1 << 30)) + window_update(0, 1 << 30)
        for i in range(40):
            peer = Peer(self.server.port, settings=wide, buffer=16_384)
            peer.send(b"".join(headers(2 * n + 1, request(path)) for n in range(4)))
            peer.frames(lambda got: got.type == DATA)
            time.sleep(0.002 * (i % 5))
            if i % 2:  # with a reset instead of an end
                peer.socket.setsockopt(
                    socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            peer.close()
        self.assertTrue(self.server.is_well())


    def test_what_they_leave_behind_is_written_down(self):
        with tempfile.TemporaryDirectory() as folder:
            log = folder + "/access.log"
            with Service("--access-log", log, "--drain-seconds", "1") as server:
                large = server.finished(function="echo", args=["x" * (3 << 20)])
                slow = server.submit(function="sleep", args=[30])
                paths = {"/v1/jobs/%s/result" % large: 200, "/v1/jobs/%s" % slow: 0}
                for path in paths:
                    peer = self.peer(server)
                    peer.send(headers(1, request(path.encode() + b"?wait=20")))
                    if path.endswith("result"):
                        peer.frames(lambda got: got.type == DATA)
                    else:
                        peer.send(PROBE)
                        peer.until_ping()
                    peer.close()
                until(lambda: metrics(server)["hang_up"] == 2, "both are counted")
            with open(log) as file:
                lines = [json.loads(line) for line in file]
            self.assertEqual(paths, {line["path"]: line["status"] for line in lines
                                     if line["version"] == "2"})


class DrainTests(HTTP2Tests):
    def test_an_answer_under_way_at_the_stop_comes_whole_and_so_does_the_next(self):
        with Service("--drain-seconds", "30") as server:
            text = b"martlet " * (3 << 17)
            path = "/v1/blobs/" + hashlib.sha256(text).hexdigest()
            self.assertEqual(server.call("PUT", path, text)[0], 201)
            for_window = 1_000_000
            peer = self.peer(
                server, buffer=32_768,
                settings=setting((4, for_window)) + window_update(0, for_window - 65_535))
            peer.send(headers(1, request(path.encode())))
            read, is_stopped, others = 0, False, []
            while read < len(text):
                got = peer.read()
                self.assertIsNotNone(got, "cut after %d bytes" % read)
                if got.type != DATA:
                    others.append(got)
                    continue
                read += len(got.payload)
                peer.send(b"".join(window_update(stream, len(got.payload)) for stream in (0, 1)))
                if read > 1 << 20 and not is_stopped:
                    is_stopped = True
                    server.process.terminate()
                time.sleep(0.002)  # slower than the server, which has sent all when it ends
            peer.send(headers(3, request()))
            frames = others + peer.frames(lambda got: False)
            self.assertEqual(self.answers(frames)[3][0], 200)
            # First all streams are taken still, then these two have been.
            lasts = [int.from_bytes(got.payload[:4], "big") for got in frames if got.type == GOAWAY]
            self.assertEqual(lasts, [(1 << 31) - 1, 3])
            self.assertEqual(server.process.wait(30), 0)


class LateTests(HTTP2Tests):
    def test_connections_that_begin_during_the_stop_do_not_hold_it_up(self):
        """One has said nothing yet, one is in the middle of the preface."""
        with Service("--drain-seconds", "60") as server:
            job = server.submit(function="sleep", args=[2])
            mute = socket.create_connection(("127.0.0.1", server.port), 10)
            half = self.peer(server, preface=PREFACE[:10], settings=b"")
            poll = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
            poll.request("GET", "/v1/jobs/%s?wait=30" % job)
            server.accepted(3)
            began = time.monotonic()
            server.process.terminate()
            half.send(PREFACE[10:] + setting() + headers(1, request()))
            frames = half.frames(lambda got: False)
            self.assertEqual(self.answers(frames)[1][0], 200)
            self.assertIn(GOAWAY, [got.type for got in frames])
            self.assertEqual(json.loads(poll.getresponse().read())["state"], "succeeded")
            poll.close()
            self.assertEqual(server.process.wait(30), 0)
            self.assertLess(time.monotonic() - began, 15)
            mute.close()

"""HTTP/2 by RFC 9113: bad frames by a table, limits and floods, flow control, and real clients."""

import base64
import json
import os
import socket
import subprocess
import tempfile
import time
import unittest

import cases2
import peers
from frames import *  # noqa: F403
from service import Service, Shared, free_port, metrics


def setUpModule():
    global hpack
    peers.need("curl", "nghttp", "h2load")
    peers.need_python()
    import hpack


class HTTP2Tests(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Shared.get()

    def peer(self, server=None, **more):
        peer = Peer((server or self.server).port, **more)
        self.addCleanup(peer.close)
        return peer

    def answers(self, frames):
        """Status, fields and body of each stream in `frames`."""
        decoder, streams = hpack.Decoder(), {}
        for got in frames:
            if got.type == HEADERS:
                fields = decoder.decode(got.payload)
                status = int(dict(fields).get(":status", 0))
                streams.setdefault(got.stream, [status, dict(fields), b""])
            elif got.type == DATA and got.stream in streams:
                streams[got.stream][2] += got.payload
        return streams


class TableTests(HTTP2Tests):
    def test_each_case(self):
        self.assertGreater(len(cases2.CASES), 100)
        for case in cases2.CASES:
            with self.subTest(str(case)), Peer(self.server.port) as peer:
                peer.send(frame(SETTINGS, ACK) + case.bytes)
                if case.kind == cases2.CONNECTION:
                    self.judge_connection(case, peer)
                else:
                    self.judge_stream(case, peer)
        self.assertTrue(self.server.is_well())

    def judge_connection(self, case, peer):
        peer.send(PROBE)
        frames = peer.frames(lambda got: got.type == PING and got.flags & ACK
                             and got.payload == PROBE[9:])
        ends = [got for got in frames if got.type == GOAWAY]
        self.assertTrue(ends, "no GOAWAY, but %s" % frames[-3:])
        self.assertIn(code(ends[-1]), case.codes, ERRORS[code(ends[-1])])
        peer.frames(lambda got: False)  # to the end: it closes, too

    def judge_stream(self, case, peer):
        frames = peer.until_end_of(1)
        self.assertTrue(frames, "the connection ended without a frame")
        final, answers = frames[-1], self.answers(frames)
        if case.kind == cases2.FINE:
            self.assertIn(1, answers, final)
            self.assertEqual(answers[1][0], 200)
            peer.send(PROBE)
            self.assertEqual(peer.until_ping()[-1].payload, PROBE[9:])
        elif final.type in (RST_STREAM, GOAWAY):
            self.assertIn(code(final), case.codes, ERRORS[code(final)])
        else:
            self.assertTrue(case.malformed, "answered: %s" % answers)
            self.assertEqual(answers[1][0], 400)

    def test_lengths_that_are_broken_again_and_again_end_the_connection(self):  # 8.1.1, 10.5
        before = metrics(self.server)["http2_error"]
        peer = self.peer()
        for first in range(1, 4001, 200):
            peer.send(b"".join(
                headers(stream, request(b"/v1/jobs", b"POST", (b"content-length", b"1")),
                        END_HEADERS) + frame(DATA, 0, stream, b"{}")
                for stream in range(first, first + 200, 2)))
        frames = peer.frames(lambda got: got.type == GOAWAY)
        self.assertEqual(code(frames[-1]), ENHANCE_YOUR_CALM)
        self.assertGreaterEqual(metrics(self.server)["http2_error"], before + 257)

    def test_a_refused_head_request_has_no_content(self):  # RFC 9110, 9.3.2
        peer = self.peer()
        peer.send(headers(1, request(b"/healthz", b"HEAD", (b"host", b"elsewhere"))))
        frames = peer.until_end_of(1)
        self.assertEqual(self.answers(frames)[1][0], 400)
        self.assertNotIn(DATA, [got.type for got in frames])

    def test_a_bad_preface_ends_the_connection(self):  # 3.4
        for preface in [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\rX", b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n",
                        b"PRI * HTTP/2.0\r\nHost: a\r\n\r\nSM\r\n\r\n", b"PRI / HTTP/2.0\r\n\r\n"]:
            with self.subTest(preface=preface), Peer(self.server.port, preface=preface) as peer:
                peer.socket.settimeout(5)
                while peer.socket.recv(65536):
                    pass

    def test_the_first_frame_is_settings(self):  # 3.4
        peer = self.peer(settings=headers(1, request()))
        frames = peer.frames(lambda got: got.type == GOAWAY)
        self.assertEqual((frames[-1].type, code(frames[-1])), (GOAWAY, PROTOCOL_ERROR))
        self.assertNotIn(1, self.answers(frames))

    def test_the_preface_may_come_in_pieces(self):
        data = PREFACE + setting() + headers(1, request()) + PROBE
        for size in (1, 5, 23, 25):
            with self.subTest(size=size), Peer(self.server.port, preface=b"", settings=b"") as peer:
                for first in range(0, len(data), size):
                    peer.send(data[first:first + size])
                self.assertEqual(self.answers(peer.until_end_of(1))[1][0], 200)

    def test_settings_are_told_and_acknowledged(self):  # 3.4, 6.5
        peer = self.peer()
        peer.send(PROBE)
        frames = peer.until_ping()
        self.assertEqual((frames[0].type, frames[0].flags), (SETTINGS, 0))
        self.assertEqual([got.payload for got in frames if got.type == SETTINGS
                          and got.flags & ACK], [b""])
        told = dict(struct.unpack(">HI", frames[0].payload[i:i + 6])
                    for i in range(0, len(frames[0].payload), 6))
        self.assertTrue(100 <= told.get(3, 1 << 32) <= 1000, "MAX_CONCURRENT_STREAMS")
        self.assertTrue(told.get(6, 1 << 32) <= 1 << 17, "MAX_HEADER_LIST_SIZE")
        self.assertFalse(told.get(2, 0), "a server does not enable push")


class MeaningTests(HTTP2Tests):
    def ask(self, *requests, server=None):
        """Answers by stream of requests on streams 1, 3, …"""
        peer = self.peer(server)
        frames = []
        for i, fields in enumerate(requests):
            peer.send(headers(2 * i + 1, fields))
        for i in range(len(requests)):
            if not any(got.stream == 2 * i + 1 and got.flags & END_STREAM for got in frames):
                frames += peer.until_end_of(2 * i + 1)
        return self.answers(frames)

    def test_the_answers_are_those_of_http_1(self):
        for method, path in [("GET", "/healthz"), ("HEAD", "/healthz"), ("GET", "/nothing"),
                             ("HEAD", "/nothing"), ("DELETE", "/healthz"), ("OPTIONS", "/v1/jobs"),
                             ("GET", "/%68ealthz?x=y"), ("GET", "/%2568ealthz"),
                             ("BREW", "/healthz"), ("GET", "/openapi.yaml"),
                             ("GET", "/v1/functions")]:
            with self.subTest(method=method, path=path):
                status, fields, body = self.server.call(method, path)
                got = self.ask(request(path.encode(), method.encode()))[1]
                self.assertEqual((got[0], got[2]), (status, body))
                for name in ("content-type", "content-length", "allow"):
                    self.assertEqual(got[1].get(name), fields[name], name)
                self.assertIn("date", got[1])
                self.assertFalse({"connection", "keep-alive", "transfer-encoding"} & set(got[1]))
                self.assertTrue(all(name == name.lower() for name in got[1]))

    def test_options_of_the_whole_server(self):
        self.assertIn(self.ask(request(b"*", b"OPTIONS"))[1][0], (200, 204))

    def test_a_submission_with_padding_pieces_and_trailers(self):
        peer = self.peer()
        body = b'{"function":"echo","args":[1]}'
        peer.send(headers(1, request(b"/v1/jobs", b"POST", (b"content-type", b"application/json")),
                          END_HEADERS)
                  + frame(DATA, 0, 1) + frame(DATA, PADDED, 1, b"\x03" + body[:9] + b"\0\0\0")
                  + b"".join(frame(DATA, 0, 1, body[i:i + 1]) for i in range(9, 30))
                  + headers(1, block((b"x-sum", b"1"))))
        self.assertEqual(self.answers(peer.until_end_of(1))[1][0], 202)

    def test_a_body_too_large_is_refused_by_its_length(self):  # RFC 9110, 15.5.14
        peer = self.peer()
        peer.send(headers(1, request(b"/v1/jobs", b"POST", (b"content-length", b"104857600")),
                          END_HEADERS))
        self.assertEqual(self.answers(peer.until_end_of(1))[1][0], 413)

    def test_a_hundred_streams_at_once(self):
        answers = self.ask(*[request()] * 100)
        self.assertEqual([answers[2 * i + 1][0] for i in range(100)], [200] * 100)

    def test_a_slow_stream_keeps_no_other_waiting(self):
        job = self.server.submit(function="sleep", args=[1])
        peer = self.peer()
        peer.send(headers(1, request(b"/v1/jobs/%s?wait=20" % job.encode()))
                  + headers(3, request()))
        first = peer.frames(lambda got: got.flags & END_STREAM and got.stream in (1, 3))
        self.assertEqual(first[-1].stream, 3)
        rest = peer.until_end_of(1)
        self.assertEqual(json.loads(self.answers(first + rest)[1][2])["state"], "succeeded")

    def test_a_reset_stream_leaves_the_others(self):
        job = self.server.submit(function="sleep", args=[2])
        peer = self.peer()
        peer.send(headers(1, request(b"/v1/jobs/%s?wait=20" % job.encode())) + reset(1)
                  + headers(3, request()) + PROBE)
        frames = peer.until_end_of(3)
        self.assertEqual(self.answers(frames)[3][0], 200)


    def test_a_client_that_says_goaway_is_answered_first(self):  # 6.8
        peer = self.peer()
        peer.send(headers(1, request()) + frame(GOAWAY, payload=b"\0" * 8 + b"bye"))
        self.assertEqual(self.answers(peer.until_end_of(1))[1][0], 200)


class FlowTests(HTTP2Tests):
    def body(self, frames, stream):
        return b"".join(got.payload for got in frames if got.type == DATA and got.stream == stream)

    def more(self, peer, until):
        """Frames up to the first that `until` holds for; the connection must live so long."""
        frames = peer.frames(until)
        self.assertTrue(frames and until(frames[-1]), "the connection ended: %s" % frames[-3:])
        return frames

    def test_the_client_opens_its_window_bit_by_bit(self):  # 6.9
        whole = self.server.call("GET", "/openapi.yaml")[2]
        self.assertGreater(len(whole), 10_000)
        peer = self.peer(settings=setting((4, 100)))
        peer.send(headers(1, request(b"/openapi.yaml")))
        got, granted = b"", 100
        while granted < len(whole):
            got += self.body(self.more(peer, lambda got: got.type == DATA), 1)
            while len(got) < granted:
                got += self.body(self.more(peer, lambda got: got.type == DATA), 1)
            peer.send(PROBE)
            got += self.body(peer.until_ping(), 1)
            self.assertEqual(len(got), granted)
            step = 1 if granted == 100 else 2_000
            granted += step
            peer.send(window_update(1, step))
        got += self.body(peer.until_end_of(1), 1)
        self.assertEqual(got, whole)

    def test_a_setting_moves_the_windows_of_open_streams(self):  # 6.9.2
        whole = self.server.call("GET", "/openapi.yaml")[2]
        peer = self.peer(settings=setting((4, 0)))
        peer.send(headers(1, request(b"/openapi.yaml")) + PROBE)
        self.assertEqual(self.body(peer.until_ping(), 1), b"")
        peer.send(setting((4, 65_535)))
        self.assertEqual(self.body(peer.until_end_of(1), 1), whole)

    def test_the_connection_has_a_window_too(self):
        job = self.server.finished(function="echo", args=["x" * 300_000])
        path = b"/v1/jobs/%s/result" % job.encode()
        peer = self.peer(settings=setting((4, 1_000_000)))
        peer.send(headers(1, request(path)) + headers(3, request(path)))
        got = []
        while sum(len(one.payload) for one in got if one.type == DATA) < 65_535:
            got += self.more(peer, lambda got: got.type == DATA)
        peer.send(PROBE)
        got += peer.until_ping()
        self.assertEqual(sum(len(one.payload) for one in got if one.type == DATA), 65_535)
        peer.send(window_update(0, 1_000_000))
        while not all(any(one.stream == stream and one.flags & END_STREAM and one.type == DATA
                          for one in got) for stream in (1, 3)):
            got += self.more(
                peer, lambda got: got.type == DATA and got.flags & END_STREAM)
        for stream in (1, 3):
            self.assertEqual(self.body(got, stream), b'"' + b"x" * 300_000 + b'"')

    def test_clients_that_never_open_their_window_cost_little(self):
        with Service() as server:
            job = server.finished(function="echo", args=["x" * (2 << 20)])
            path = b"/v1/jobs/%s/result" % job.encode()
            self.assertTrue(server.is_well())
            before = server.memory()
            held = [self.peer(server, settings=setting((4, 0))) for _ in range(20)]
            for peer in held:
                for i in range(50):
                    peer.send(headers(2 * i + 1, request(path)))
                peer.send(PROBE)
                peer.until_ping()
            self.assertTrue(server.is_well())
            # A thousand answers of 2 MiB each wait.
            self.assertLess((server.memory() - before) >> 20, 400, "MiB")
            for peer in held:
                peer.close()

    def test_a_large_upload_and_download(self):
        import httpx
        text = "0123456789" * 1_000_000
        with httpx.Client(http1=False, http2=True, timeout=60) as client:
            base = "http://127.0.0.1:%d" % self.server.port
            answer = client.post(base + "/v1/jobs", json={"function": "echo", "args": [text]})
            self.assertEqual((answer.http_version, answer.status_code), ("HTTP/2", 202))
            job = answer.json()["id"]
            client.get(base + "/v1/jobs/%s?wait=30" % job)
            result = client.get(base + "/v1/jobs/%s/result" % job)
            self.assertTrue(result.json() == text)


class LimitTests(HTTP2Tests):
    def flood(self, server, data, pieces, seconds=20):
        """Sends `data` up to `pieces` times without reading, until the server takes no more."""
        peer = self.peer(server)
        peer.socket.settimeout(2)
        deadline = time.monotonic() + seconds
        try:
            for _ in range(pieces):
                if not peer.send(data) or time.monotonic() > deadline:
                    break
        except TimeoutError:
            pass  # it reads no more: that bounds its cost as well
        return peer

    def test_floods_end_the_connection_or_cost_little(self):
        floods = {
            "pings": (PROBE * 100, 3_000),
            "settings": (setting((3, 100)) * 100, 3_000),
            "empty settings": (setting() * 100, 3_000),
            "window updates": (window_update(0, 1) * 100, 3_000),
            "priorities": (frame(PRIORITY, 0, 1, b"\0\0\0\3\0") * 100, 3_000),
            "frames of an unknown type": (frame(0x7F, 0, 0, b"x") * 100, 3_000),
            "empty DATA": (cases2.BEGUN + frame(DATA, 0, 1) * 1_000, 1),
        }
        with Service() as server:
            self.assertTrue(server.is_well())
            before = server.memory()
            for says, (data, pieces) in floods.items():
                with self.subTest(says), self.flood(server, data, pieces):
                    self.assertTrue(server.is_well(2))
                    self.assertLess((server.memory() - before) >> 20, 100, "MiB")

    def test_a_flood_is_called_one(self):  # 10.5
        peer = self.peer()
        peer.send(PROBE * 20_000)
        ends = [got for got in peer.frames(lambda got: got.type == GOAWAY) if got.type == GOAWAY]
        if ends:  # or it was broken off while it still sent
            self.assertEqual(code(ends[-1]), ENHANCE_YOUR_CALM)

    def test_what_needs_no_window_is_answered_though_windows_are_shut(self):
        with Service("--drain-seconds", "1") as server:
            job = server.submit(function="sleep", args=[60])
            peer = self.peer(server, settings=setting((4, 0)))
            poll = request(b"/v1/jobs/%s?wait=60" % job.encode())
            peer.send(b"".join(headers(2 * n + 1, poll) for n in range(4)))
            peer.send(headers(9, request(b"/v1/functions", b"HEAD")) + headers(11, request()))
            self.assertEqual(self.answers(peer.until_end_of(9))[9][0], 200)

    def test_rapid_resets_end_the_connection(self):  # CVE-2023-44487
        with Service() as server:
            self.assertTrue(server.is_well())
            peer = self.peer(server)
            sent = 0
            for i in range(20_000):
                sent += 1
                if not peer.send(headers(2 * i + 1, request(b"/v1/queues")) + reset(2 * i + 1)):
                    break
            frames = peer.frames(lambda got: got.type == GOAWAY)
            self.assertTrue(frames and frames[-1].type == GOAWAY or sent < 20_000,
                            "20,000 streams were begun and reset at will")
            self.assertTrue(server.is_well(2))

    def test_resets_provoked_from_the_server_end_the_connection(self):  # CVE-2025-8671
        # Each breaks a rule of its stream, or is taken as one of the connection.
        for increment, codes in (0, [PROTOCOL_ERROR]), ((1 << 31) - 1, [ENHANCE_YOUR_CALM]):
            with self.subTest(increment), Service() as server:
                self.assertTrue(server.is_well())
                peer = self.peer(server)
                for i in range(20_000):
                    if not peer.send(headers(2 * i + 1, request(b"/v1/queues"), END_HEADERS)
                                     + window_update(2 * i + 1, increment)):
                        break
                frames = peer.frames(lambda got: got.type == GOAWAY)
                self.assertEqual(frames[-1].type, GOAWAY)
                self.assertIn(code(frames[-1]), codes)
                self.assertTrue(server.is_well(2))

    def test_what_follows_on_a_refused_stream_is_passed_over(self):  # 5.1
        job = self.server.submit(function="sleep", args=[2])
        peer = self.peer()
        head = headers(1, request(b"/v1/jobs", b"POST"), END_HEADERS)
        # Refused for its window; its trailer was on its way.
        peer.send(head + window_update(1, (1 << 31) - 1) + headers(3, request(b"/v1/jobs/" + job.encode()))
                  + headers(1, block((b"x", b"y"))))
        frames = peer.until_end_of(3)
        self.assertEqual(
            [code(got) for got in frames if got.type == RST_STREAM], [FLOW_CONTROL_ERROR])
        self.assertEqual(self.answers(frames)[3][0], 200)
        peer.send(PROBE)
        self.assertEqual(peer.until_ping()[-1].type, PING)

    def test_a_block_without_end_ends_the_connection(self):  # CVE-2024-27316
        for says, piece in [("full frames", literal(b"x", b"y" * 16_000)), ("empty frames", b"")]:
            with self.subTest(says), Service() as server:
                self.assertTrue(server.is_well())
                before = server.memory()
                peer = self.peer(server)
                peer.send(headers(1, request(), END_STREAM))
                ended = False
                for _ in range(10_000):
                    if not peer.send(frame(CONTINUATION, 0, 1, piece)):
                        ended = True
                        break
                frames = peer.frames(lambda got: got.type == GOAWAY)
                self.assertTrue(ended or not frames or frames[-1].type == GOAWAY)
                self.assertLess((server.memory() - before) >> 20, 50, "MiB")

    def refused(self, blocks):
        """Asserts that the last of these requests is not served."""
        peer = self.peer()
        for i, pieces in enumerate(blocks):
            for j, piece in enumerate(pieces):
                flags = END_HEADERS if j == len(pieces) - 1 else 0
                peer.send(headers(2 * i + 1, piece, flags | END_STREAM) if j == 0
                          else frame(CONTINUATION, flags, 2 * i + 1, piece))
        last = 2 * len(blocks) - 1
        frames = peer.until_end_of(last)
        answer = self.answers(frames).get(last)
        if answer:
            self.assertEqual(answer[0], 431)
        else:
            self.assertTrue(not frames or frames[-1].type in (RST_STREAM, GOAWAY), frames[-3:])
        self.assertTrue(self.server.is_well(2))

    def test_a_header_list_over_the_limit_is_refused(self):  # RFC 6585, 5
        self.refused([[request(), *[literal(b"x-%d" % i, b"y" * 10_000) for i in range(8)]]])
        self.refused([[request() + b"".join(literal(b"x-%d" % i, b"y") for i in range(1_200))]])

    def test_a_compressed_header_list_over_the_limit_is_refused(self):
        # One field of 4,000 bytes goes into the table; a byte each brings it back 10,000 times.
        self.refused([[request() + literal(b"x", b"y" * 4_000, 0x40)],
                      [request() + b"\xbe" * 10_000]])

    def test_a_block_that_stands_for_very_many_fields_ends_the_connection(self):
        """RFC 9113, section 10.5.1: an octet that stands for 4,000, in heads and in trailers."""
        bomb = b"\xbe" * 16_000
        for says, first, last in [
                ("head", request(), b""),
                ("trailer", b"", headers(3, request(b"/v1/jobs", b"POST"), END_HEADERS))]:
            with self.subTest(says):
                peer = self.peer()
                peer.send(headers(1, request() + literal(b"x", b"y" * 4_000, 0x40)) + last
                          + headers(3, first + bomb))
                frames = peer.frames(lambda got: got.type == GOAWAY)
                self.assertEqual(code(frames[-1]), ENHANCE_YOUR_CALM)
                self.assertTrue(self.server.is_well(2))

    def test_more_streams_than_were_granted_are_refused(self):  # 5.1.2
        job = self.server.submit(function="sleep", args=[2])
        waiting = request(b"/v1/jobs/%s?wait=20" % job.encode())
        peer = self.peer()
        for i in range(2_000):
            if not peer.send(headers(2 * i + 1, waiting)):
                break
        frames = peer.frames(lambda got: got.type in (RST_STREAM, GOAWAY))
        self.assertTrue(frames)
        self.assertIn(code(frames[-1]), (REFUSED_STREAM, PROTOCOL_ERROR, ENHANCE_YOUR_CALM))

    def test_a_silent_peer_is_ended(self):
        """Begun and not gone on with: a preface, a block, a body."""
        with Service() as server:
            silent = {
                "a preface": self.peer(server, preface=PREFACE[:20], settings=b""),
                "a block": self.peer(server, settings=setting() + headers(1, request()[:9], 1)),
                "a body": self.peer(server, settings=setting() + cases2.BEGUN),
            }
            began = time.monotonic()
            for says, peer in silent.items():
                with self.subTest(says), peer:
                    left = max(1, 20 - (time.monotonic() - began))
                    peer.frames(lambda got: got.type in (GOAWAY, RST_STREAM)
                                or got.flags & END_STREAM and got.stream == 1, left)
                    self.assertLess(time.monotonic() - began, 20)


class DrainTests(HTTP2Tests):
    def test_a_stop_lets_streams_end_and_says_so(self):  # 6.8
        with Service() as server:
            job = server.submit(function="sleep", args=[1])
            peer = self.peer(server)
            peer.send(headers(1, request(b"/v1/jobs/%s?wait=20" % job.encode())) + PROBE)
            frames = peer.until_ping()
            server.process.terminate()
            frames += peer.frames(lambda got: False)
            ends = [got for got in frames if got.type == GOAWAY]
            self.assertTrue(ends, "no GOAWAY")
            self.assertEqual([code(got) for got in ends], [NO_ERROR] * len(ends))
            self.assertGreaterEqual(int.from_bytes(ends[-1].payload[:4], "big"), 1)
            self.assertEqual(self.answers(frames)[1][0], 200)
            self.assertEqual(server.process.wait(30), 0)

    def test_an_idle_connection_is_ended_at_the_stop(self):
        with Service() as server:
            peer = self.peer(server)
            peer.send(PROBE)
            peer.until_ping()
            server.process.terminate()
            frames = peer.frames(lambda got: False)
            self.assertIn(GOAWAY, [got.type for got in frames])
            self.assertEqual(server.process.wait(30), 0)


class UpgradeTests(HTTP2Tests):  # RFC 7540, 3.2
    def upgrade(self, fields, path=b"/healthz", method=b"GET", body=b"", to=None):
        connection = socket.socket(socket.AF_UNIX if isinstance(to, str) else socket.AF_INET)
        self.addCleanup(connection.close)
        connection.settimeout(10)
        connection.connect(to or ("127.0.0.1", self.server.port))
        connection.sendall(method + b" " + path + b" HTTP/1.1\r\nHost: localhost\r\n" + fields
                           + b"\r\n" + body)
        data = b""
        while b"\r\n\r\n" not in data:
            piece = connection.recv(65536)
            self.assertTrue(piece, data)
            data += piece
        return connection, data

    SETTINGS = base64.urlsafe_b64encode(struct.pack(">HIHI", 3, 100, 4, 65_535)).rstrip(b"=")
    GOOD = (b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: "
            + SETTINGS + b"\r\n")

    def test_an_upgrade_is_answered_on_stream_1(self):
        connection, data = self.upgrade(self.GOOD)
        self.assertTrue(data.startswith(b"HTTP/1.1 101 "), data[:99])
        head, _, rest = data.partition(b"\r\n\r\n")
        self.assertIn(b"upgrade: h2c", head.lower())
        peer = Peer.__new__(Peer)
        peer.socket, peer.buffer = connection, rest
        peer.send(PREFACE + setting() + headers(3, request(b"/readyz")))
        frames = peer.until_end_of(1)
        if not self.answers(frames).get(3, (0, 0, b""))[2]:  # its head may have come already
            frames += peer.until_end_of(3)
        answers = self.answers(frames)
        self.assertEqual((answers[1][0], answers[1][2]), (200, b'{"status":"ok"}\n'))
        self.assertEqual((answers[3][0], answers[3][2]), (200, b'{"status":"ready"}\n'))

    def test_what_is_no_upgrade_stays_http_1(self):
        for fields in [
                b"Connection: Upgrade\r\nUpgrade: h2c\r\n",
                b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: !!\r\n",
                b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAA\r\n",
                b"Upgrade: h2c\r\nHTTP2-Settings: " + self.SETTINGS + b"\r\n",
                b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2\r\nHTTP2-Settings: "
                + self.SETTINGS + b"\r\n",
                self.GOOD + b"HTTP2-Settings: " + self.SETTINGS + b"\r\n"]:
            with self.subTest(fields=fields):
                _, data = self.upgrade(fields)
                self.assertRegex(data, rb"^HTTP/1.1 (200|400) ")


    def test_a_trusted_proxy_gets_no_tunnel_for_its_client(self):
        """What came through it would be believed to be its own word."""
        with tempfile.TemporaryDirectory() as folder:
            place, port = folder + "/socket", free_port()
            ways = ["127.0.0.1:%d" % port, "unix:" + place]
            for settings, status in [([], b"101"), (["--trusted-proxy", "127.0.0.1"], b"200")]:
                with Service(*settings, listen=ways):
                    for to in (("127.0.0.1", port), place):
                        with self.subTest(settings=settings, to=to):
                            _, data = self.upgrade(self.GOOD, to=to)
                            self.assertEqual(data[:13], b"HTTP/1.1 " + status + b" ", data)


class ClientTests(HTTP2Tests):
    def setUp(self):
        self.base = "http://127.0.0.1:%d" % self.server.port

    def run_client(self, *command):
        return subprocess.run(
            command, check=True, capture_output=True, text=True, timeout=60).stdout

    def test_curl(self):
        for way, version in [
                ("--http2-prior-knowledge", "2"), ("--http2", "2"), ("--http1.1", "1.1")]:
            with self.subTest(way):
                out = self.run_client("curl", "-sS", way, "-w", " %{http_version} %{http_code}",
                                      self.base + "/healthz")
                self.assertEqual(out, '{"status":"ok"}\n %s 200' % version)
                out = self.run_client(
                    "curl", "-sS", way, "-H", "Content-Type: application/json", "-H",
                    "Prefer: wait=20", "-d", '{"function":"square","args":[12]}',
                    "-w", " %{http_version} %{http_code}", self.base + "/v1/jobs")
                self.assertRegex(out, r'(?s)"result":144.* (%s|1\.1) 200$' % version)

    def test_curl_sends_ten_megabytes(self):
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            json.dump({"function": "echo", "args": ["x" * 10_000_000]}, file)
            file.flush()
            for way in ("--http2-prior-knowledge", "--http2"):
                out = self.run_client(
                    "curl", "-sS", way, "-H", "Content-Type: application/json", "--data-binary",
                    "@" + file.name, "-o", os.devnull, "-w", "%{http_code}", self.base + "/v1/jobs")
                self.assertEqual(out, "202", way)

    def test_nghttp(self):
        for more in ([], ["-u"]):  # prior knowledge, and an upgrade
            out = self.run_client("nghttp", "-v", *more, self.base + "/healthz")
            self.assertRegex(out, r":status: 200")
            self.assertIn('{"status":"ok"}', out)

    def test_h2load(self):
        out = self.run_client("h2load", "-n", "4000", "-c", "8", "-m", "32", self.base + "/healthz")
        self.assertRegex(out, r"4000 succeeded, 0 failed, 0 errored")

    def test_h2load_posts(self):
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            file.write('{"function":"square","args":[12]}')
            file.flush()
            out = self.run_client(
                "h2load", "-n", "500", "-c", "4", "-m", "16", "-d", file.name,
                "-H", "content-type: application/json", self.base + "/v1/jobs")
        self.assertRegex(out, r"500 succeeded, 0 failed, 0 errored")
        self.assertRegex(out, r"500 2xx")

    def test_h2_of_python(self):
        import h2.config
        import h2.connection
        import h2.events
        connection = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
        connection.initiate_connection()
        with socket.create_connection(("127.0.0.1", self.server.port), 10) as client:
            for stream in range(1, 40, 2):
                connection.send_headers(stream, [
                    (":method", "GET"), (":path", "/healthz"), (":scheme", "http"),
                    (":authority", "localhost"), ("accept", "*/*")], end_stream=True)
            connection.ping(b"12345678")
            client.sendall(connection.data_to_send())
            statuses, ended, pinged = [], set(), False
            while len(ended) < 20 or not pinged:
                data = client.recv(65536)
                self.assertTrue(data)
                for event in connection.receive_data(data):
                    if isinstance(event, h2.events.ResponseReceived):
                        statuses.append(dict(event.headers)[":status"])
                    elif isinstance(event, h2.events.StreamEnded):
                        ended.add(event.stream_id)
                    elif isinstance(event, h2.events.PingAckReceived):
                        pinged = True
                client.sendall(connection.data_to_send())
        self.assertEqual(statuses, ["200"] * 20)


if __name__ == "__main__":
    unittest.main()

"""What takes more than one turn: Expect, half-closed clients, lingering, order, conditions."""

import gzip
import json
import socket
import tempfile
import time
import unittest

from service import Service, Shared
from wire import ask, read_answers

HOST = b"Host: localhost\r\n"
POST = b"POST /v1/jobs HTTP/1.1\r\n" + HOST + b"Content-Type: application/json\r\n"
JOB = b'{"function":"echo","args":[1]}'
GET = b"GET /healthz HTTP/1.1\r\n" + HOST + b"\r\n"
LAST = b"GET /readyz HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n"


class Dialogue(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Shared.get()

    def connect(self, seconds=10):
        connection = socket.create_connection(("127.0.0.1", self.server.port), seconds)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.addCleanup(connection.close)
        return connection

    def read_until(self, connection, mark):
        data = b""
        while mark not in data:
            piece = connection.recv(65536)
            self.assertTrue(piece, "closed after %r" % data[:200])
            data += piece
        return data

    def read_to_end(self, connection):
        data = b""
        while piece := connection.recv(1 << 20):
            data += piece
        return data

    def one(self, request, to_head=()):
        """The first of the answers to `request` and a request that closes."""
        answers = read_answers(ask(self.server.port, request + LAST), to_head)
        self.assertEqual(len(answers), 2)
        return answers[0]


class ExpectTests(Dialogue):  # RFC 9110, section 10.1.1
    def test_the_body_is_asked_for_before_it_is_sent(self):
        connection = self.connect()
        connection.sendall(POST + b"Content-Length: 30\r\nExpect: 100-continue\r\n\r\n")
        self.assertTrue(self.read_until(connection, b"\r\n\r\n").startswith(b"HTTP/1.1 100 "))
        connection.sendall(JOB + LAST)
        answers = read_answers(self.read_to_end(connection))
        self.assertEqual([answer.status for answer in answers], [202, 200])

    def test_a_chunked_body_is_asked_for_too(self):
        connection = self.connect()
        connection.sendall(POST + b"Transfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n")
        self.assertTrue(self.read_until(connection, b"\r\n\r\n").startswith(b"HTTP/1.1 100 "))
        connection.sendall(b"1e\r\n" + JOB + b"\r\n0\r\n\r\n" + LAST)
        answers = read_answers(self.read_to_end(connection))
        self.assertEqual([answer.status for answer in answers], [202, 200])

    def test_the_body_is_asked_for_once(self):
        connection = self.connect()
        connection.sendall(POST + b"Content-Length: 30\r\nExpect: 100-continue\r\n\r\n")
        received = self.read_until(connection, b"\r\n\r\n")
        for i in range(len(JOB)):
            connection.sendall(JOB[i:i + 1])
        connection.sendall(LAST)
        received += self.read_to_end(connection)
        self.assertEqual(received.count(b"HTTP/1.1 100 "), 1)

    def test_http_1_0_is_not_asked(self):
        connection = self.connect(0.3)
        connection.sendall(POST.replace(b"1.1", b"1.0")
                           + b"Content-Length: 30\r\nExpect: 100-continue\r\n\r\n")
        with self.assertRaises(TimeoutError):
            connection.recv(1)
        connection.settimeout(10)
        connection.sendall(JOB)
        self.assertEqual(read_answers(self.read_to_end(connection))[0].status, 202)


class EndTests(Dialogue):  # RFC 9112, section 9.6
    def test_a_client_that_is_still_sending_reads_its_refusal(self):
        for status, head in [
                (400, b"GET /healthz HTTP/1.1\r\nX : y\r\n\r\n"),
                (414, b"GET /" + b"a" * 10_000),
                (431, b"GET /healthz HTTP/1.1\r\n" + b"X: " + b"y" * 40_000),
                (413, POST + b"Content-Length: 100000000\r\n\r\n"),
                (404, b"POST /nothing HTTP/1.1\r\n" + HOST + b"Content-Length: 200000\r\n\r\n"),
                (405, b"PUT /v1/jobs HTTP/1.1\r\n" + HOST + b"Content-Length: 200000\r\n\r\n")]:
            with self.subTest(status=status):
                connection = self.connect()
                connection.sendall(head)
                for _ in range(100):
                    try:
                        connection.sendall(b"a" * 2_000)
                    except OSError:
                        break
                self.assertEqual(read_answers(self.read_to_end(connection))[0].status, status)

    def test_a_client_that_has_closed_its_side_is_answered(self):
        for request, statuses in [
                (GET, [200]), (GET * 3, [200] * 3),
                (POST + b"Content-Length: 30\r\n\r\n" + JOB, [202])]:
            with self.subTest(request=request[:40]):
                connection = self.connect()
                connection.sendall(request)
                connection.shutdown(socket.SHUT_WR)
                answers = read_answers(self.read_to_end(connection))
                self.assertEqual([answer.status for answer in answers], statuses)

    def test_a_client_that_has_closed_its_side_reads_a_large_result(self):
        text = "x" * (8 << 20)  # more than the kernel takes at once
        for work in ({"args": [text]}, {"map": [text]}):
            with self.subTest(work=list(work)):
                job = self.server.finished(function="echo", **work)
                connection = self.connect()
                connection.sendall(
                    b"GET /v1/jobs/%s/result HTTP/1.1\r\n" % job.encode() + HOST + b"\r\n")
                connection.shutdown(socket.SHUT_WR)
                time.sleep(1)  # two looks of the server at who has left
                answer, = read_answers(self.read_to_end(connection))
                self.assertIn(text.encode(), answer.body)

    def test_an_answer_to_http_1_0_that_is_cut_does_not_look_whole(self):  # RFC 9112, section 8
        job = self.server.finished(function="echo", map=["x" * 100_000] * 200)
        connection = socket.socket()
        self.addCleanup(connection.close)
        connection.settimeout(20)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
        connection.connect(("127.0.0.1", self.server.port))
        connection.sendall(b"GET /v1/jobs/%s/items HTTP/1.0\r\n" % job.encode() + HOST + b"\r\n")
        self.read_until(connection, b"\r\n\r\n")
        self.assertEqual(self.server.call("DELETE", "/v1/jobs/" + job)[0], 204)
        with self.assertRaises(ConnectionResetError):
            self.read_to_end(connection)

    def test_an_empty_line_behind_a_request_begins_none(self):  # RFC 9112, section 2.2
        with Service("--head-seconds", "0.3") as server, socket.socket() as connection:
            connection.settimeout(1.5)
            connection.connect(("127.0.0.1", server.port))
            for end in (b"\r", b"\r\n"):
                connection.sendall(GET + end)
                self.assertIn(b"200 OK", self.read_until(connection, b'"}\n'))
                with self.assertRaises(TimeoutError):
                    connection.recv(1)
                connection.sendall(b"\n" if end == b"\r" else b"")
            connection.sendall(LAST)
            self.assertTrue(connection.recv(99).startswith(b"HTTP/1.1 200"))

    def test_what_https_names_is_not_served_in_the_clear(self):  # RFC 9110, section 7.4
        request = b"GET https://localhost/healthz HTTP/1.1\r\n" + HOST + b"\r\n"
        answer, = read_answers(ask(self.server.port, request))
        self.assertEqual(answer.status, 421)
        self.assertEqual(self.one(request.replace(b"https:", b"http:")).status, 200)

    def test_a_body_that_is_coded_is_not_taken(self):  # RFC 9110, section 8.4
        for coding, status in ((b"gzip", 415), (b"identity", 202)):
            answer = read_answers(ask(self.server.port, POST + b"Content-Length: 30\r\nConnection: close"
                                      b"\r\nContent-Encoding: " + coding + b"\r\n\r\n" + JOB))[0]
            self.assertEqual(answer.status, status)
        self.assertEqual(answer.value("accept-encoding"), None)

    def test_preferences_are_read_as_rfc_7240_writes_them(self):
        for text in (b"wait=9", b'wait="9"', b"respond-async, wait\t=\t9;x=y", b"Wait=9.5"):
            answer = read_answers(ask(self.server.port, POST + b"Content-Length: 30\r\nConnection: close"
                                      b"\r\nPrefer: " + text + b"\r\n\r\n" + JOB))[0]
            self.assertEqual(answer.status, 200, text)

    def test_a_job_that_was_read_compressed_is_known_again(self):
        job = self.server.finished(function="echo", args=["x" * 3000])
        _, fields, _ = self.server.call("GET", "/v1/jobs/" + job, headers={"Accept-Encoding": "gzip"})
        self.assertEqual(fields["Content-Encoding"], "gzip")
        tag = fields["ETag"]
        self.assertTrue(tag.endswith('-gzip"'), tag)
        again = {"Accept-Encoding": "gzip", "If-None-Match": tag}
        status, fields, _ = self.server.call("GET", "/v1/jobs/" + job, headers=again)
        self.assertEqual((status, fields["ETag"]), (304, tag))
        self.assertEqual(self.server.call("GET", "/v1/jobs/" + job, headers={"If-Match": tag})[0], 200)
        self.assertEqual(self.server.call("DELETE", "/v1/jobs/" + job, headers={"If-Match": tag})[0], 204)

    def test_who_sends_much_before_reading_hears_why_it_is_refused(self):  # RFC 9112, section 9.6
        for fields, status, mebibytes in [(b"Content-Type: text/plain\r\n", 415, 60),
                                          (b"Content-Type: application/json\r\n", 413, 80)]:
            body = b"x" * (mebibytes << 20)
            connection = self.connect(30)
            connection.sendall(b"POST /v1/jobs HTTP/1.1\r\n" + HOST + fields
                               + b"Content-Length: %d\r\n\r\n" % len(body) + body)
            self.assertEqual(read_answers(self.read_to_end(connection))[0].status, status)

    def test_half_a_request_is_no_request(self):  # RFC 9112, section 8
        # The last whole submissions of clients that went away may still be on their way.
        before = None
        while before != (before := self.jobs()):
            time.sleep(0.3)
        for request in [b"", b"G", b"GET /healthz HTTP/1.1", GET[:-1], GET[:-2],
                        POST + b"Content-Length: 31\r\n\r\n" + JOB,
                        POST + b"Transfer-Encoding: chunked\r\n\r\n1e\r\n" + JOB,
                        POST + b"Transfer-Encoding: chunked\r\n\r\n1e\r\n" + JOB + b"\r\n",
                        POST + b"Transfer-Encoding: chunked\r\n\r\n1e\r\n" + JOB + b"\r\n0\r\n"]:
            with self.subTest(request=request[-40:]):
                connection = self.connect()
                connection.sendall(request)
                connection.shutdown(socket.SHUT_WR)
                answers = read_answers(self.read_to_end(connection))
                self.assertIn([answer.status for answer in answers], [[], [400], [408]])
        self.assertEqual(self.jobs(), before, "a cut submission made a job")

    def jobs(self):
        return self.server.call("GET", "/v1/jobs?limit=1000&function=echo")[2].count(b'"id"')

    def test_clients_that_go_away_leave_nothing_behind(self):
        self.assertTrue(self.server.is_well())
        before = self.server.descriptors()
        for i in range(300):
            connection = self.connect()
            connection.sendall((GET + POST + b"Content-Length: 30\r\n\r\n" + JOB)[:i])
            if i % 2:  # a reset instead of an end
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            connection.close()
        deadline = time.monotonic() + 10
        while self.server.descriptors() > before + 5:
            self.assertLess(time.monotonic(), deadline, "descriptors are left")
            self.assertTrue(self.server.is_well())

    def test_clients_that_leave_a_long_poll_leave_nothing_behind(self):
        job = self.server.submit(function="echo", map=[1], delay=3600)
        self.addCleanup(self.server.call, "DELETE", "/v1/jobs/" + job)
        poll = b"GET /v1/jobs/%s%s?wait=3600 HTTP/1.1\r\n" + HOST + b"\r\n"
        submit = POST + b"Prefer: wait=3600\r\nContent-Length: %d\r\n\r\n"
        later = b'{"function":"echo","args":[1],"delay":3600}'
        requests = [poll % (job.encode(), b""), poll % (job.encode(), b"/result"),
                    poll % (job.encode(), b"/items"), submit % len(later) + later]
        before = self.settled_descriptors()
        polls = [self.connect() for _ in range(100)]
        for i, connection in enumerate(polls):
            connection.sendall(requests[i % len(requests)])
        self.await_descriptors(lambda held: held >= before + 100)
        for connection in polls:
            connection.close()
        self.await_descriptors(lambda held: held <= before + 5)

    def settled_descriptors(self):
        """How many the server holds when it is done with those who have left before."""
        held, before = None, 0
        while held != before:
            self.assertTrue(self.server.is_well())
            time.sleep(0.5)  # for the look itself to have gone, too
            held, before = self.server.descriptors(), held
        return held

    def await_descriptors(self, enough):
        deadline = time.monotonic() + 10
        while not enough(self.server.descriptors()):
            self.assertLess(time.monotonic(), deadline, self.server.descriptors())
            time.sleep(0.05)


class PipelineTests(Dialogue):  # RFC 9112, section 9.3.2
    def test_a_slow_answer_goes_before_the_fast_one_behind_it(self):
        job = self.server.submit(function="sleep", args=[0.5])
        slow = b"GET /v1/jobs/%s?wait=20 HTTP/1.1\r\n" % job.encode() + HOST + b"\r\n"
        first, second, third = read_answers(ask(self.server.port, slow + GET + LAST, 30))
        self.assertEqual(json.loads(first.body)["state"], "succeeded")
        self.assertEqual(json.loads(second.body), {"status": "ok"})
        self.assertEqual(json.loads(third.body), {"status": "ready"})

    def test_two_thousand_requests_before_the_first_answer_is_read(self):
        paths = [b"/healthz", b"/readyz", b"/v1/queues", b"/nothing"]
        requests = [b"GET " + paths[i % 4] + b" HTTP/1.1\r\n" + HOST + b"\r\n" for i in range(2000)]
        answers = read_answers(ask(self.server.port, b"".join(requests) + LAST, 60))
        self.assertEqual([answer.status for answer in answers[:-1]], [200, 200, 200, 404] * 500)
        self.assertEqual([b"ready" in answer.body for answer in answers[:4]],
                         [False, True, False, False])

    def test_answers_leave_while_the_one_behind_them_is_waited_for(self):
        seconds = 3  # longer than a client may take nothing
        with Service("--write-seconds", "2") as server:
            began = time.monotonic()
            job = server.submit(function="sleep", args=[seconds])
            poll = b"GET /v1/jobs/%s?wait=20 HTTP/1.1\r\n" % job.encode() + HOST + b"\r\n"
            # Of some the kernel takes a part of what goes before the poll, however much it takes: an
            # answer is 360 bytes, and the poll is taken up before 64 KiB wait.
            clients = {}
            for count in range(100, 1300, 100):
                client = self.enterContext(socket.socket())
                client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                client.settimeout(10)
                client.connect(("127.0.0.1", server.port))
                client.sendall(GET * count + poll)
                clients[count] = client
            while b"\nmartlet_http_held_bytes 0\n" in server.call("GET", "/metrics")[2]:
                self.assertLess(time.monotonic(), began + seconds, "the kernel takes all")
            time.sleep(0.2)
            received = {}
            for count, client in clients.items():
                data, seen = b"", 0
                while seen < count:
                    piece = client.recv(1 << 16)
                    self.assertTrue(piece, "closed after %d answers of %d" % (seen, count))
                    seen += (data[-11:] + piece).count(b"HTTP/1.1 200")
                    data += piece
                received[count] = data
            self.assertLess(time.monotonic(), began + seconds, "they waited for the last")
            for count, client in clients.items():
                client.sendall(LAST)
                answers = read_answers(received[count] + self.read_to_end(client))
                self.assertEqual([answer.status for answer in answers], [200] * (count + 2))

    def test_one_connection_serves_many_requests(self):
        connection = self.connect()
        for i in range(1000):
            connection.sendall(GET)
            self.assertIn(b'{"status":"ok"}', self.read_until(connection, b"}\n"))

    def test_http_1_0_is_told_that_the_connection_stays(self):  # RFC 9112, appendix C.2.2
        answer = self.one(b"GET /healthz HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        self.assertEqual(answer.value("connection").lower(), "keep-alive")
        # Where the end of the connection is the end of the body, it does not.
        job = self.server.finished(function="echo", args=["x" * 3_000_000])
        connection = self.connect()
        connection.sendall(b"GET /v1/jobs/%s/result HTTP/1.0\r\nConnection: keep-alive\r\n"
                           b"Accept-Encoding: gzip\r\n\r\n" % job.encode())
        head, _, body = self.read_to_end(connection).partition(b"\r\n\r\n")
        self.assertIn(b"\r\nConnection: close", head)
        self.assertEqual(len(gzip.decompress(body)), 3_000_002)

    def test_http_1_0_is_not_told_of_an_end_that_does_not_come(self):
        """To HEAD, too, an answer whose length nobody knows says that the connection ends."""
        job = self.server.finished(function="echo", args=["x" * 3_000_000])
        for path, more in [
                (b"/v1/events", b""),
                (b"/v1/jobs/%s/result" % job.encode(), b"Accept-Encoding: gzip\r\n")]:
            with self.subTest(path):
                connection = self.connect(2)
                connection.sendall(
                    b"HEAD " + path + b" HTTP/1.0\r\nConnection: keep-alive\r\n" + more + b"\r\n")
                answer, = read_answers(self.read_to_end(connection), to_head=[0])
                self.assertEqual((answer.status, answer.value("connection")), (200, "close"))


class LastAnswerTests(Dialogue):  # RFC 9112, section 9.6
    def test_a_last_answer_is_whole_though_more_was_sent(self):
        """Closing with something unread has the kernel reset the connection."""
        job = self.server.finished(function="echo", args=["x" * 6_000_000])
        for path, least in [(b"/v1/jobs/%s/result" % job.encode(), 6_000_002), (b"/healthz", 16)]:
            with self.subTest(path):
                connection = self.connect()
                connection.sendall(b"GET " + path + b" HTTP/1.1\r\n" + HOST
                                   + b"Connection: close\r\n\r\n" + GET * 4_000)
                time.sleep(0.2)
                answer, = read_answers(self.read_to_end(connection))
                self.assertEqual((answer.status, len(answer.body)), (200, least))


class RecordTests(unittest.TestCase):
    def test_what_is_refused_is_in_the_access_log(self):
        """One line a response, with the id that the client was told."""
        chunked = POST + b"Transfer-Encoding: chunked\r\n\r\n"
        refused = [
            (b"GET /\r\n\r\n", 400, "", ""),
            (b"GET /%s HTTP/1.1\r\n" % (b"a" * 9_000), 414, "", ""),
            (chunked + b"xyz\r\n", 400, "POST", "/v1/jobs"),
            (POST + b"Content-Length: 99999999999\r\n\r\n", 413, "POST", "/v1/jobs"),
        ]
        with tempfile.NamedTemporaryFile() as log, Service("--access-log", log.name) as server:
            told = []
            for request, status, method, path in refused:
                answer, = read_answers(ask(server.port, request))
                self.assertEqual(answer.status, status)
                told.append((status, method, path, answer.value("x-request-id")))
            self.assertEqual(server.stop(), 0)
            lines = [json.loads(line) for line in log.read().splitlines()]
            found = [(line["status"], line["method"], line["path"], line["id"]) for line in lines
                     if line["status"] >= 400]
            self.assertEqual(found, told)
            self.assertEqual({line["client"] for line in lines}, {"127.0.0.1"})


class StopTests(unittest.TestCase):
    """What clients see of a stop by SIGTERM."""

    def test_requests_under_way_are_answered_and_the_idle_let_go(self):
        with Service() as server:
            def connect():
                connection = socket.create_connection(("127.0.0.1", server.port), 10)
                self.addCleanup(connection.close)
                return connection

            job = server.submit(function="sleep", args=[1])
            idle, used, waiting, sending = connect(), connect(), connect(), connect()
            used.sendall(GET)
            self.assertIn(b" 200 ", used.recv(65536))
            waiting.sendall(b"GET /v1/jobs/%s?wait=20 HTTP/1.1\r\n" % job.encode() + HOST + b"\r\n")
            sending.sendall(POST + b"Content-Length: 30\r\nExpect: 100-continue\r\n\r\n")
            self.assertIn(b" 100 ", sending.recv(65536))
            server.process.terminate()
            self.assertEqual(idle.recv(1), b"")
            self.assertEqual(used.recv(1), b"")
            sending.sendall(JOB)
            for connection, statuses in [(sending, (202, 503)), (waiting, (200,))]:
                data = b""
                while piece := connection.recv(65536):
                    data += piece
                answer, = read_answers(data)
                self.assertIn(answer.status, statuses)
                self.assertIn("close", answer.value("connection"))
            with self.assertRaises(ConnectionError):
                socket.create_connection(("127.0.0.1", server.port), 10)
            self.assertEqual(server.process.wait(30), 0)

    def ask_for_much(self, server):
        """A client that takes little at once and has asked for 8 MiB; what it is to receive."""
        job = server.finished(function="echo", args=["x" * (8 << 20)])
        client = socket.socket()
        self.addCleanup(client.close)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.settimeout(10)
        client.connect(("127.0.0.1", server.port))
        client.sendall(b"GET /v1/jobs/%s/result HTTP/1.1\r\n" % job.encode() + HOST + b"\r\n")
        return client, (200, (8 << 20) + 2)

    def test_a_request_behind_a_long_answer_is_answered_too(self):
        with Service() as server:
            client, much = self.ask_for_much(server)
            client.recv(1)
            client.sendall(GET)
            time.sleep(0.1)
            server.process.terminate()
            time.sleep(0.2)
            data = b"H"
            while piece := client.recv(1 << 20):
                data += piece
            answers = read_answers(data)
            self.assertEqual((answers[0].status, len(answers[0].body)), much)
            self.assertEqual([answer.value("connection") for answer in answers], [None, "close"])
            self.assertEqual(answers[1].status, 200)
            self.assertEqual(server.process.wait(30), 0)

    def test_a_request_after_the_stop_does_not_cost_the_answer_before_it(self):
        """The server has sent all of it, the client has not read all of it."""
        for seconds in (None, 1):  # idle, and with a last answer behind
            with self.subTest(seconds=seconds), Service() as server:
                client, (status, length) = self.ask_for_much(server)
                data = b""
                while len(data) < length - 40_000:
                    data += client.recv(min(4096, length - 40_000 - len(data)))
                if seconds:
                    job = server.submit(function="sleep", args=[seconds])
                    client.sendall(
                        b"GET /v1/jobs/%s?wait=20 HTTP/1.1\r\n" % job.encode() + HOST + b"\r\n")
                time.sleep(0.3)
                server.process.terminate()
                time.sleep(0.2 + (seconds or 0))
                client.sendall(GET)
                time.sleep(0.2)
                while piece := client.recv(4096):
                    data += piece
                answer, *more = read_answers(data)
                self.assertEqual((answer.status, len(answer.body)), (status, length))
                self.assertEqual([(last.status, last.value("connection")) for last in more],
                                 [(200, "close")] if seconds else [])
                client.close()
                self.assertEqual(server.process.wait(30), 0)

    def test_the_first_request_of_a_connection_may_be_on_its_way(self):
        """Nobody sends it once more, as they do on a connection that was used before."""
        with Service() as server, socket.create_connection(("127.0.0.1", server.port), 10) as fresh, \
                socket.create_connection(("127.0.0.1", server.port), 10) as waiting:
            job = server.submit(function="sleep", args=[1])
            waiting.sendall(b"GET /v1/jobs/%s?wait=20 HTTP/1.1\r\n" % job.encode() + HOST + b"\r\n")
            server.accepted(2)
            server.process.terminate()
            time.sleep(0.1)
            fresh.sendall(GET)
            data = b""
            while piece := fresh.recv(65536):
                data += piece
            answer, = read_answers(data)
            self.assertEqual(answer.status, 200)
            self.assertEqual(server.process.wait(30), 0)


class SemanticsTests(Dialogue):
    def test_head_has_the_fields_of_get(self):  # RFC 9110, section 9.3.2
        for path in [b"/healthz", b"/openapi.yaml", b"/v1/functions", b"/nothing"]:
            with self.subTest(path=path):
                got = self.one(b"GET " + path + b" HTTP/1.1\r\n" + HOST + b"\r\n")
                head = self.one(b"HEAD " + path + b" HTTP/1.1\r\n" + HOST + b"\r\n", (0,))
                self.assertEqual(head.status, got.status)
                for name in ("content-type", "content-length", "transfer-encoding", "etag"):
                    self.assertEqual(head.values(name), got.values(name), name)

    def test_allow_tells_the_methods(self):  # RFC 9110, section 10.2.1
        for path, methods in [(b"/healthz", {"GET", "HEAD", "OPTIONS"}),
                              (b"/v1/jobs", {"GET", "HEAD", "POST", "OPTIONS"}),
                              (b"/v1/jobs/batch", {"POST", "OPTIONS"}),
                              (b"*", {"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"})]:
            for method in (b"OPTIONS", b"PATCH")[:1 if path == b"*" else 2]:
                with self.subTest(path=path, method=method):
                    answer = self.one(method + b" " + path + b" HTTP/1.1\r\n" + HOST + b"\r\n")
                    allowed = answer.value("allow").replace(" ", "").split(",")
                    self.assertEqual(len(allowed), len(set(allowed)))
                    self.assertEqual(set(allowed), methods)

    def test_conditions(self):  # RFC 9110, section 13
        path = "/v1/jobs/" + self.server.finished(function="echo", args=[1])
        status, fields, body = self.server.call("GET", path)
        tag = fields["ETag"]
        self.assertRegex(tag, r'^(W/)?"[\x21\x23-\x7e]*"$')  # 8.8.3
        strong = tag.removeprefix("W/")
        for section, sent, wanted in [
                ("13.1.2", tag, 304), ("13.1.2", "W/" + strong, 304), ("13.1.2", "*", 304),
                ("13.1.2", '"x", ' + tag, 304), ("13.1.2", tag + ', "x"', 304),
                ("13.1.2", '"x","y" ,' + tag, 304), ("13.1.2", '"x"', 200),
                ("8.8.3", strong.strip('"'), 200), ("8.8.3", strong[:-1], 200),
                ("13.1.2", '"%s"' % strong.strip('"').upper(), 200)]:
            for method in ("GET", "HEAD"):
                with self.subTest(section=section, sent=sent, method=method):
                    request = "%s %s HTTP/1.1\r\nHost: localhost\r\nIf-None-Match: %s\r\n\r\n" % (
                        method, path, sent)
                    answer = self.one(request.encode(), (0,) if method == "HEAD" else ())
                    self.assertEqual(answer.status, wanted)
                    self.assertEqual(answer.value("etag"), tag)  # 15.4.5
                    has_body = wanted == 200 and method == "GET"
                    self.assertEqual(answer.body, body if has_body else b"")
        answer = self.one((
            "GET %s HTTP/1.1\r\nHost: localhost\r\nIf-None-Match: \"x\"\r\n"
            "If-Modified-Since: Fri, 31 Dec 2049 23:59:59 GMT\r\n\r\n" % path).encode())
        self.assertEqual(answer.status, 200)  # 13.1.3: not looked at beside If-None-Match

    def test_304_has_the_fields_that_200_would_have(self):  # RFC 9110, section 15.4.5
        job = self.server.finished(function="echo", args=["x" * 5_000])
        path = b"GET /v1/jobs/" + job.encode() + b" HTTP/1.1\r\n" + HOST
        for coding in (b"", b"Accept-Encoding: gzip\r\n"):
            with self.subTest(coding):
                whole = self.one(path + coding + b"\r\n")
                held = b"If-None-Match: " + whole.value("etag").encode() + b"\r\n"
                again = self.one(path + coding + held + b"\r\n")
                self.assertEqual((whole.status, again.status), (200, 304))
                for name in ("etag", "vary", "cache-control"):
                    self.assertEqual(again.values(name), whole.values(name), name)
                    self.assertTrue(whole.values(name), name)

    def test_a_range_is_served_or_passed_over(self):  # RFC 9110, section 14.2
        whole = self.server.call("GET", "/openapi.yaml")[2]
        for sent in ["bytes=0-9", "bytes=-5", "bytes=5-", "bytes=9-2", "bytes=99999999-",
                     "lines=1-2", "bytes=0-1,3-4", "bytes=" + "0-," * 500, "bytes=a-b"]:
            with self.subTest(range=sent):
                status, fields, body = self.server.call(
                    "GET", "/openapi.yaml", headers={"Range": sent})
                self.assertIn(status, (200, 206, 416))
                if status == 200:
                    self.assertEqual(body, whole)
                elif status == 206 and "Content-Range" in fields:
                    span, size = fields["Content-Range"].removeprefix("bytes ").split("/")
                    first, end = map(int, span.split("-"))
                    self.assertEqual((body, int(size)), (whole[first:end + 1], len(whole)))

    def test_nothing_that_was_sent_becomes_a_field(self):  # RFC 9110, section 5.5
        for path in [b"/nothing%0d%0aX-Injected:%20y", b"/v1/jobs/%0aX-Injected:%20y",
                     b"/v1/functions/%0d%0a%0d%0aHTTP/1.1%20200%20OK"]:
            with self.subTest(path=path):
                answer = self.one(b"GET " + path + b" HTTP/1.1\r\n" + HOST + b"\r\n")
                self.assertIn(answer.status, (400, 404))
                self.assertEqual(answer.values("x-injected"), [])
        answer = self.one(b"GET /healthz HTTP/1.1\r\n" + HOST + b"X-Request-Id: a\tb\xff"
                          + b"c" * 5_000 + b"\r\n\r\n")
        self.assertEqual(answer.status, 200)
        self.assertLess(len(answer.value("x-request-id") or ""), 300)

    def test_a_request_id_comes_back(self):
        answer = self.one(
            b"GET /healthz HTTP/1.1\r\n" + HOST + b"X-Request-Id: order-66\r\n\r\n")
        self.assertEqual(answer.values("x-request-id"), ["order-66"])
        made = {self.one(GET).value("x-request-id") for _ in range(3)}
        self.assertEqual(len(made - {None}), 3)

    def test_large_json_is_compressed_for_those_who_take_it(self):  # RFC 9110, section 12.5.3
        # Not the list of jobs, which changes while others work.
        job = self.server.finished(function="echo", args=[list(range(20_000))])
        path = "/v1/jobs/%s/result" % job
        plain = self.server.call("GET", path)[2]
        for sent, coded in [
                ("gzip", True), ("GZIP", True), ("deflate, gzip;q=0.5", True), ("x-gzip", None),
                ("*", None), ("gzip;q=0", False), ("gzip;q=0.000", False), ("", False),
                ("identity", False), ("br", False), ("*;q=0, gzip;q=1", True),
                ("gzip;q=x", None), ("gzip;q=0, *", None)]:
            with self.subTest(sent=sent):
                status, fields, body = self.server.call(
                    "GET", path, headers={"Accept-Encoding": sent})
                self.assertEqual(status, 200)
                coding = fields["Content-Encoding"]
                if coded is not None:
                    self.assertEqual(coding, "gzip" if coded else None)
                if coding is None:
                    self.assertEqual(body, plain)
                elif coding == "gzip":
                    self.assertEqual(gzip.decompress(body), plain)
                    self.assertLess(len(body), len(plain) / 2)
                self.assertIn("accept-encoding", (fields["Vary"] or "").lower())  # 12.5.5

    def test_ten_megabytes_in_and_out(self):
        argument = json.dumps("0123456789" * 1_000_000).encode()
        body = b'{"function":"echo","args":[' + argument + b"]}"
        for framing in ("length", "chunked"):
            with self.subTest(framing=framing):
                status, _, answer = self.server.call(
                    "POST", "/v1/jobs", body if framing == "length" else iter(
                        body[i:i + 65_521] for i in range(0, len(body), 65_521)),
                    timeout=60)
                self.assertEqual(status, 202, answer[:300])
                job = json.loads(answer)["id"]
                self.server.call("GET", "/v1/jobs/%s?wait=30" % job, timeout=60)
                result = self.server.call("GET", "/v1/jobs/%s/result" % job, timeout=60)
                self.assertEqual((result[0], len(result[2])), (200, len(argument)))
                self.assertTrue(result[2] == argument, "the result is another")


if __name__ == "__main__":
    unittest.main()

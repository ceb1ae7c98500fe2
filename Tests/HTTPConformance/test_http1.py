"""HTTP/1.1 by RFC 9110 and 9112: every case of the table, sent whole and in pieces."""

import json
import re
import time
import unittest

from cases import CASES, CLOSED, EITHER, OPEN
from service import Shared
from wire import Conversation, WireError, converse, read_answers, seconds_of_date

# Ends each conversation whose connection goes on; its answer shows that both sides agree on where
# a request begins.
PROBE = b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
READY = b'{"status":"ready"}\n'


class Table(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Shared.get()

    def hold(self, cases, pieces):
        """Holds a conversation for each case and each way `pieces` gives to part its bytes."""
        held = [(case, Conversation(way)) for case in cases for way in pieces(sent(case))]
        failed = set()  # told once, however many ways of parting it fail
        for first in range(0, len(held), 128):
            batch = [(case, talk) for case, talk in held[first:first + 128] if case not in failed]
            converse(self.server.port, [talk for _, talk in batch], seconds=5)
            for case, talk in batch:
                if case not in failed:
                    with self.subTest(str(case)):
                        failed.add(case)
                        judge(case, talk)
                        failed.remove(case)
        self.assertIsNone(self.server.process.poll(), "the server ended")

    def test_each_case_sent_whole(self):
        self.hold(CASES, lambda data: [[data]])

    def test_each_case_sent_byte_by_byte(self):
        short = [case for case in CASES if len(case.request) < 600]
        self.assertGreater(len(short), 300)
        self.hold(short, lambda data: [[data[i:i + 1] for i in range(len(data))]])

    def test_cases_split_at_every_offset(self):
        framed = [case for case in CASES if len(case.request) < 260 and (
            case.ends != CLOSED or re.match("9112, (2.2|6|7)", case.section))]
        self.assertGreater(len(framed), 50)
        self.hold(framed, lambda data: ([data[:i], data[i:]] for i in range(1, len(data))))

    def test_the_table_is_whole(self):
        self.assertGreaterEqual(len(CASES), 150)
        self.assertEqual(len({str(case) for case in CASES}), len(CASES), "a case stands twice")


def sent(case):
    return case.request if case.ends == CLOSED else case.request + PROBE


def judge(case, talk):
    """Raises AssertionError when what came back is not what the case says."""
    if not talk.ended:
        raise WireError("the server did not end it; it sent %r" % talk.received[:200])
    if talk.was_reset and not talk.received:
        raise WireError("the connection was reset before an answer")
    to_head = case.to_head
    answers = read_answers(talk.received, to_head)
    statuses = [answer.status for answer in answers]
    wanted = len(case.answers)
    if case.ends == OPEN or (case.ends == EITHER and len(answers) > wanted):
        if len(answers) != wanted + 1 or answers[-1].body != READY:
            raise WireError("the next request was not answered: %s" % statuses)
        answers = answers[:-1]
    elif len(answers) != wanted:
        raise WireError("%d answers, not %d: %s" % (len(answers), wanted, statuses))
    for answer, allowed in zip(answers, case.answers):
        if answer.status not in allowed:
            raise WireError("%d, not %s: %r" % (
                answer.status, "/".join(map(str, sorted(allowed))), answer.body[:200]))
    if case.body is not None and answers[0].body != case.body:
        raise WireError("the body is %r" % answers[0].body[:200])
    for answer in answers:
        judge_answer(case, answer)
    if case.ends == CLOSED and "close" not in (answers[-1].value("connection") or ""):
        raise WireError("the last answer does not say Connection: close (RFC 9112, 9.6)")


def judge_answer(case, answer):
    """What holds for every answer."""
    dates = answer.values("date")
    if len(dates) != 1 or abs(seconds_of_date(dates[0]) - time.time()) > 60:
        raise WireError("Date is %s (RFC 9110, 6.6.1)" % dates)
    if answer.status == 405 and not answer.value("allow"):
        raise WireError("405 without Allow (RFC 9110, 15.5.6)")
    if answer.status in (204, 304) and (
            answer.value("transfer-encoding") or answer.status == 204 and
            answer.value("content-length")):
        raise WireError("a length with %d (RFC 9112, 6.1; RFC 9110, 8.6)" % answer.status)
    if answer.body and not answer.value("content-type"):
        raise WireError("a body without Content-Type (RFC 9110, 8.3)")
    if b" HTTP/1.0\r\n" in case.request and (
            answer.interim or answer.value("transfer-encoding")):
        raise WireError("HTTP/1.0 was answered with what it does not know")
    if answer.interim and b"xpect" not in case.request:
        raise WireError("an interim answer that nobody asked for")
    if answer.status >= 400 and answer.body:
        if not answer.value("content-type").startswith("application/problem+json"):
            raise WireError("a problem of the type %s" % answer.value("content-type"))
        if json.loads(answer.body)["status"] != answer.status:
            raise WireError("a problem of another status")


if __name__ == "__main__":
    unittest.main()

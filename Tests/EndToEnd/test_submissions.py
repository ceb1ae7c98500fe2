"""Malformed submissions: a problem says of each where and why, and no job is made."""

import json
import socket
import unittest

from service import PROBLEM_MEMBERS, ServiceTestCase


def deep(levels):
    return b'{"function":"echo","args":' + b"[" * levels + b"]" * levels + b"}"


def with_args(text):
    return b'{"function":"echo","args":[' + text + b"]}"


# Not JSON (RFC 8259): 400, about the whole body.
NOT_JSON = [
    b"", b" \n", b"{", b"}", b"nul", b"True", b"{'function':'echo'}", b"{function:\"echo\"}",
    b'{"function":echo}', b'{"function":"echo",}', b'{"function" "echo"}',
    b'{"function":"echo" "args":[]}', b'{"function":"echo"}}', b'{"function":"echo"} {}',
    b'{"function":"echo"} // a comment', b'\xef\xbb\xbf{"function":"echo"}',
    b'{"function":"echo"}\x00', '{"function":"echo"}'.encode("utf-16"), deep(70),
    with_args(b"1,"), with_args(b"1,,2"), with_args(b"01"), with_args(b"1."), with_args(b".5"),
    with_args(b"+1"), with_args(b"-"), with_args(b"1e"), with_args(b"0x10"), with_args(b"NaN"),
    with_args(b"Infinity"), with_args(b'"'), with_args(b'"\x01"'), with_args(b'"a\tb"'),
    with_args(b'"\\x41"'), with_args(b'"\\u12g4"'), with_args(b'"\xff"'),
    with_args(b'"\xc0\xaf"'), with_args(b'"\xed\xa0\x80"'), with_args(b'"\xf4\x90\x80\x80"'),
]

# JSON, but no valid submission: 422, code and pointer.
NOT_VALID = [
    (b"[]", "invalid-member", ""),
    (b"null", "invalid-member", ""),
    (b"1", "invalid-member", ""),
    (b'"echo"', "invalid-member", ""),
    (b"{}", "missing-member", ""),
    (b'{"args":[1]}', "missing-member", ""),
    (b'{"function":null}', "invalid-member", "/function"),
    (b'{"function":1}', "invalid-member", "/function"),
    (b'{"function":""}', "invalid-member", "/function"),
    (b'{"function":"%s"}' % (b"x" * 201), "invalid-member", "/function"),
    (b'{"function":"nope"}', "unknown-function", "/function"),
    (b'{"function":"ECHO"}', "unknown-function", "/function"),
    (b'{"function":"echo","functon":1}', "unknown-member", "/functon"),
    (b'{"function":"echo","Args":[]}', "unknown-member", "/Args"),
    (b'{"function":"echo","":1}', "unknown-member", "/"),
    (b'{"function":"echo","a/b":1}', "unknown-member", "/a~1b"),
    (b'{"function":"echo","a~b":1}', "unknown-member", "/a~0b"),
    (b'{"function":"echo","\xc3\xa9":1}', "unknown-member", "/\u00e9"),
    (b'{"function":"echo","function":"echo"}', "duplicate-member", "/function"),
    (b'{"function":"echo","args":[],"\\u0061rgs":[]}', "duplicate-member", "/args"),
    (b'{"function":"echo","args":1}', "invalid-member", "/args"),
    (b'{"function":"echo","args":"1"}', "invalid-member", "/args"),
    (b'{"function":"echo","args":null}', "invalid-member", "/args"),
    (b'{"function":"echo","map":{}}', "invalid-member", "/map"),
    (b'{"function":"echo","map":5}', "invalid-member", "/map"),
    (b'{"function":"echo","map":null}', "invalid-member", "/map"),
    (b'{"function":"echo","args":[],"map":[]}', "conflicting-members", "/map"),
    (b'{"function":"echo","spread":true}', "conflicting-members", "/spread"),
    (b'{"function":"echo","args":[1],"concurrency":2}', "conflicting-members", "/concurrency"),
    (b'{"function":"echo","chunk":2}', "conflicting-members", "/chunk"),
    (b'{"function":"echo","on_error":"stop"}', "conflicting-members", "/on_error"),
    (b'{"function":"echo","delay":1,"not_before":"2026-01-31T09:30:00Z"}',
     "conflicting-members", "/not_before"),
    (b'{"function":"cat","pool":"async"}', "pool-not-allowed", "/pool"),
]

# Members with values out of their type or range: 422, `invalid-member`, the member as pointer.
WRONG_VALUES = {
    "spread": ["1", '"true"', "null"],
    "concurrency": ["0", "-1001", "1.5", '"2"', "1000001", "null"],
    "chunk": ["0", "-1", '"automatic"', "1.5", "true", "1000001", "null"],
    "on_error": ['"ignore"', "1", "null"],
    "pool": ['"threads"', '"Thread"', "1", "null"],
    "queue": ['""', '"a b"', '"a/b"', '"\u00e9"', '"%s"' % ("q" * 101), "1", "null"],
    "priority": ["1001", "-1001", "1.5", '"high"', "99999999999999999999", "null"],
    "delay": ["-1", '"1"', "1e400", "1e10", "null"],
    "not_before": ['"tomorrow"', "1767225600", '"2026-02-30T00:00:00Z"', '"2026-01-31"',
                   '"2026-01-31T09:30:00"', '"2026-13-01T00:00:00Z"', '"2026-01-31T24:00:00Z"'],
    "timeout": ["0", "-1", "0.0001", '"1"', "1e400", "null"],
    "keep": ["-1", '"1"', "1e400", "null"],
    "tags": ['"a"', "{}", "[%s]" % ",".join('"t%d"' % i for i in range(33)), "null"],
    "tags/0": ["1", '""', '"%s"' % ("t" * 101), "null"],
    "retry": ["3", "[]", '"often"', "null"],
    "retry/max_attempts": ["0", "101", "1.5", '"3"', "null"],
    "retry/backoff": ['"linear"', "1"],
    "retry/initial": ["-1", '"1"', "1e400"],
    "retry/factor": ["0.5", "101", "null"],
    "retry/max_delay": ["-1", '"1"'],
}


def with_member(place, value):
    """A submission whose only mistake is one value."""
    name, _, inner = place.partition("/")
    if inner:
        value = "[%s]" % value if name == "tags" else '{"%s":%s}' % (inner, value)
    return ('{"function":"echo","map":[1],"%s":%s}' % (name, value)).encode()


CASES = [(body, 400, "invalid-json", "") for body in NOT_JSON]
CASES += [(body, 422, code, pointer) for body, code, pointer in NOT_VALID]
CASES += [(with_member(place, value), 422, "invalid-member", "/" + place)
          for place, values in WRONG_VALUES.items() for value in values]
CASES += [
    (b'{"function":"echo","retry":{"attempts":3}}', 422, "unknown-member", "/retry/attempts"),
    (b'{"function":"echo","retry":{"factor":2,"factor":2}}', 422, "duplicate-member",
     "/retry/factor"),
]
GOOD = b'{"function":"echo","args":[1]}'
JSON = {"Content-Type": "application/json"}
LINES = {"Content-Type": "application/x-ndjson"}


class SubmissionTests(ServiceTestCase):
    def refuse(self, body, status, code, pointer, path="/v1/jobs", headers=JSON):
        with self.subTest(body=body[:100], path=path, headers=headers):
            problem = self.problem("POST", path, status, code, body=body, headers=headers)
            self.assertEqual(set(problem), PROBLEM_MEMBERS)
            self.assertEqual(problem["pointer"], pointer)
            self.assertNoJob()

    def assertNoJob(self):
        self.assertEqual(self.get("/v1/queues"), {"queues": []})

    def test_the_table_is_as_long_as_it_should_be(self):
        self.assertEqual(len(CASES), len({body for body, _, _, _ in CASES}))
        self.assertGreaterEqual(len(CASES), 100)

    def test_a_malformed_submission_makes_no_job(self):
        for body, status, code, pointer in CASES:
            self.refuse(body, status, code, pointer)

    def test_one_malformed_submission_refuses_its_whole_batch(self):
        for body, status, code, pointer in CASES:
            if status == 422:
                self.refuse(b"[%s,%s]" % (GOOD, body), 422, code, "/1" + pointer, "/v1/jobs/batch")
                self.refuse(
                    GOOD + b"\n" + body, 422, code, "/1" + pointer, "/v1/jobs/batch", LINES)
        for body in (b"", b"[", b"[%s" % GOOD, b"[%s,]" % GOOD, GOOD + b"," + GOOD):
            self.refuse(body, 400, "invalid-json", "", "/v1/jobs/batch")
        self.refuse(GOOD + b"\n{\n" + GOOD, 400, "invalid-json", "/1", "/v1/jobs/batch", LINES)
        for body in (GOOD, b"null", b'"x"'):
            self.refuse(body, 422, "invalid-member", "", "/v1/jobs/batch")
        self.refuse(
            b"[" + b",".join([GOOD] * 10_001) + b"]", 413, "batch-too-large", "", "/v1/jobs/batch")

    def test_a_wrong_content_type_makes_no_job(self):
        for value in ("", "text/plain", "application/x-www-form-urlencoded", "application/jsonp",
                      "multipart/form-data; boundary=x", "application"):
            self.refuse(GOOD, 415, "wrong-content-type", "", headers={"Content-Type": value})
        for value in ("", "text/plain", "application/xml"):
            self.refuse(GOOD, 415, "wrong-content-type", "", "/v1/jobs/batch",
                        {"Content-Type": value})

    def test_a_wrong_content_type_is_refused_before_the_body_is_sent(self):
        for path in ("/v1/jobs", "/v1/jobs/batch"):
            for expectation in ("", "Expect: 100-continue\r\n"):
                with socket.create_connection(("127.0.0.1", self.server.port), 10) as client:
                    client.sendall(
                        b"POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Length: 60000000\r\n"
                        b"Content-Type: text/plain\r\n%s\r\n" % (path.encode(), expectation.encode()))
                    answer = client.makefile("rb").readline()
                self.assertEqual(answer, b"HTTP/1.1 415 Unsupported Media Type\r\n")

    def test_a_wrong_idempotency_key_makes_no_job(self):
        for key in ("", "k" * 256):
            self.refuse(GOOD, 422, "invalid-idempotency-key", "",
                        headers={**JSON, "Idempotency-Key": key})

    def test_a_body_that_is_too_large_is_not_read(self):
        for length in (64 * 2**20 + 1, 2**62):
            with socket.create_connection(("127.0.0.1", self.server.port), 20) as connection:
                connection.sendall(
                    b"POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                    b"Content-Length: %d\r\n\r\n" % length)
                answer = b"".join(iter(lambda: connection.recv(65536), b""))
            head, _, body = answer.partition(b"\r\n\r\n")
            self.assertTrue(head.startswith(b"HTTP/1.1 413 "), head)
            self.assertIn(b"Content-Type: application/problem+json", head)
            self.assertEqual(json.loads(body)["status"], 413)
        self.assertNoJob()


if __name__ == "__main__":
    unittest.main()

"""HTTP answers read from literal bytes, whole and split at every offset."""

import unittest

import support  # noqa: F401  (puts the package on the path)
from martlet.errors import ConnectionLost
from martlet.wire import Address, AnswerReader, Request

ANSWERS = [
    (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-A:  b \r\n\r\nhello", 200, b"hello", True),
    (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2;a=b\r\nlo\r\n0\r\nT: u\r\n\r\n",
     200, b"hello", True),
    (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n", 202, b"",
     True),
    (b"HTTP/1.1 204 No Content\r\n\r\n", 204, b"", True),
    (b"HTTP/1.1 503 Busy\r\nConnection: close\r\nRetry-After: 3\r\nContent-Length: 2\r\n\r\nno", 503,
     b"no", False),
]


class AnswerReaderTests(unittest.TestCase):
    def test_answers_are_read_however_they_are_split(self):
        for data, status, body, keeps in ANSWERS:
            for cut in range(1, len(data)):
                with self.subTest(status=status, cut=cut):
                    reader = AnswerReader("GET")
                    reader.feed(data[:cut])
                    reader.feed(data[cut:])
                    self.assertTrue(reader.done)
                    self.assertEqual((reader.answer.status, reader.take()), (status, body))
                    self.assertEqual(reader.keeps_alive, keeps)

    def test_an_answer_that_is_cut_short_is_an_error(self):
        data = ANSWERS[0][0]
        for cut in range(1, len(data) - 1):
            reader = AnswerReader("GET")
            reader.feed(data[:cut])
            with self.assertRaises(ConnectionLost):
                reader.feed(b"")

    def test_without_a_length_the_body_ends_with_the_connection(self):
        reader = AnswerReader("GET")
        reader.feed(b"HTTP/1.1 200 OK\r\n\r\nhel")
        reader.feed(b"lo")
        self.assertFalse(reader.done)
        reader.feed(b"")
        self.assertEqual((reader.done, reader.take()), (True, b"hello"))

    def test_bytes_that_nobody_asked_for_end_the_connection(self):
        reader = AnswerReader("GET")
        reader.feed(ANSWERS[0][0] + b"HTTP/1.1 200 OK\r\n")
        self.assertTrue(reader.done)
        self.assertFalse(reader.keeps_alive)

    def test_what_is_no_http_is_an_error(self):
        for data in (b"SSH-2.0-x\r\n\r\n", b"HTTP/1.1 abc\r\n\r\n", b"x" * 70000):
            with self.assertRaises(ConnectionLost):
                AnswerReader("GET").feed(data)

    def test_addresses(self):
        self.assertEqual(Address("http://a:81/p/").port, 81)
        self.assertEqual(Address("http://a:81/p/").prefix, "/p")
        self.assertEqual(Address("a:81").host, "a")
        self.assertEqual(Address("http://[::1]:81").host, "::1")
        self.assertEqual(Address("unix:/run/m").socket_path, "/run/m")
        self.assertTrue(Address("https://a").is_secure)
        for wrong in ("ftp://a",):
            with self.assertRaises(ValueError):
                Address(wrong)
        with self.assertRaises(ValueError):
            Address("http://a", "to\r\nken")
        data = Request("POST", "/v1/jobs", b"{}").encoded(Address("http://a:81", "secret-token"))
        self.assertIn(b"Host: a:81\r\n", data)
        self.assertIn(b"Authorization: Bearer secret-token\r\n", data)


if __name__ == "__main__":
    unittest.main()

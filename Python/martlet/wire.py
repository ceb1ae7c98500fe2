"""HTTP/1.1 as bytes, without I/O: requests written, answers read (RFC 9112)."""

import json
import os
import urllib.parse

from .errors import ConnectionLost, MartletError, Refused

HEAD_BYTES = 64 << 10


class Address:
    """Where the server is and what it wants to see of its clients."""

    def __init__(self, url=None, token=None):
        url = url or os.environ.get("MARTLET_URL") or "http://127.0.0.1:8080"
        parts = urllib.parse.urlsplit(url if "//" in url or url.startswith("unix:")
                                      else "http://" + url)
        if parts.scheme not in ("http", "https", "unix"):
            raise ValueError("a server's URL begins with http://, https:// or unix:, not %r" % url)
        self.url = url
        self.is_secure = parts.scheme == "https"
        self.socket_path = parts.path if parts.scheme == "unix" else None
        self.host = parts.hostname or "localhost"
        self.port = parts.port or (443 if self.is_secure else 80)
        self.prefix = "" if self.socket_path else parts.path.rstrip("/")
        # PEM file with the authorities to trust; None for the system's.
        self.authorities = os.environ.get("MARTLET_CA") or None
        token = token or os.environ.get("MARTLET_TOKEN")
        head = "Host: %s\r\n" % (parts.netloc.rpartition("@")[2] or "localhost")
        if token:
            if not token.isprintable() or " " in token:
                raise ValueError("the token must be printable and without spaces")
            head += "Authorization: Bearer %s\r\n" % token
        self.head = head


class Request:
    """What is asked; `repeatable` tells that asking twice does no more than asking once.

    `body` is JSON as bytes, or a memoryview of bytes that are nothing else, which is sent from
    where it lies.
    """

    __slots__ = ("method", "path", "body", "headers", "repeatable", "wait", "is_streamed",
                 "is_upload")

    def __init__(self, method, path, body=None, headers=(), repeatable=True, wait=0,
                 is_streamed=False, is_upload=False):
        self.method = method
        self.path = path
        self.body = body
        self.headers = headers
        self.repeatable = repeatable
        # Seconds that the server may take on purpose, beyond what it needs.
        self.wait = wait
        self.is_streamed = is_streamed
        # Whether the body is lines that come after the head, in chunks.
        self.is_upload = is_upload

    @property
    def may_last(self):
        """Whether the server may wait for a job before it answers."""
        return self.wait > 0 or self.is_streamed

    def encoded(self, address):
        """The request's bytes, but for a body that is a memoryview."""
        head = ["%s %s%s HTTP/1.1\r\n" % (self.method, address.prefix, self.path), address.head]
        if self.body is not None:
            media = "octet-stream" if self.is_raw else "json"
            head.append("Content-Type: application/%s\r\nContent-Length: %d\r\n" % (
                media, len(self.body)))
        elif self.is_upload:
            head.append("Content-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n")
        elif self.method == "POST":
            head.append("Content-Length: 0\r\n")
        for name, value in self.headers:
            head.append("%s: %s\r\n" % (name, value))
        head.append("\r\n")
        data = "".join(head).encode("latin-1")
        return data if self.body is None or self.is_raw else data + self.body

    @property
    def is_raw(self):
        return isinstance(self.body, memoryview)


class Answer:
    __slots__ = ("status", "headers", "body")

    def __init__(self, status, headers, body=b""):
        self.status = status
        self.headers = headers
        self.body = body

    def json(self):
        try:
            return json.loads(self.body)
        except ValueError as error:
            raise MartletError("the server's answer is not JSON: %s" % error) from None

    def problem(self):
        """The answer as an exception."""
        try:
            document = json.loads(self.body)
        except ValueError:
            document = None
        if not isinstance(document, dict):
            document = {"detail": self.body[:200].decode("utf-8", "replace")}
        return Refused(self.status, document)

    @property
    def retry_after(self):
        """Seconds; None if the server does not say."""
        text = self.headers.get("retry-after", "")
        return float(text) if text.isdigit() else None


class AnswerReader:
    """Makes the answer to one request of the bytes that come; `done` when it is whole."""

    def __init__(self, method):
        self.answer = None
        # Header fields of the answers that came before it (RFC 8297).
        self.hints = {}
        self.done = False
        self.keeps_alive = True
        self._method = method
        # Bytes of the body that nobody has taken yet.
        self.waiting = 0
        self._buffer = bytearray()
        self._pieces = []
        self._step = self._head
        self._left = 0

    def feed(self, data):
        """Takes what has come; b"" for the end of the connection."""
        if not data:
            return self._end()
        self._buffer += data
        while not self.done and self._step():
            pass
        if self.done and self._buffer:
            self.keeps_alive = False  # bytes that nobody asked for

    def take(self):
        """The body's bytes that have come since the last take."""
        data = b"".join(self._pieces)
        del self._pieces[:]
        self.waiting = 0
        return data

    def _end(self):
        self.keeps_alive = False
        if self._step == self._rest:
            self.done = True
        if not self.done:
            raise ConnectionLost("the server ended the connection before its answer was complete")

    def _line(self):
        """The next line without its end; None if it has not come yet."""
        end = self._buffer.find(b"\n")
        if end < 0:
            if len(self._buffer) > HEAD_BYTES:
                raise ConnectionLost("the server's answer has a line of over %d bytes" % HEAD_BYTES)
            return None
        line = bytes(self._buffer[:end]).rstrip(b"\r")
        del self._buffer[:end + 1]
        return line

    def _head(self):
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            if len(self._buffer) > HEAD_BYTES:
                raise ConnectionLost("the server's answer has a head of over %d bytes" % HEAD_BYTES)
            return False
        lines = bytes(self._buffer[:end]).decode("latin-1").split("\r\n")
        del self._buffer[:end + 4]
        version, _, rest = lines[0].partition(" ")
        if not version.startswith("HTTP/1.") or not rest[:3].isdigit():
            raise ConnectionLost("this is no HTTP/1.1 server: %r" % lines[0][:80])
        status = int(rest[:3])
        headers = {}
        for line in lines[1:]:
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        if 100 <= status < 200:
            self.hints.update(headers)
            return True
        self.answer = Answer(status, headers)
        connection = headers.get("connection", "").lower()
        self.keeps_alive = "close" not in connection and version != "HTTP/1.0"
        if self._method == "HEAD" or status in (204, 304):
            self.done = True
        elif "transfer-encoding" in headers:
            self._step = self._size
        elif "content-length" in headers:
            self._left = int(headers["content-length"])
            self._step = self._fixed
            self.done = self._left == 0
        else:
            self._step = self._rest
            self.keeps_alive = False
        return True

    def _body(self):
        """Moves body bytes; whether all of the present length have come."""
        count = min(self._left, len(self._buffer))
        if count:
            self._pieces.append(bytes(self._buffer[:count]))
            del self._buffer[:count]
            self._left -= count
            self.waiting += count
        return self._left == 0

    def _fixed(self):
        self.done = self._body()
        return False

    def _rest(self):
        self._left = len(self._buffer)
        self._body()
        return False

    def _size(self):
        line = self._line()
        if line is None:
            return False
        try:
            self._left = int(line.partition(b";")[0], 16)
        except ValueError:
            raise ConnectionLost("the server's answer has a chunk of no size") from None
        self._step = self._chunk if self._left else self._trailer
        return True

    def _chunk(self):
        if not self._body():
            return False
        self._step = self._chunk_end
        return True

    def _chunk_end(self):
        if self._line() is None:
            return False
        self._step = self._size
        return True

    def _trailer(self):
        line = self._line()
        if line is None:
            return False
        self.done = line == b""
        return not self.done

"""Bytes to and from the server over real sockets, and a strict reader of its answers."""

import calendar
import re
import select
import socket
import time
from dataclasses import dataclass, field

TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
STATUS_LINE = re.compile(rb"HTTP/1\.[01] ([1-5][0-9]{2}) [\t\x20-\x7e]*")
FIELD = re.compile(rb"(" + TOKEN + rb"): ?([\t\x20-\x7e\x80-\xff]*)")


class WireError(AssertionError):
    """The server's bytes are not HTTP."""


@dataclass
class Answer:
    status: int
    fields: list
    body: bytes = b""
    interim: list = field(default_factory=list)

    def values(self, name):
        return [value for key, value in self.fields if key == name.lower()]

    def value(self, name):
        found = self.values(name)
        return found[0] if found else None


class Conversation:
    """One connection: pieces that are sent one after the other, and all that came back."""

    def __init__(self, pieces):
        self.pieces = pieces
        self.received = b""
        self.ended = False  # the server closed its side
        self.was_reset = False

    def open(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), 10)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.settimeout(10)

    def send(self, piece):
        try:
            self.socket.sendall(piece)
        except (BrokenPipeError, ConnectionResetError):
            pass  # refused before all was sent: the answer, if any, is still to be read

    def receive(self):
        try:
            piece = self.socket.recv(1 << 18)
        except ConnectionResetError:
            piece, self.was_reset = b"", True
        self.received += piece
        self.ended = not piece


def converse(port, conversations, seconds=10):
    """Holds all conversations at once, a piece of each in turn, until the server has ended them.

    The turns give the server the time to see each piece alone.
    """
    try:
        for talk in conversations:
            talk.open(port)
        for turn in range(max((len(talk.pieces) for talk in conversations), default=0)):
            for talk in conversations:
                if turn < len(talk.pieces):
                    talk.send(talk.pieces[turn])
        poll = select.poll()
        waiting = {}
        for talk in conversations:
            poll.register(talk.socket, select.POLLIN)
            waiting[talk.socket.fileno()] = talk
        deadline = time.monotonic() + seconds
        while waiting and time.monotonic() < deadline:
            for descriptor, _ in poll.poll(100):
                talk = waiting[descriptor]
                talk.receive()
                if talk.ended:
                    poll.unregister(descriptor)
                    del waiting[descriptor]
    finally:
        for talk in conversations:
            if hasattr(talk, "socket"):
                talk.socket.close()


def ask(port, request, seconds=10):
    """All bytes that come back until the server closes; the client keeps its side open."""
    talk = Conversation([request])
    converse(port, [talk], seconds)
    if not talk.ended:
        raise WireError("the server did not close; it sent %r" % talk.received[:300])
    return talk.received


def read_answers(data, to_head=()):
    """The answers in `data`, read by RFC 9112; `to_head` has the places of answers to HEAD."""
    answers, interim = [], []
    while data:
        head, mark, rest = data.partition(b"\r\n\r\n")
        if not mark:
            raise WireError("a head that does not end: %r" % data[:300])
        first, *lines = head.split(b"\r\n")
        found = STATUS_LINE.fullmatch(first)
        if not found:
            raise WireError("a malformed status line: %r" % first[:300])
        answer = Answer(int(found[1]), [read_field(line) for line in lines])
        if answer.status < 200:
            interim.append(answer)
            data = rest
            continue
        answer.interim, interim = interim, []
        is_bare = len(answers) in to_head or answer.status in (204, 304)
        data = rest if is_bare else read_body(answer, rest)
        answers.append(answer)
    if interim:
        raise WireError("an interim answer without a final one")
    return answers


def read_field(line):
    found = FIELD.fullmatch(line)
    if not found:
        raise WireError("a malformed field: %r" % line[:300])
    return found[1].decode().lower(), found[2].decode("latin-1").rstrip(" \t")


def read_body(answer, rest):
    """Fills in the body; what follows it."""
    lengths, codings = answer.values("content-length"), answer.values("transfer-encoding")
    if len(lengths) + len(codings) > 1:
        raise WireError("the length is told twice: %r" % answer.fields)
    if codings:
        return read_chunks(answer, rest)
    if not lengths:
        answer.body = rest
        return b""
    if not re.fullmatch("[0-9]+", lengths[0]):
        raise WireError("a malformed Content-Length: %r" % lengths[0])
    length = int(lengths[0])
    if len(rest) < length:
        raise WireError("a body of %d of %d bytes" % (len(rest), length))
    answer.body = rest[:length]
    return rest[length:]


def read_chunks(answer, rest):
    while True:
        line, mark, rest = rest.partition(b"\r\n")
        if not mark or not re.fullmatch(b"[0-9A-Fa-f]+", line):
            raise WireError("a malformed chunk size: %r" % line[:100])
        size = int(line, 16)
        if len(rest) < size + 2 or rest[size:size + 2] != b"\r\n":
            raise WireError("a chunk that does not end")
        answer.body += rest[:size]
        rest = rest[size + 2:]
        if size == 0:
            return rest


def seconds_of_date(text):
    """The time of an IMF-fixdate (RFC 9110, section 5.6.7); any other form is an error."""
    return calendar.timegm(time.strptime(text, "%a, %d %b %Y %H:%M:%S GMT"))

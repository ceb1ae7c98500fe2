"""HTTP/2 frames in bytes (RFC 9113, section 4), good and bad, and a peer that sends them."""

import socket
import struct
import time
from collections import namedtuple

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, \
    CONTINUATION = range(10)
END_STREAM = ACK = 0x1
END_HEADERS, PADDED, HAS_PRIORITY = 0x4, 0x8, 0x20
NO_ERROR, PROTOCOL_ERROR, INTERNAL_ERROR, FLOW_CONTROL_ERROR, SETTINGS_TIMEOUT, STREAM_CLOSED, \
    FRAME_SIZE_ERROR, REFUSED_STREAM, CANCEL, COMPRESSION_ERROR, CONNECT_ERROR, \
    ENHANCE_YOUR_CALM, INADEQUATE_SECURITY, HTTP_1_1_REQUIRED = range(14)
ERRORS = ("NO_ERROR PROTOCOL_ERROR INTERNAL_ERROR FLOW_CONTROL_ERROR SETTINGS_TIMEOUT STREAM_CLOSED"
          " FRAME_SIZE_ERROR REFUSED_STREAM CANCEL COMPRESSION_ERROR CONNECT_ERROR"
          " ENHANCE_YOUR_CALM INADEQUATE_SECURITY HTTP_1_1_REQUIRED").split()
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

Frame = namedtuple("Frame", "type flags stream payload")


def frame(type, flags=0, stream=0, payload=b"", length=None):
    """`length` is told instead of the true one where it is given."""
    length = len(payload) if length is None else length
    return struct.pack(">I", length)[1:] + struct.pack(">BBI", type, flags, stream) + payload


def integer(value, bits, first=0):
    """An integer with a prefix of so many bits (RFC 7541, section 5.1)."""
    limit = (1 << bits) - 1
    if value < limit:
        return bytes([first | value])
    out, value = [first | limit], value - limit
    while value >= 128:
        out.append(value % 128 + 128)
        value //= 128
    return bytes(out + [value])


def literal(name, value, first=0x00):
    """A field that is not indexed (RFC 7541, section 6.2.2), without Huffman."""
    return bytes([first]) + integer(len(name), 7) + name + integer(len(value), 7) + value


def block(*fields):
    return b"".join(literal(name, value) for name, value in fields)


def request(path=b"/healthz", method=b"GET", *more):
    return block((b":method", method), (b":scheme", b"http"), (b":path", path),
                 (b":authority", b"localhost"), *more)


def headers(stream, fields, flags=END_HEADERS | END_STREAM, lead=b"", tail=b""):
    return frame(HEADERS, flags, stream, lead + fields + tail)


def setting(*pairs):
    return frame(SETTINGS, payload=b"".join(struct.pack(">HI", *pair) for pair in pairs))


def window_update(stream, increment):
    return frame(WINDOW_UPDATE, 0, stream, struct.pack(">I", increment))


def reset(stream, code=CANCEL):
    return frame(RST_STREAM, 0, stream, struct.pack(">I", code))


PROBE = frame(PING, payload=b"alive?!?")


class Peer:
    """A client's end of one HTTP/2 connection, which sends what it is told and reads frames."""

    def __init__(self, port, settings=setting(), preface=PREFACE, buffer=None, wrap=None):
        self.socket = socket.socket()
        if buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        self.socket.settimeout(10)
        self.socket.connect(("127.0.0.1", port))
        if wrap:
            self.socket = wrap(self.socket)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""
        self.send(preface + settings)

    def send(self, data):
        try:
            self.socket.sendall(data)
            return True
        except (BrokenPipeError, ConnectionResetError):
            return False  # ended by the server: what it said is still to be read

    def read(self):
        """The next frame; None at the end."""
        while True:
            if len(self.buffer) >= 9:
                length = int.from_bytes(self.buffer[:3], "big")
                if len(self.buffer) >= 9 + length:
                    type, flags, stream = struct.unpack(">BBI", self.buffer[3:9])
                    payload = self.buffer[9:9 + length]
                    self.buffer = self.buffer[9 + length:]
                    return Frame(type, flags, stream & 0x7FFFFFFF, payload)
            try:
                piece = self.socket.recv(1 << 16)
            except ConnectionResetError:
                piece = b""
            if not piece:
                return None
            self.buffer += piece

    def frames(self, until, seconds=10):
        """Frames up to the first for which `until` holds, or to the end of the connection."""
        deadline, read = time.monotonic() + seconds, []
        while True:
            self.socket.settimeout(max(0.01, deadline - time.monotonic()))
            try:
                got = self.read()
            except TimeoutError:
                raise AssertionError("nothing decided after %d s: %s" % (seconds, read[-5:]))
            if got is None:
                return read
            read.append(got)
            if until(got):
                return read

    def until_ping(self):
        return self.frames(lambda got: got.type == PING and got.flags & ACK)

    def until_end_of(self, stream):
        return self.frames(lambda got: got.type == GOAWAY or got.stream == stream and (
            got.type == RST_STREAM or got.type in (DATA, HEADERS) and got.flags & END_STREAM))

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.close()


def code(got):
    """The error code of a GOAWAY or RST_STREAM."""
    return int.from_bytes(got.payload[4:8] if got.type == GOAWAY else got.payload[:4], "big")

"""The table of HTTP/2: frames, the section of RFC 9113 that rules them, and the error wanted."""

from dataclasses import dataclass

from frames import *  # noqa: F403

CONNECTION, STREAM, FINE = "connection error", "stream error", "no error"


@dataclass(frozen=True)
class Case:
    section: str
    says: str
    bytes: bytes
    kind: str
    codes: frozenset
    malformed: bool  # then an answer of 400 will do (section 8.1.1)

    def __str__(self):
        return "RFC %s: %s" % (self.section, self.says)


CASES = []


def add(kind, section, says, data, codes=(), malformed=False):
    codes = frozenset([codes] if isinstance(codes, int) else codes)
    CASES.append(Case(section, says, data, kind, codes, malformed))


def connection(section, says, data, codes):
    add(CONNECTION, section, says, data, codes)


def stream(section, says, data, codes):
    """An error of stream 1; a server may make it one of the connection (section 5.4.2)."""
    add(STREAM, section, says, data, codes)


def malformed(section, says, *fields, tail=b""):
    add(STREAM, section, says, headers(1, block(*fields)) + tail, PROTOCOL_ERROR, True)


def fine(section, says, data):
    """Stream 1 is answered with 200 and the connection lives."""
    add(FINE, section, says, data)


REQUEST = headers(1, request())
METHOD, SCHEME, PATH, AUTHORITY = (
    (b":method", b"GET"), (b":scheme", b"http"), (b":path", b"/healthz"),
    (b":authority", b"localhost"))
WHOLE = (METHOD, SCHEME, PATH, AUTHORITY)
# A submission whose body is still to come.
BEGUN = headers(1, request(b"/v1/jobs", b"POST", (b"content-type", b"application/json")),
                END_HEADERS)

# --- Frames -----------------------------------------------------------------------------------

fine("9113, 4.1", "a frame of an unknown type is passed over",
     frame(0x7F, 0xFF, 0, b"x" * 99) + REQUEST)
fine("9113, 4.1", "an unknown type on a stream that is not there",
     frame(0x16, 0, 77, b"x") + REQUEST)
fine("9113, 4.1", "unknown flags are passed over", headers(1, request(), 0x80 | 0x40 | 0x5))
fine("9113, 4.1", "the reserved bit is passed over", headers(0x80000001, request()))
fine("9113, 6.2", "HEADERS with padding",
     headers(1, request(), END_HEADERS | END_STREAM | PADDED, b"\x05", b"\0" * 5))
fine("9113, 6.2", "HEADERS with a priority",
     headers(1, request(), END_HEADERS | END_STREAM | HAS_PRIORITY, b"\0\0\0\0\x10"))
fine("9113, 6.10", "a block in three frames",
     headers(1, request()[:10], END_STREAM) + frame(CONTINUATION, 0, 1, request()[10:20])
     + frame(CONTINUATION, END_HEADERS, 1, request()[20:]))
fine("9113, 6.10", "a block a byte a frame",
     headers(1, request()[:1], END_STREAM)
     + b"".join(frame(CONTINUATION, 0, 1, request()[i:i + 1]) for i in range(1, 6))
     + frame(CONTINUATION, END_HEADERS, 1, request()[6:]))
fine("9113, 6.3", "PRIORITY of an idle stream", frame(PRIORITY, 0, 3, b"\0\0\0\1\x10") + REQUEST)
fine("9113, 6.5.2", "an unknown setting", setting((0xFF, 7), (0x4242, 0)) + REQUEST)
fine("9113, 6.5.2", "all settings", setting(
    (1, 0), (2, 0), (3, 0), (4, 1_000_000), (5, 16_777_215), (6, 100_000)) + REQUEST)
fine("9113, 6.9", "a window update of the connection", window_update(0, 1_000_000) + REQUEST)
fine("9113, 5.1", "a window update of a stream that has ended",
     REQUEST + window_update(1, 5))
fine("7541, 6.3", "the table's size changed at the start of a block",
     headers(1, b"\x20" + request()))
fine("9113, 8.1", "a POST with trailers is read to its end", REQUEST + headers(
    3, request(b"/v1/jobs", b"POST"), END_HEADERS) + frame(DATA, 0, 3, b"{}")
    + headers(3, block((b"x-sum", b"1"))))

for size, says, data in [
        (0, "DATA", BEGUN + frame(DATA, 0, 1, b"x" * 16_385)),
        (1, "HEADERS", headers(1, request() + literal(b"x", b"y" * 20_000))),
        (1, "a frame of an unknown type", frame(0x7F, 0, 0, b"x" * 16_385)),
        (1, "SETTINGS", frame(SETTINGS, payload=b"\0\x42\0\0\0\0" * 3_000)),
        (1, "a length of 16 MiB", frame(HEADERS, 5, 1, request(), length=0xFFFFFF))]:
    (connection if size else stream)(
        "9113, 4.2", says + " over the frame size", data, FRAME_SIZE_ERROR)

connection("9113, 6.1", "DATA on stream 0", frame(DATA, 0, 0, b"x"), PROTOCOL_ERROR)
connection("9113, 6.1", "DATA whose padding is as long as it",
           BEGUN + frame(DATA, PADDED, 1, b"\x05abcd"), PROTOCOL_ERROR)
connection("9113, 6.1", "padded DATA without a byte",
           BEGUN + frame(DATA, PADDED, 1, b""), (FRAME_SIZE_ERROR, PROTOCOL_ERROR))
connection("9113, 5.1", "DATA on an idle stream", frame(DATA, 0, 1, b"x"),
           (PROTOCOL_ERROR, STREAM_CLOSED))
stream("9113, 5.1", "DATA after END_STREAM", headers(1, request(b"/v1/jobs", b"POST"))
       + frame(DATA, END_STREAM, 1, b"x"), STREAM_CLOSED)
stream("9113, 5.1", "HEADERS after END_STREAM", REQUEST + REQUEST, (STREAM_CLOSED, PROTOCOL_ERROR))
connection("9113, 6.2", "HEADERS on stream 0", headers(0, request()), PROTOCOL_ERROR)
connection("9113, 5.1.1", "HEADERS on an even stream", headers(2, request()), PROTOCOL_ERROR)
connection("9113, 5.1.1", "HEADERS on a lower stream than before",
           headers(5, request()) + headers(3, request()), PROTOCOL_ERROR)
connection("9113, 6.2", "HEADERS whose padding is longer than it",
           headers(1, request(), END_HEADERS | END_STREAM | PADDED, b"\xff"), PROTOCOL_ERROR)
connection("9113, 6.2", "HEADERS too short for its priority",
           frame(HEADERS, END_HEADERS | END_STREAM | HAS_PRIORITY, 1, b"\0\0"),
           (FRAME_SIZE_ERROR, PROTOCOL_ERROR))
connection("9113, 6.3", "PRIORITY on stream 0",
           frame(PRIORITY, 0, 0, b"\0\0\0\1\0"), PROTOCOL_ERROR)
stream("9113, 6.3", "PRIORITY of four bytes", BEGUN + frame(PRIORITY, 0, 1, b"\0\0\0\1"),
       FRAME_SIZE_ERROR)
connection("9113, 6.4", "RST_STREAM on stream 0", reset(0), PROTOCOL_ERROR)
connection("9113, 6.4", "RST_STREAM of an idle stream", reset(1), PROTOCOL_ERROR)
connection("9113, 6.4", "RST_STREAM of three bytes", BEGUN + frame(RST_STREAM, 0, 1, b"\0\0\0"),
           FRAME_SIZE_ERROR)
connection("9113, 6.5", "SETTINGS on a stream", frame(SETTINGS, 0, 1), PROTOCOL_ERROR)
connection("9113, 6.5", "an acknowledgement of SETTINGS with a payload",
           frame(SETTINGS, ACK, 0, b"\0\x42\0\0\0\0"), FRAME_SIZE_ERROR)
connection("9113, 6.5", "SETTINGS of five bytes", frame(SETTINGS, payload=b"\0\x42\0\0\0"),
           FRAME_SIZE_ERROR)
connection("9113, 6.5.2", "ENABLE_PUSH of 2", setting((2, 2)), PROTOCOL_ERROR)
connection("9113, 6.5.2", "INITIAL_WINDOW_SIZE of 2^31", setting((4, 1 << 31)), FLOW_CONTROL_ERROR)
connection("9113, 6.5.2", "MAX_FRAME_SIZE of 16383", setting((5, 16_383)), PROTOCOL_ERROR)
connection("9113, 6.5.2", "MAX_FRAME_SIZE of 2^24", setting((5, 1 << 24)), PROTOCOL_ERROR)
connection("9113, 8.4", "PUSH_PROMISE of a client",
           BEGUN + frame(PUSH_PROMISE, END_HEADERS, 1, b"\0\0\0\2" + request()), PROTOCOL_ERROR)
connection("9113, 6.7", "PING on a stream", frame(PING, 0, 1, b"12345678"), PROTOCOL_ERROR)
connection("9113, 6.7", "PING of seven bytes", frame(PING, payload=b"1234567"), FRAME_SIZE_ERROR)
connection("9113, 6.8", "GOAWAY on a stream", frame(GOAWAY, 0, 1, b"\0" * 8), PROTOCOL_ERROR)
connection("9113, 6.8", "GOAWAY of seven bytes", frame(GOAWAY, payload=b"\0" * 7), FRAME_SIZE_ERROR)
connection("9113, 6.9", "a window update of 0 of the connection",
           window_update(0, 0), PROTOCOL_ERROR)
stream("9113, 6.9", "a window update of 0 of a stream", BEGUN + window_update(1, 0), PROTOCOL_ERROR)
connection("9113, 6.9", "a window update of three bytes",
           frame(WINDOW_UPDATE, payload=b"\0\0\1"), FRAME_SIZE_ERROR)
connection("9113, 5.1", "a window update of an idle stream", window_update(1, 1), PROTOCOL_ERROR)
connection("9113, 6.9.1", "the connection's window over 2^31-1",
           window_update(0, 0x7FFFFFFF), FLOW_CONTROL_ERROR)
stream("9113, 6.9.1", "a stream's window over 2^31-1",
       BEGUN + window_update(1, 0x7FFFFFFF), FLOW_CONTROL_ERROR)
# The RFC wants an error of the connection; libnghttp2 resets the stream, which harms nobody else.
stream("9113, 6.9.2", "a setting lifts a stream's window over 2^31-1",
       BEGUN + window_update(1, 0x7FFFFFFF - 65_535) + setting((4, 65_536)), FLOW_CONTROL_ERROR)
connection("9113, 6.10", "CONTINUATION alone", frame(CONTINUATION, END_HEADERS, 1, request()),
           PROTOCOL_ERROR)
connection("9113, 6.10", "CONTINUATION on stream 0",
           headers(1, request()[:9], END_STREAM)
           + frame(CONTINUATION, END_HEADERS, 0, request()[9:]),
           PROTOCOL_ERROR)
connection("9113, 6.10", "CONTINUATION of another stream",
           headers(1, request()[:9], END_STREAM)
           + frame(CONTINUATION, END_HEADERS, 3, request()[9:]),
           PROTOCOL_ERROR)
connection("9113, 6.10", "CONTINUATION after the block's end",
           BEGUN + frame(CONTINUATION, END_HEADERS, 1, request()), PROTOCOL_ERROR)
for says, between in [("PING", frame(PING, payload=b"12345678")), ("DATA", frame(DATA, 0, 1, b"x")),
                      ("SETTINGS", setting()), ("PRIORITY", frame(PRIORITY, 0, 1, b"\0\0\0\3\0")),
                      ("HEADERS", headers(3, request())),
                      ("an unknown type", frame(0x7F, 0, 1, b"x"))]:
    connection("9113, 4.3", "%s within a block" % says,
               headers(1, request()[:9], END_STREAM) + between
               + frame(CONTINUATION, END_HEADERS, 1, request()[9:]), PROTOCOL_ERROR)

# --- Field compression ------------------------------------------------------------------------

for says, data in [
        ("an index of 0", b"\x80"), ("an index past the tables", b"\xff\x80\x01"),
        ("a literal whose name has an index past the tables", b"\x7f\x80\x01\x01x"),
        ("an integer that overflows", b"\xff" + b"\xff" * 12 + b"\x01"),
        ("an integer that does not end", request() + b"\xff\xff"),
        ("a text longer than the block", request() + b"\x00\x01x\x7fyyy"),
        ("a bad Huffman code", request() + b"\x00\x01x\x84\xff\xff\xff\xff"),
        ("Huffman padding of eight bits", request() + b"\x00\x01x\x82\x1f\xff"),
        ("Huffman padding of zeros", request() + b"\x00\x01x\x81\x18"),
        ("a table larger than was set", b"\x3f\xe1\xff\x03" + request()),
        ("a change of the table's size after a field", request() + b"\x20")]:
    connection("9113, 4.3", says, headers(1, data), COMPRESSION_ERROR)

# --- Requests ---------------------------------------------------------------------------------

malformed("9113, 8.3.1", "no :method", SCHEME, PATH, AUTHORITY)
malformed("9113, 8.3.1", "no :scheme", METHOD, PATH, AUTHORITY)
malformed("9113, 8.3.1", "no :path", METHOD, SCHEME, AUTHORITY)
malformed("9113, 8.3.1", "an empty :path", METHOD, SCHEME, (b":path", b""), AUTHORITY)
malformed("9113, 8.3.1", "a :path without a slash",
          METHOD, SCHEME, (b":path", b"healthz"), AUTHORITY)
malformed("9113, 8.3.1", "a :path of an asterisk with GET",
          METHOD, SCHEME, (b":path", b"*"), AUTHORITY)
malformed("9113, 8.3.1", "user information in :authority", METHOD, SCHEME, PATH,
          (b":authority", b"user@localhost"))
malformed("9113, 8.3.1", ":authority and host that differ", *WHOLE, (b"host", b"other.example"))
malformed("9113, 8.3.1", "an empty :method", (b":method", b""), SCHEME, PATH, AUTHORITY)
malformed("9113, 8.3.1", "a :method with a space", (b":method", b"GE T"), SCHEME, PATH, AUTHORITY)
for field in WHOLE:
    malformed("9113, 8.3.1", "%s twice" % field[0].decode(), *WHOLE, field)
malformed("9113, 8.3", "a pseudo-field after a field",
          METHOD, SCHEME, AUTHORITY, (b"x", b"y"), PATH)
malformed("9113, 8.3", "an unknown pseudo-field", *WHOLE, (b":unknown", b"y"))
malformed("9113, 8.3", "a pseudo-field of responses", *WHOLE, (b":status", b"200"))
malformed("9113, 8.3", ":protocol without its setting", *WHOLE, (b":protocol", b"websocket"))
malformed("9113, 8.5", "CONNECT with :path and :scheme",
          (b":method", b"CONNECT"), SCHEME, PATH, AUTHORITY)
for name in [b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade"]:
    malformed("9113, 8.2.2", "the field %s" % name.decode(), *WHOLE, (name, b"close"))
malformed("9113, 8.2.2", "TE other than trailers", *WHOLE, (b"te", b"gzip"))
fine("9113, 8.2.2", "TE: trailers", headers(1, request(b"/healthz", b"GET", (b"te", b"trailers"))))
malformed("9113, 8.2", "a name in capitals", *WHOLE, (b"X-Name", b"y"))
for name in [b"x name", b"x\0name", b"x\x7fname", b"x\xffname", b"x:name", b"x(", b""]:
    malformed("9113, 8.2.1", "the name %r" % name, *WHOLE, (name, b"y"))
for value in [b"a\0b", b"a\rb", b"a\nb", b" a", b"a ", b"\ta", b"a\t", b"a\r\nX: y"]:
    malformed("9113, 8.2.1", "the value %r" % value, *WHOLE, (b"x", value))
for path in [b"/a b", b"/a\0", b"/a\r\nX: y", b"/\x7f"]:
    malformed("9113, 8.3.1", "the path %r" % path, METHOD, SCHEME, (b":path", path), AUTHORITY)
JSON = (b"content-type", b"application/json")
for length, body in [(b"1", b"{}"), (b"3", b"{}"), (b"0", b"{}"), (b"2", b"")]:
    add(STREAM, "9113, 8.1.1", "a content-length of %s for %d bytes" % (length.decode(), len(body)),
        headers(1, request(b"/v1/jobs", b"POST", JSON, (b"content-length", length)), END_HEADERS)
        + frame(DATA, END_STREAM, 1, body), PROTOCOL_ERROR, True)
malformed("9113, 8.1.1", "a content-length without a body", *WHOLE, (b"content-length", b"5"))
for value in [b"-1", b"x", b"+5", b"1,2", b"18446744073709551617"]:
    malformed("9113, 8.1.1", "the content-length %s" % value.decode(),
              *WHOLE, (b"content-length", value))
malformed("9113, 8.1.1", "two content-lengths", *WHOLE, (b"content-length", b"0"),
          (b"content-length", b"1"))
add(STREAM, "9113, 8.1", "trailers that do not end the stream",
    BEGUN + frame(DATA, 0, 1, b"{}") + headers(1, block((b"x", b"y")), END_HEADERS),
    PROTOCOL_ERROR, True)
add(STREAM, "9113, 8.1", "a pseudo-field in trailers",
    BEGUN + frame(DATA, 0, 1, b"{}") + headers(1, block((b":path", b"/"))), PROTOCOL_ERROR, True)

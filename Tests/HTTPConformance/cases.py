"""The table: requests in literal bytes, the section that rules them, and what must come back."""

from dataclasses import dataclass

OPEN, CLOSED, EITHER = "open", "closed", "either"

# Follows each refused request: an answer to it would be an answer to what an attacker smuggled.
SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n"


@dataclass(frozen=True)
class Case:
    section: str
    says: str
    request: bytes
    answers: tuple  # for each answer in turn, the statuses that may be
    ends: str  # of the connection, after the last answer
    to_head: tuple = ()  # which answers are to HEAD
    body: bytes = None  # of the first answer, where it matters

    def __str__(self):
        return "RFC %s: %s" % (self.section, self.says)


CASES = []


def answered(section, says, request, *statuses, **more):
    """Each request of these bytes is answered, and the connection goes on."""
    CASES.append(Case(section, says, request, sets(statuses), OPEN, **more))


def last(section, says, request, *statuses, **more):
    """These are answered, and then the server closes."""
    CASES.append(Case(section, says, request, sets(statuses), CLOSED, **more))


def lenient(section, says, request, *statuses, **more):
    """These are answered; the server may close."""
    CASES.append(Case(section, says, request, sets(statuses), EITHER, **more))


def refused(section, says, request, statuses=400):
    """One answer, the connection closed, and nothing that follows is taken for a request."""
    CASES.append(Case(section, says, request + SMUGGLED, sets([statuses]), CLOSED))


def refused_at_once(section, says, request, statuses):
    """As `refused`, though the client sends nothing more: the answer does not wait for it."""
    CASES.append(Case(section, says, request, sets([statuses]), CLOSED))


def sets(statuses):
    return tuple(one if isinstance(one, frozenset) else frozenset(
        one if isinstance(one, tuple) else [one]) for one in statuses)


JOB = b'{"function":"echo","args":[1]}'  # 30 bytes
assert len(JOB) == 30
POST = b"POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
GET = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
ALIVE = b'{"status":"ok"}\n'
NOT_FOUND = (404, 400)

# --- Request line -----------------------------------------------------------------------------

answered("9112, 3", "a plain request", GET, 200, body=ALIVE)
answered("9112, 2.2", "an empty line before the request line is passed over", b"\r\n" + GET, 200)
lenient("9110, 2.5", "a higher minor version is read as 1.1 or not supported",
        b"GET /healthz HTTP/1.2\r\nHost: localhost\r\n\r\n", (200, 505))
for says, line in [
        ("two spaces before the target", b"GET  /healthz HTTP/1.1"),
        ("two spaces before the version", b"GET /healthz  HTTP/1.1"),
        ("a tab for a space", b"GET\t/healthz HTTP/1.1"),
        ("a tab before the version", b"GET /healthz\tHTTP/1.1"),
        ("a form feed for a space", b"GET\x0c/healthz HTTP/1.1"),
        ("a space before the method", b" GET /healthz HTTP/1.1"),
        ("a space after the version", b"GET /healthz HTTP/1.1 "),
        ("a space in the target", b"GET /heal thz HTTP/1.1"),
        ("no target", b"GET HTTP/1.1"),
        ("an empty target", b"GET  HTTP/1.1"),
        ("no method", b"/healthz HTTP/1.1"),
        ("one word", b"GET"),
        ("a fourth word", b"GET /healthz HTTP/1.1 x")]:
    refused("9112, 3", says, line + b"\r\nHost: localhost\r\n\r\n")
refused("9112, 2.3", "no version, as in HTTP/0.9", b"GET /healthz\r\n\r\n", (400, 505))
for version in [b"http/1.1", b"HTTP/1", b"HTTP/1.", b"HTTP/.1", b"HTTP/11", b"HTTP/1.1.1",
                b"HTTP/1,1", b"HTTP/+1.1", b"HTTP/ 1.1", b"HTTP/1.10", b"HTTP/01.1", b"HTP/1.1",
                b"HTTP/1.x", b"HTTP/\xd9\xa1.1", b"HTTP1.1"]:
    refused("9112, 2.3", "the version is malformed: %r" % version,
            b"GET /healthz " + version + b"\r\nHost: localhost\r\n\r\n", (400, 505))
for version in [b"HTTP/2.0", b"HTTP/3.0", b"HTTP/9.9", b"HTTP/0.9"]:
    refused("9110, 15.6.6", "the version is not supported: %s" % version.decode(),
            b"GET /healthz " + version + b"\r\nHost: localhost\r\n\r\n",
            (505, 400) if version == b"HTTP/0.9" else 505)
for byte in b"\x00\x01\x08\x0b\x0c\x1f\x7f\x80\xff(),/:;<=>?@[\\]{}\"":
    refused("9110, 5.6.2", "the method holds 0x%02x" % byte,
            b"G" + bytes([byte]) + b"T /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
refused("9112, 2.2", "a bare LF ends the request line",
        b"GET /healthz HTTP/1.1\nHost: localhost\r\n\r\n")
refused("9112, 2.2", "a bare CR ends the request line",
        b"GET /healthz HTTP/1.1\rHost: localhost\r\n\r\n")
refused("9112, 2.2", "a bare CR in the target",
        b"GET /hea\rlthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
refused("9112, 2.2", "CR CR LF ends the request line",
        b"GET /healthz HTTP/1.1\r\r\nHost: localhost\r\n\r\n")
refused("9112, 2.2", "bare LF throughout", b"GET /healthz HTTP/1.1\nHost: localhost\n\n")
refused("9112, 2.2", "an empty line of a bare LF first", b"\n" + GET)
refused("9112, 2.2", "an empty line of a bare CR first", b"\r" + GET)

# --- Methods ----------------------------------------------------------------------------------

answered("9110, 9.1", "methods are case-sensitive",
         b"get /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n", (405, 501))
answered("9110, 15.6.2", "an unknown method",
         b"BREW /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n", (405, 501))
answered("9110, 5.6.2", "a method may hold any token character",
         b"M-#!$%&'*+.^_`|~9 /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n", (405, 501))
refused("9112, 3", "a method longer than any",
        b"A" * 4000 + b" /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n", 501)
answered("9110, 15.5.6", "a known path without this method",
         b"DELETE /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n", 405)
answered("9110, 15.5.6", "PUT of the jobs",
         b"PUT /v1/jobs HTTP/1.1\r\nHost: localhost\r\n\r\n", 405)
answered("9110, 9.3.8", "TRACE is not given",
         b"TRACE /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n", (405, 501))
lenient("9110, 9.3.6", "CONNECT is not given",
        b"CONNECT localhost:80 HTTP/1.1\r\nHost: localhost:80\r\n\r\n", (400, 404, 405, 501))
answered("9110, 9.3.2", "HEAD has no body",
         b"HEAD /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n", 200, to_head=(0,))
answered("9110, 9.3.2", "HEAD of nothing has no body either",
         b"HEAD /nothing HTTP/1.1\r\nHost: localhost\r\n\r\n", 404, to_head=(0,))
answered("9110, 9.3.2", "HEAD of a large document",
         b"HEAD /openapi.yaml HTTP/1.1\r\nHost: localhost\r\n\r\n", 200, to_head=(0,))
last("9110, 9.3.2", "a HEAD that is refused", b"HEAD /healthz HTTP/1.1\r\n\r\n", 400, to_head=(0,))
last("9110, 9.3.2", "a HEAD that is too long",
     b"\r\nHEAD /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n", 414, to_head=(0,))
answered("9110, 9.3.7", "OPTIONS of a path",
         b"OPTIONS /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n", (200, 204))
answered("9110, 9.3.7", "OPTIONS of the whole server",
         b"OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n", (200, 204))

# --- Targets ----------------------------------------------------------------------------------

answered("9112, 3.2.1", "a query is no part of the path",
         b"GET /healthz?a=b/c?d HTTP/1.1\r\nHost: localhost\r\n\r\n", 200)
answered("9112, 3.2.1", "an empty query", b"GET /healthz? HTTP/1.1\r\nHost: localhost\r\n\r\n", 200)
answered("9112, 3.2.2", "an absolute target",
         b"GET http://localhost/healthz HTTP/1.1\r\nHost: localhost\r\n\r\n", 200)
answered("9112, 3.2.2", "an absolute target goes before Host",
         b"GET http://localhost/healthz HTTP/1.1\r\nHost: other.example\r\n\r\n", 200)
answered("9110, 4.2.3", "the scheme's case does not matter",
         b"GET HTTP://localhost/healthz HTTP/1.1\r\nHost: localhost\r\n\r\n", 200)
answered("9112, 3.2.2", "an absolute target with a port",
         b"GET http://localhost:8080/healthz HTTP/1.1\r\nHost: localhost\r\n\r\n", 200)
answered("9110, 4.2.3", "an absolute target without a path",
         b"GET http://localhost HTTP/1.1\r\nHost: localhost\r\n\r\n", (200, 404))
answered("9110, 4.2.3", "an absolute target without a path, with a query",
         b"GET http://localhost?x=/healthz HTTP/1.1\r\nHost: localhost\r\n\r\n", (200, 404))
answered("9112, 3.2.4", "OPTIONS of the whole server, absolute",
         b"OPTIONS http://localhost HTTP/1.1\r\nHost: localhost\r\n\r\n", (200, 204, 404))
answered("9110, 4.2.3", "an escaped letter is that letter",
         b"GET /%68ealth%7A HTTP/1.1\r\nHost: localhost\r\n\r\n", 200)
answered("3986, 2.4", "an escape is decoded once",
         b"GET /%2568ealthz HTTP/1.1\r\nHost: localhost\r\n\r\n", 404)
answered("3986, 2.2", "an escaped slash parts no segments",
         b"GET /v1%2Fpools HTTP/1.1\r\nHost: localhost\r\n\r\n", 404)
for escape in [b"%", b"%z1", b"%1", b"%+1", b"%1g", b"%_1", b"%%", b"%c0%af",
               b"%00", b"%ff", b"%0d%0aX:%20y", b"%ed%a0%80"]:
    lenient("3986, 2.1", "the path holds %s" % escape.decode(),
            b"GET /v1/jobs/" + escape + b" HTTP/1.1\r\nHost: localhost\r\n\r\n", NOT_FOUND)
answered("9110, 4.2.3", "a path in capitals is another path",
         b"GET /HEALTHZ HTTP/1.1\r\nHost: localhost\r\n\r\n", 404)
answered("9110, 15.5.5", "nothing is there",
         b"GET /nothing HTTP/1.1\r\nHost: localhost\r\n\r\n", 404)
lenient("9112, 3.2.1", "two slashes first are no authority",
        b"GET //localhost/healthz HTTP/1.1\r\nHost: localhost\r\n\r\n", NOT_FOUND)
for says, target in [
        ("no slash first", b"healthz"), ("a query alone", b"?x=/healthz"),
        ("a fragment", b"/healthz#top"), ("a fragment alone", b"#"),
        ("an absolute target without a host", b"http:///healthz"),
        ("an absolute target with an empty host and a port", b"http://:80/healthz"),
        ("user information", b"http://user:word@localhost/healthz"),
        ("an absolute target with a bad port", b"http://localhost:8x/healthz"),
        ("an absolute target with a bad host", b"http://lo<cal>host/healthz"),
        ("an absolute target with an open bracket", b"http://[::1/healthz"),
        ("a scheme without an authority", b"http:/healthz"),
        ("a NUL", b"/healthz\x00"), ("a DEL", b"/healthz\x7f"), ("a vertical tab", b"/heal\x0bthz"),
        ("bytes over 0x7f", b"/health\xc3\xa9"), ("a byte of 0xff", b"/\xff"),
        ("a control byte in the query", b"/healthz?a=\x01")]:
    refused("9112, 3.2", "the target has " + says,
            b"GET " + target + b" HTTP/1.1\r\nHost: localhost\r\n\r\n")
refused("9112, 3.2.3", "an authority is a target of CONNECT alone",
        b"GET localhost:80 HTTP/1.1\r\nHost: localhost:80\r\n\r\n")
refused("9112, 3.2.4", "an asterisk is a target of OPTIONS alone",
        b"GET * HTTP/1.1\r\nHost: localhost\r\n\r\n")
refused("9112, 3.2.4", "two asterisks", b"OPTIONS ** HTTP/1.1\r\nHost: localhost\r\n\r\n")
lenient("9112, 3.2.2", "another scheme",
        b"GET ftp://localhost/healthz HTTP/1.1\r\nHost: localhost\r\n\r\n", (400, 404, 421))

# --- Host -------------------------------------------------------------------------------------

refused("9112, 3.2", "no Host", b"GET /healthz HTTP/1.1\r\n\r\n")
refused("9112, 3.2", "no Host in a request with fields",
        b"GET /healthz HTTP/1.1\r\nAccept: */*\r\n\r\n")
refused("9112, 3.2", "two Hosts",
        b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nHost: other\r\n\r\n")
refused("9112, 3.2", "two Hosts that agree",
        b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nhost: localhost\r\n\r\n")
refused("9112, 3.2", "no Host beside an absolute target",
        b"GET http://localhost/healthz HTTP/1.1\r\n\r\n")
refused("9112, 3.2", "two Hosts beside an absolute target",
        b"GET http://localhost/healthz HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n")
for host in [b"a b", b"localhost, other", b"localhost/healthz", b"http://localhost",
             b"user@localhost", b"localhost:port", b"localhost:-1", b"localhost:80:80", b"[::1",
             b"::1", b"[::1]x", b"local\xffhost", b"local<host>", b"localhost?x", b"localhost#x",
             b"%zz", b"[not-ip]", b"a\\b"]:
    refused("9110, 7.2", "a malformed Host: %r" % host,
            b"GET /healthz HTTP/1.1\r\nHost: " + host + b"\r\n\r\n")
for host in [b"localhost:80", b"127.0.0.1", b"127.0.0.1:65535", b"[::1]", b"[::1]:8080",
             b"LOCALHOST", b"localhost:"]:
    answered("9110, 7.2", "Host may be " + host.decode(),
             b"GET /healthz HTTP/1.1\r\nHost: " + host + b"\r\n\r\n", 200)
lenient("9112, 3.2", "an empty Host", b"GET /healthz HTTP/1.1\r\nHost:\r\n\r\n", (200, 400))
last("9112, 3.2", "HTTP/1.0 needs no Host", b"GET /healthz HTTP/1.0\r\n\r\n", 200)
refused("9112, 3.2", "two Hosts in HTTP/1.0",
        b"GET /healthz HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n")

# --- Fields -----------------------------------------------------------------------------------


def with_field(line):
    return b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n" + line + b"\r\n\r\n"


for says, line in [
        ("a space before the colon", b"X-Name : v"), ("a tab before the colon", b"X-Name\t: v"),
        ("no colon", b"X-Name v"), ("an empty name", b": v"), ("a space first", b" X-Name: v"),
        ("a space in the name", b"X Name: v"), ("a colon alone", b":"),
        ("a name alone", b"X-Name"), ("a CR before the colon", b"X-Name\r: v")]:
    refused("9112, 5.1", "a field with " + says, with_field(line))
refused("9112, 2.2", "white space between the request line and the fields",
        b"GET /healthz HTTP/1.1\r\n \r\nHost: localhost\r\n\r\n")
refused("9112, 2.2", "a folded line where the first field should be",
        b"GET /healthz HTTP/1.1\r\n X: y\r\nHost: localhost\r\n\r\n")
refused("9112, 5.2", "a folded line", with_field(b"X-Name: a\r\n b"))
refused("9112, 5.2", "a line folded with a tab", with_field(b"X-Name: a\r\n\tb"))
refused("9112, 5.2", "a folded line of white space", with_field(b"X-Name: a\r\n "))
refused("9112, 5.2", "a folded Host", b"GET /healthz HTTP/1.1\r\nHost: local\r\n host\r\n\r\n")
for byte in b"\x00\x01\x0b\x1f\x7f\x80\xff\"(),/;<=>?@[\\]{}":
    refused("9110, 5.6.2", "a field's name holds 0x%02x" % byte,
            with_field(b"X" + bytes([byte]) + b"Y: v"))
for byte in [*range(0x00, 0x09), 0x0b, 0x0c, *range(0x0e, 0x20), 0x7f]:
    refused("9110, 5.5", "a field's value holds 0x%02x" % byte,
            with_field(b"X-Name: a" + bytes([byte]) + b"b"))
refused("9110, 5.5", "a NUL ends a value", with_field(b"X-Name: a\x00"))
refused("9112, 2.2", "a bare CR in a value", with_field(b"X-Name: a\rb"))
refused("9112, 2.2", "a bare CR ends a value", with_field(b"X-Name: a\r\r\nX: y"))
refused("9112, 2.2", "a bare LF ends a field", with_field(b"X-Name: a\nX: y"))
refused("9112, 2.2", "a bare LF ends the head",
        b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\n")
refused("9112, 2.2", "a bare LF hides a Transfer-Encoding",
        POST + b"X: y\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n")
for says, line in [
        ("no white space after the colon", b"X-Name:v"), ("tabs around it", b"X-Name:\t v \t"),
        ("an empty value", b"X-Name:"), ("a value of white space", b"X-Name: \t "),
        ("bytes over 0x7f", b"X-Name: caf\xc3\xa9 \xff"), ("a colon in it", b"X-Name: a: b"),
        ("every token character in its name", b"!#$%&'*+-.^_`|~09AZaz: v"),
        ("a name of one letter", b"X: y"), ("quotes and commas", b'X-Name: "a, b", c')]:
    answered("9110, 5.5", "a field may have " + says, with_field(line), 200)
answered("9110, 5.3", "a field may come twice", with_field(b"X-Name: a\r\nX-Name: b"), 200)

# --- Content-Length ---------------------------------------------------------------------------

answered("9112, 6.2", "a body of the length told", POST + b"Content-Length: 30\r\n\r\n" + JOB, 202)
answered("9110, 8.6", "a length with zeros first",
         POST + b"Content-Length: 0030\r\n\r\n" + JOB, 202)
answered("9112, 5.1", "a length between white space",
         POST + b"Content-Length:\t 30 \t\r\n\r\n" + JOB, 202)
answered("9112, 6.3", "a request without a length has no body",
         POST + b"\r\n" + GET, (400, 411, 415, 422), 200)
answered("9112, 6.2", "a length of zero", POST + b"Content-Length: 0\r\n\r\n" + GET, 400, 200)
answered("9110, 9.3.1", "the body of a GET is no request",
         b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nContent-Length: 44\r\n\r\n"
         + SMUGGLED.replace(b"ost\r\n\r\n", b"ost\r\n\r\n."), 200)
lenient("9110, 9.3.2", "the body of a HEAD is no request",
        b"HEAD /healthz HTTP/1.1\r\nHost: localhost\r\nContent-Length: 43\r\n\r\n" + SMUGGLED,
        200, to_head=(0,))
lenient("9112, 6.3", "the body of what is not found is no request",
        b"POST /nothing HTTP/1.1\r\nHost: localhost\r\nContent-Length: 43\r\n\r\n" + SMUGGLED, 404)
lenient("9112, 6.3", "the body of a method refused is no request",
        b"PUT /v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Length: 43\r\n\r\n" + SMUGGLED, 405)
lenient("9112, 6.3", "the body of an OPTIONS is no request",
        b"OPTIONS /healthz HTTP/1.1\r\nHost: localhost\r\nContent-Length: 43\r\n\r\n" + SMUGGLED,
        (200, 204))
lenient("9112, 6.3", "the body of a wrong type is no request",
        b"POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Length: 43\r\n\r\n" + SMUGGLED, 415)
for value in [b"", b"+30", b"-30", b"-0", b"30 30", b"3 0", b"0x1e", b"30.0", b"3e1", b"abc",
              b"30;", b"30,", b",30", b"30, 31", b"30,3", b"30 , 31", b"\xd9\xa3\xd9\xa0",
              b"\"30\"", b"1_0", b"30\x00", b"0b11", b"'30'", b"30\x0b"]:
    refused("9110, 8.6", "Content-Length is %r" % value,
            POST + b"Content-Length: " + value + b"\r\n\r\n" + JOB)
for value in [b"9223372036854775808", b"18446744073709551616", b"18446744073709551646",
              b"4294967326" + b"0" * 30, b"9" * 400]:
    refused("9110, 8.6", "a length that overflows: %s" % value[:24].decode(),
            POST + b"Content-Length: " + value + b"\r\n\r\n" + JOB, (400, 413))
refused("9112, 6.3", "two lengths that differ",
        POST + b"Content-Length: 30\r\nContent-Length: 31\r\n\r\n" + JOB)
refused("9112, 6.3", "two lengths, the first shorter",
        POST + b"Content-Length: 0\r\nContent-Length: 30\r\n\r\n" + JOB)
lenient("9112, 6.3", "two lengths that agree are refused or taken for one",
        POST + b"Content-Length: 30\r\nContent-Length: 30\r\n\r\n" + JOB, (202, 400))
lenient("9110, 8.6", "a list of lengths that agree is refused or taken for one",
        POST + b"Content-Length: 30, 30\r\n\r\n" + JOB, (202, 400))
refused("9112, 5.1", "a length with a space before the colon",
        POST + b"Content-Length : 30\r\n\r\n" + JOB)
refused("9112, 5.2", "a folded length", POST + b"Content-Length:\r\n 30\r\n\r\n" + JOB)
last("9112, 6.2", "a body one byte longer than told begins the next request",
     POST + b"Content-Length: 29\r\n\r\n" + JOB + SMUGGLED, 400, 400)

# --- Transfer-Encoding ------------------------------------------------------------------------

CHUNKS = b"a\r\n" + JOB[:10] + b"\r\n14\r\n" + JOB[10:] + b"\r\n0\r\n\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"

answered("9112, 7.1", "a chunked body", CHUNKED + CHUNKS, 202)
answered("9112, 7.1", "a chunk a byte",
         CHUNKED + b"".join(b"1\r\n%c\r\n" % byte for byte in JOB) + b"0\r\n\r\n", 202)
answered("9112, 7.1", "an empty chunked body", CHUNKED + b"0\r\n\r\n" + GET, 400, 200)
answered("9112, 7", "the coding's case does not matter",
         POST + b"Transfer-Encoding: CHUNKED\r\n\r\n" + CHUNKS, 202)
answered("9112, 5.1", "the coding between white space",
         POST + b"Transfer-Encoding:\t chunked\t \r\n\r\n" + CHUNKS, 202)
answered("9112, 7.1", "the chunked body of a GET is no request",
         b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n2b\r\n"
         + SMUGGLED + b"\r\n0\r\n\r\n", 200)
refused("9112, 6.3", "a length before the coding",
        POST + b"Content-Length: 30\r\nTransfer-Encoding: chunked\r\n\r\n" + CHUNKS)
refused("9112, 6.3", "a length after the coding",
        POST + b"Transfer-Encoding: chunked\r\nContent-Length: 30\r\n\r\n" + CHUNKS)
refused("9112, 6.3", "a length of zero and the coding",
        POST + b"Transfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n" + CHUNKS)
refused("9112, 6.3", "a length and an unknown coding",
        POST + b"Transfer-Encoding: x\r\nContent-Length: 30\r\n\r\n" + JOB, (400, 501))
refused("9112, 6.1", "an unknown coding before chunked",
        POST + b"Transfer-Encoding: squash, chunked\r\n\r\n" + CHUNKS, (501, 400))
for value in [b"squash", b"gzip", b"identity", b"chunked, gzip", b"chunked, identity",
              b"chunked, chunked", b"xchunked", b"chunkedx", b"\"chunked\"", b"chunked;q=1", b"",
              b"chunked chunked", b"chunk", b"chunked\xff", b"identity, chunked, identity"]:
    refused("9112, 6.3", "the coding is %r" % value,
            POST + b"Transfer-Encoding: " + value + b"\r\n\r\n" + CHUNKS, (400, 501))
for value in [b"\x0bchunked", b"chunked\x00", b"\x00chunked", b"chunked\x0b", b"chun\rked"]:
    refused("9110, 5.5", "the coding holds a control byte: %r" % value,
            POST + b"Transfer-Encoding: " + value + b"\r\n\r\n" + CHUNKS)
refused("9112, 6.1", "the coding twice",
        POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n" + CHUNKS,
        (400, 501))
refused("9112, 6.3", "chunked, and in a second field identity",
        POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n" + CHUNKS,
        (400, 501))
refused("9112, 6.1", "a coding in HTTP/1.0",
        POST.replace(b"1.1", b"1.0") + b"Transfer-Encoding: chunked\r\n\r\n" + CHUNKS)
refused("9112, 6.1", "a coding in HTTP/1.0 that would stay open",
        POST.replace(b"1.1", b"1.0")
        + b"Connection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n" + CHUNKS)
refused("9112, 5.1", "the coding with a space before the colon",
        POST + b"Transfer-Encoding : chunked\r\n\r\n" + CHUNKS)
refused("9112, 5.2", "a folded coding", POST + b"Transfer-Encoding:\r\n chunked\r\n\r\n" + CHUNKS)
lenient("9110, 5.6.1.2", "an empty element beside chunked",
        POST + b"Transfer-Encoding: , chunked\r\n\r\n" + CHUNKS, (202, 400, 501))

# --- Chunks -----------------------------------------------------------------------------------

for says, size in [("in capitals", b"1E"), ("with zeros first", b"0001e"),
                   ("with an extension", b"1e;name=value"), ("with a bare extension", b"1e;name"),
                   ("with a quoted extension", b'1e;name="a;b\\"c"'),
                   ("with two extensions", b"1e;a=b;c=d")]:
    answered("9112, 7.1.1", "a chunk size " + says,
             CHUNKED + size + b"\r\n" + JOB + b"\r\n0\r\n\r\n", 202)
lenient("9112, 7.1.1", "white space before an extension is bad, and may be taken",
        CHUNKED + b"1e ;name=value\r\n" + JOB + b"\r\n0\r\n\r\n", (202, 400))
for size in [b"", b"g", b"-1e", b"+1e", b"0x1e", b" 1e", b"1e ", b"\t1e", b"1 e", b"1e,", b"1e\x00",
             b"1e\x0b", b"1_e", b"\xd9\xa3", b"1e.0", b";name", b"-0", b"1e\r"]:
    refused("9112, 7.1", "a chunk size of %r" % size,
            CHUNKED + size + b"\r\n" + JOB + b"\r\n0\r\n\r\n")
for size in [b"7fffffffffffffff", b"8000000000000000", b"ffffffffffffffff", b"1000000000000001e",
             b"0" * 40 + b"1" + b"0" * 40 + b"1e", b"4000001", b"80000000", b"100000000"]:
    refused("9112, 7.1", "a chunk size over the limit: %s" % size[:20].decode(),
            CHUNKED + size + b"\r\n" + JOB + b"\r\n0\r\n\r\n", (400, 413))
for says, chunks in [
        ("more data than its size", b"1d\r\n" + JOB + b"\r\n0\r\n\r\n"),
        ("less data than its size", b"1f\r\n" + JOB + b"\r\n0\r\n\r\n"),
        ("nothing after its data", b"1e\r\n" + JOB + b"0\r\n\r\n"),
        ("a bare LF after its size", b"1e\n" + JOB + b"\r\n0\r\n\r\n"),
        ("a bare CR after its size", b"1e\r" + JOB + b"\r\n0\r\n\r\n"),
        ("a bare LF after its data", b"1e\r\n" + JOB + b"\n0\r\n\r\n"),
        ("a bare CR after its data", b"1e\r\n" + JOB + b"\r0\r\n\r\n"),
        ("two bytes other than CRLF after its data", b"1e\r\n" + JOB + b"xx0\r\n\r\n"),
        ("an empty line before it", b"\r\n1e\r\n" + JOB + b"\r\n0\r\n\r\n"),
        ("a bare LF after the last size", b"1e\r\n" + JOB + b"\r\n0\n\r\n"),
        ("a bare LF at the end", b"1e\r\n" + JOB + b"\r\n0\r\n\n"),
        ("a bare LF in its extension", b"1e;a\nb\r\n" + JOB + b"\r\n0\r\n\r\n"),
        ("a bare LF that ends an empty extension", b"1e;\n" + JOB + b"\r\n0\r\n\r\n"),
        ("a bare CR in its extension", b"1e;a\rb\r\n" + JOB + b"\r\n0\r\n\r\n"),
        ("a NUL in its extension", b"1e;a\x00b\r\n" + JOB + b"\r\n0\r\n\r\n"),
        ("an escaped CR in its extension", b'1e;a="\\\r"\r\n' + JOB + b"\r\n0\r\n\r\n"),
        ("an escaped NUL in its extension", b'1e;a="\\\x00"\r\n' + JOB + b"\r\n0\r\n\r\n"),
        ("an extension that ends in an escape", b'1e;a="\\\r\n' + JOB + b"\r\n0\r\n\r\n"),
        ("an extension of 300 bytes", b"1e;" + b"a" * 300 + b"\r\n" + JOB + b"\r\n0\r\n\r\n"),
        ("an extension of 100,000 bytes",
         b"1e;" + b"a" * 100_000 + b"\r\n" + JOB + b"\r\n0\r\n\r\n")]:
    refused("9112, 7.1", "a chunk with " + says, CHUNKED + chunks)
for says, trailer in [("a field", b"X-Name: v\r\n"), ("two fields", b"X: y\r\nZ:\r\n"),
                      ("a length, which is not used", b"Content-Length: 5\r\n")]:
    answered("9112, 7.1.2", "a trailer with " + says,
             CHUNKED + b"1e\r\n" + JOB + b"\r\n0\r\n" + trailer + b"\r\n", 202)
for says, trailer in [
        ("a space before the colon", b"X-Name : v\r\n"), ("no colon", b"X-Name v\r\n"),
        ("a folded line", b"X-Name: v\r\n w\r\n"), ("a space first", b" X-Name: v\r\n"),
        ("a bare LF", b"X-Name: v\nX: y\r\n"), ("a bare CR", b"X-Name: v\rX: y\r\n"),
        ("an empty name", b": v\r\n"), ("a NUL", b"X-Name: v\x00\r\n"),
        ("a bad name", b"X{}: v\r\n")]:
    refused("9112, 7.1.2", "a trailer with " + says,
            CHUNKED + b"1e\r\n" + JOB + b"\r\n0\r\n" + trailer + b"\r\n")
refused("9112, 7.1.2", "a trailer of 40,000 bytes",
        CHUNKED + b"1e\r\n" + JOB + b"\r\n0\r\nX: " + b"a" * 40_000 + b"\r\n\r\n", (400, 431))
refused("9112, 7.1.2", "a trailer of 3,000 fields",
        CHUNKED + b"1e\r\n" + JOB + b"\r\n0\r\n" + b"X: y\r\n" * 3_000 + b"\r\n", (400, 431))

# --- Limits -----------------------------------------------------------------------------------

answered("9112, 3", "a request line of 8,000 bytes",
         b"GET /healthz?" + b"a" * 7_974 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n", 200)
refused("9110, 15.5.15", "a request line of 9,000 bytes",
        b"GET /healthz?" + b"a" * 9_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n", 414)
refused("9110, 15.5.15", "a target of 200,000 bytes",
        b"GET /" + b"a" * 200_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n", 414)
refused_at_once("9110, 15.5.15", "a target that does not end", b"GET /" + b"a" * 20_000, 414)
answered("6585, 5", "90 fields", with_field(b"\r\n".join(b"X-%d: y" % i for i in range(90))), 200)
refused("6585, 5", "200 fields", with_field(b"\r\n".join(b"X-%d: y" % i for i in range(200))), 431)
answered("6585, 5", "a field of 16,000 bytes", with_field(b"X-Name: " + b"a" * 16_000), 200)
refused("6585, 5", "a field of 40,000 bytes", with_field(b"X-Name: " + b"a" * 40_000), 431)
refused("6585, 5", "a field's name of 40,000 bytes", with_field(b"a" * 40_000 + b": v"), 431)
refused("6585, 5", "a head of 40,000 bytes in small fields",
        with_field(b"\r\n".join(b"X-%02d: " % i + b"y" * 500 for i in range(80))), 431)
refused_at_once("6585, 5", "fields that do not end",
                b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n"
                + b"X-Name: yyyyyyyyyyy\r\n" * 3_000, 431)
refused_at_once("6585, 5", "a field that does not end",
                b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Name: " + b"a" * 60_000, 431)
refused_at_once("9110, 15.5.14", "a body over the limit is refused by its length alone",
                POST + b"Content-Length: 104857600\r\n\r\n", 413)
refused_at_once("9110, 10.1.1", "a body over the limit is not asked for",
                POST + b"Content-Length: 104857600\r\nExpect: 100-continue\r\n\r\n", 413)
refused_at_once("9110, 15.5.14", "a chunk over the limit is refused by its size alone",
                CHUNKED + b"6400000\r\n", 413)

# --- Expect -----------------------------------------------------------------------------------

answered("9110, 10.1.1", "a body that is not waited for, despite Expect",
         POST + b"Content-Length: 30\r\nExpect: 100-continue\r\n\r\n" + JOB, 202)
answered("9110, 10.1.1", "the case of 100-continue does not matter",
         POST + b"Content-Length: 30\r\nExpect: 100-Continue\r\n\r\n" + JOB, 202)
answered("9110, 10.1.1", "Expect without a body", with_field(b"Expect: 100-continue"), 200)
lenient("9110, 10.1.1", "another expectation may be refused",
        POST + b"Content-Length: 30\r\nExpect: 200-ok\r\n\r\n" + JOB, (202, 417))
last("9110, 10.1.1", "Expect in HTTP/1.0 is passed over",
     POST.replace(b"1.1", b"1.0")
     + b"Content-Length: 30\r\nExpect: 100-continue\r\n\r\n" + JOB, 202)
refused_at_once("9110, 10.1.1", "a body for nothing is not asked for",
                b"POST /nothing HTTP/1.1\r\nHost: localhost\r\nContent-Length: 30\r\n"
                b"Expect: 100-continue\r\n\r\n", 404)
refused_at_once("9110, 10.1.1", "a body for a method refused is not asked for",
                b"PUT /v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Length: 30\r\n"
                b"Expect: 100-continue\r\n\r\n", 405)

# --- Connection -------------------------------------------------------------------------------

for value in [b"close", b"CLOSE", b"Close", b"keep-alive, close", b"close, keep-alive",
              b"foo ,\tclose", b"close,foo", b",close,", b"x\r\nConnection: close"]:
    last("9112, 9.6", "Connection: %s" % value.decode().replace("\r\n", " and "),
         with_field(b"Connection: " + value) + SMUGGLED, 200)
for value in [b"keep-alive", b"closed", b"\"close\"", b"x-close", b""]:
    answered("9112, 9.3", "Connection: %s does not close" % value.decode(),
             with_field(b"Connection: " + value), 200)
last("9112, 9.6", "an error is the last answer too where the client closes",
     b"GET /nothing HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n" + SMUGGLED, 404)
last("9112, 9.3", "HTTP/1.0 closes", b"GET /healthz HTTP/1.0\r\nHost: a\r\n\r\n" + SMUGGLED, 200)
last("9112, 9.3", "HTTP/1.0 closes by a list",
     b"GET /healthz HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n" + SMUGGLED, 200)
answered("9112, C.2.2", "HTTP/1.0 stays open where it asks for it",
         b"GET /healthz HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", 200)
answered("9110, 7.8", "an upgrade to what is not known is passed over",
         with_field(b"Connection: upgrade\r\nUpgrade: websocket"), 200)
answered("9110, 7.8", "an upgrade is passed over in HTTP/1.0",
         b"GET /healthz HTTP/1.0\r\nConnection: keep-alive, upgrade\r\nUpgrade: h2c\r\n\r\n", 200)
answered("9110, 7.6.1", "Proxy-Connection says nothing",
         with_field(b"Proxy-Connection: close"), 200)
last("9112, 9.3", "a HEAD in HTTP/1.0", b"HEAD /healthz HTTP/1.0\r\n\r\n", 200, to_head=(0,))
last("9112, 6.2", "a body in HTTP/1.0",
     POST.replace(b"1.1", b"1.0") + b"Content-Length: 30\r\n\r\n" + JOB, 202)

# --- Pipelining -------------------------------------------------------------------------------

answered("9112, 9.3.2", "three requests at once are answered in order",
         GET + b"GET /nothing HTTP/1.1\r\nHost: localhost\r\n\r\n" + GET, 200, 404, 200)
answered("9112, 9.3.2", "a hundred requests at once", GET * 100, *[200] * 100)
answered("9112, 9.3.2", "bodies and none in turn",
         (POST + b"Content-Length: 30\r\n\r\n" + JOB + GET + CHUNKED + CHUNKS) * 2,
         202, 200, 202, 202, 200, 202)
answered("9112, 9.3.2", "HEAD and GET in turn",
         b"HEAD /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n" + GET, 200, 200, to_head=(0,))
last("9112, 9.3.2", "a good request and a bad one", GET + b"GET /healthz\r\n\r\n" + SMUGGLED,
     200, (400, 505))
last("9112, 9.6", "nothing is answered after the one that closes",
     GET + with_field(b"Connection: close") + SMUGGLED * 3, 200, 200)
answered("9112, 2.2", "an empty line between two requests",
         POST + b"Content-Length: 30\r\n\r\n" + JOB + b"\r\n" + GET, 202, 200)

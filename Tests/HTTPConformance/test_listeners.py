"""Where the server listens: TLS, a Unix socket, IPv6, several addresses at once."""

import ctypes
import json
import os
import signal
import socket
import ssl
import subprocess
import tempfile
import time
import unittest

import peers
from frames import *  # noqa: F403
from service import Service, free_port
from wire import read_answers

LAST = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


def setUpModule():
    peers.need("openssl", "curl")
    global folder
    folder = tempfile.TemporaryDirectory()
    make_authority("authority")
    for name in ("server", "second"):
        make_certificate(name, "authority", "localhost", "DNS:localhost,IP:127.0.0.1")
    make_certificate("client", "authority", "a client", "DNS:client")
    make_authority("stranger")
    make_certificate("intruder", "stranger", "another", "DNS:client")


def tearDownModule():
    folder.cleanup()


def place(name):
    return os.path.join(folder.name, name)


def openssl(*arguments):
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)


def make_authority(name):
    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
            "-days", "2", "-subj", "/CN=" + name, "-keyout", place(name + ".key"),
            "-out", place(name + ".pem"))


def make_certificate(name, authority, subject, names):
    openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj",
            "/CN=" + subject, "-keyout", place(name + ".key"), "-out", place(name + ".csr"))
    with open(place(name + ".ext"), "w") as file:
        file.write("subjectAltName=" + names)
    openssl("x509", "-req", "-in", place(name + ".csr"), "-days", "2", "-CA",
            place(authority + ".pem"), "-CAkey", place(authority + ".key"), "-CAcreateserial",
            "-extfile", place(name + ".ext"), "-out", place(name + ".pem"))


def client_context(certificate=None, protocols=("http/1.1",)):
    context = ssl.create_default_context(cafile=place("authority.pem"))
    context.set_alpn_protocols(list(protocols))
    if certificate:
        context.load_cert_chain(place(certificate + ".pem"), place(certificate + ".key"))
    return context


def connect(server, context):
    plain = socket.create_connection(("127.0.0.1", server.port), 10)
    try:
        return context.wrap_socket(plain, server_hostname="localhost")
    except BaseException:
        plain.close()
        raise


def read_to_end(connection):
    data = b""
    while piece := connection.recv(65536):
        data += piece
    return data


def serves(connection):
    with connection:
        connection.sendall(LAST)
        return read_answers(read_to_end(connection))[0].status == 200


def of(name):
    """The options for a server with this certificate."""
    return ["--tls-cert", place(name + ".pem"), "--tls-key", place(name + ".key")]


class TLSTests(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Service(*of("server"))
        cls.addClassCleanup(cls.server.close)

    def test_versions(self):
        for version, name in [
                (ssl.TLSVersion.TLSv1_2, "TLSv1.2"), (ssl.TLSVersion.TLSv1_3, "TLSv1.3")]:
            with self.subTest(name):
                context = client_context()
                context.minimum_version = context.maximum_version = version
                connection = connect(self.server, context)
                self.assertEqual(connection.version(), name)
                self.assertTrue(serves(connection))

    def test_a_result_that_is_a_file_comes_whole_by_both_versions(self):
        server = "https://localhost:%d" % self.server.port
        text = os.urandom(1 << 20).hex()
        curl = ["curl", "-sS", "--fail", "--cacert", place("authority.pem")]
        job = json.loads(subprocess.run(
            [*curl, "--json", "@-", server + "/v1/jobs"], check=True, capture_output=True,
            input=json.dumps({"function": "echo", "args": [text]}).encode()).stdout)["id"]
        path = server + "/v1/jobs/" + job
        subprocess.run([*curl, path + "?wait=30"], check=True, capture_output=True)
        for way in ("--http1.1", "--http2"):
            for part in (None, "1048575-2000000"):
                with self.subTest(way, part=part):
                    got = subprocess.run(
                        [*curl, way, *(["--range", part] if part else []), path + "/result"],
                        check=True, capture_output=True).stdout
                    whole = b'"%s"' % text.encode()
                    self.assertTrue(got == (whole[1048575:2000001] if part else whole))

    def test_tls_before_1_2_is_refused(self):  # RFC 8996
        for version in ("-tls1", "-tls1_1"):
            with self.subTest(version):
                tried = subprocess.run(
                    ["openssl", "s_client", "-connect", "127.0.0.1:%d" % self.server.port, version,
                     "-cipher", "DEFAULT:@SECLEVEL=0"],
                    input="", capture_output=True, text=True, timeout=20)
                self.assertNotEqual(tried.returncode, 0, tried.stdout)
                self.assertRegex(
                    tried.stdout + tried.stderr, "protocol version|Cipher is \\(NONE\\)")
        self.assertTrue(serves(connect(self.server, client_context())))

    def test_alpn(self):  # RFC 7301
        for offered, chosen in [(["h2", "http/1.1"], "h2"), (["http/1.1", "h2"], "h2"),
                                (["http/1.1"], "http/1.1"), (["x", "http/1.1"], "http/1.1")]:
            with self.subTest(offered):
                with connect(self.server, client_context(protocols=offered)) as connection:
                    self.assertEqual(connection.selected_alpn_protocol(), chosen)
        context = ssl.create_default_context(cafile=place("authority.pem"))
        connection = connect(self.server, context)
        self.assertIsNone(connection.selected_alpn_protocol())
        self.assertTrue(serves(connection))

    def test_http2_is_served_where_it_was_chosen(self):
        def wrap(plain):
            return client_context(protocols=["h2"]).wrap_socket(plain, server_hostname="localhost")
        with Peer(self.server.port, wrap=wrap) as peer:
            peer.send(headers(1, block((b":method", b"GET"), (b":scheme", b"https"),
                                       (b":path", b"/healthz"), (b":authority", b"localhost"))))
            frames = peer.until_end_of(1)
            body = b"".join(got.payload for got in frames if got.type == DATA)
            self.assertEqual(body, b'{"status":"ok"}\n')

    def test_curl_speaks_both_versions(self):
        for way, version in [("--http1.1", "1.1"), ("--http2", "2")]:
            out = subprocess.run(
                ["curl", "-sS", way, "--cacert", place("authority.pem"), "-w", "%{http_version}",
                 "https://localhost:%d/healthz" % self.server.port, "--resolve",
                 "localhost:%d:127.0.0.1" % self.server.port],
                check=True, capture_output=True, text=True, timeout=20).stdout
            self.assertEqual(out, '{"status":"ok"}\n' + version)

    def test_large_bodies_pass_whole(self):
        body = b'{"function":"echo","args":["' + b"0123456789" * 500_000 + b'"]}'
        with connect(self.server, client_context()) as connection:
            connection.sendall(
                b"POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\nPrefer: wait=20\r\n"
                b"Content-Type: application/json\r\nConnection: close\r\n"
                b"Content-Length: %d\r\n\r\n" % len(body) + body)
            answer = read_answers(read_to_end(connection))[0]
        self.assertEqual(answer.status, 200)
        self.assertIn(b"0123456789" * 500_000, answer.body)

    def test_the_end_is_told(self):  # RFC 8446, section 6.1: no truncation
        with connect(self.server, client_context()) as connection:
            connection.suppress_ragged_eofs = False
            connection.sendall(LAST)
            self.assertTrue(read_to_end(connection).endswith(b"}\n"))

    def test_what_is_no_tls_is_dropped(self):
        for data in (LAST, b"\x16\x03\x01\xff\xff" + b"x" * 100, b"\0" * 1000, PREFACE):
            with self.subTest(data=data[:20]):
                with socket.create_connection(("127.0.0.1", self.server.port), 10) as connection:
                    connection.sendall(data)
                    connection.settimeout(5)
                    try:
                        received = read_to_end(connection)
                    except ConnectionResetError:
                        received = b""
                    # An alert, a word of HTTP about the mistake, or nothing; but no answer.
                    self.assertNotIn(b" 200 ", received)
        self.assertTrue(serves(connect(self.server, client_context())))

    def test_who_speaks_http_where_tls_is_spoken_is_told(self):
        head = b" /healthz HTTP/1.1\r\nHost: localhost\r\n"
        body = b"x" * 100_000
        for request in (b"GET" + head + b"\r\n", b"HEAD" + head + b"\r\n",
                        b"POST" + head + b"Content-Length: %d\r\n\r\n" % len(body) + body):
            with self.subTest(request=request[:5]):
                with socket.create_connection(("127.0.0.1", self.server.port), 10) as connection:
                    connection.sendall(request)
                    answer = read_to_end(connection)
                self.assertEqual(answer.split(b"\r\n")[0], b"HTTP/1.1 400 Bad Request")
                fields, problem = answer.split(b"\r\n\r\n", 1)
                self.assertIn(b"Connection: close", fields)
                self.assertIn("https://", json.loads(problem)["detail"])

    def test_a_client_that_changes_keys_without_end_is_ended(self):  # RFC 8446, section 4.6.3
        # Python's own module does not change keys.
        library = ctypes.CDLL("libssl.so.3")
        for name in ("TLS_client_method", "SSL_CTX_new", "SSL_new"):
            getattr(library, name).restype = ctypes.c_void_p
        context = ctypes.c_void_p(library.SSL_CTX_new(ctypes.c_void_p(library.TLS_client_method())))
        for count, is_served in ((20, True), (2000, False)):
            with socket.create_connection(("127.0.0.1", self.server.port), 10) as plain:
                plain.setblocking(True)
                session = ctypes.c_void_p(library.SSL_new(context))
                library.SSL_set_fd(session, plain.fileno())
                self.assertEqual(library.SSL_connect(session), 1)
                for _ in range(count):
                    library.SSL_key_update(session, 0)
                    if library.SSL_do_handshake(session) != 1:
                        break
                library.SSL_write(session, LAST, len(LAST))
                answer = ctypes.create_string_buffer(99)
                library.SSL_read(session, answer, 99)
                self.assertEqual(answer.value.startswith(b"HTTP/1.1 200"), is_served, answer.value)
                library.SSL_free(session)
        library.SSL_CTX_free(context)

    def test_a_silent_handshake_is_ended(self):
        began = time.monotonic()
        with socket.create_connection(("127.0.0.1", self.server.port), 20) as connection:
            connection.sendall(b"\x16\x03\x01")
            read_to_end(connection)
        self.assertLess(time.monotonic() - began, 16)


    def test_a_handshake_that_ends_after_the_stop_does_not_hold_it_up(self):
        with Service(*of("server"), "--drain-seconds", "60") as server:
            plain = socket.create_connection(("127.0.0.1", server.port), 10)
            busy = connect(server, client_context())  # answered after the other was accepted
            self.assertTrue(serves(busy))
            began = time.monotonic()
            server.process.terminate()
            with client_context().wrap_socket(plain, server_hostname="localhost") as late:
                self.assertEqual(read_to_end(late), b"")
            self.assertEqual(server.process.wait(30), 0)
            self.assertLess(time.monotonic() - began, 15)


class NoSessionTests(unittest.TestCase):
    """OpenSSL that has no memory for a session."""

    SHIM = """
        #include <stddef.h>
        void *SSL_new(void *context) { return NULL; }
    """

    def test_nothing_is_said_in_the_clear(self):
        peers.need("cc")
        shim = place("no-session.so")
        subprocess.run(["cc", "-shared", "-fPIC", "-x", "c", "-", "-o", shim],
                       input=self.SHIM, text=True, check=True, timeout=60)
        with Service(*of("server"), environment={"LD_PRELOAD": shim}) as server:
            for _ in range(3):
                with socket.create_connection(("127.0.0.1", server.port), 10) as connection:
                    try:
                        connection.sendall(LAST)
                        said = read_to_end(connection)
                    except ConnectionError:
                        said = b""
                    self.assertEqual(said, b"")
            self.assertIsNone(server.process.poll())


class ReloadTests(unittest.TestCase):
    def test_a_hangup_brings_the_new_certificate_and_cuts_no_one(self):
        for kind in ("pem", "key"):
            with open(place("server." + kind), "rb") as source:
                with open(place("live." + kind), "wb") as file:
                    file.write(source.read())
        with Service(*of("live")) as server:
            held = connect(server, client_context())
            first = held.getpeercert(True)
            for kind in ("pem", "key"):
                os.replace(place("second." + kind), place("live." + kind))
            server.process.send_signal(signal.SIGHUP)
            deadline = time.monotonic() + 5
            while True:
                with connect(server, client_context()) as connection:
                    if connection.getpeercert(True) != first:
                        break
                self.assertLess(time.monotonic(), deadline, "the old certificate is still sent")
            self.assertTrue(serves(held))
            # A certificate that cannot be read changes nothing.
            with open(place("live.pem"), "w") as file:
                file.write("no certificate")
            server.process.send_signal(signal.SIGHUP)
            for _ in range(20):
                self.assertTrue(serves(connect(server, client_context())))

    def test_a_certificate_that_cannot_be_used_is_told_at_the_start(self):
        for cert, key in [("nothing", "server"), ("server", "nothing"), ("server", "second"),
                          ("server", "client")]:
            with self.subTest(cert=cert, key=key):
                with self.assertRaises(AssertionError) as refused:
                    Service("--tls-cert", place(cert + ".pem"), "--tls-key", place(key + ".key"))
                self.assertRegex(str(refused.exception), r"TLS|certificate|key|\.pem")
                self.assertNotIn("Unknown option", str(refused.exception))


class ClientCertificateTests(unittest.TestCase):
    def test_only_clients_of_the_authority_are_served(self):
        with Service(*of("server"), "--tls-client-ca", place("authority.pem")) as server:
            self.assertTrue(serves(connect(server, client_context("client"))))
            for certificate in (None, "intruder"):
                with self.subTest(certificate=certificate):
                    # TLS 1.3 tells a client only when it reads, behind its request.
                    with self.assertRaisesRegex(ssl.SSLError, "(?i)alert|certificate"):
                        serves(connect(server, client_context(certificate)))
            self.assertTrue(serves(connect(server, client_context("client"))))


class AddressTests(unittest.TestCase):
    def ask(self, family, address):
        with socket.socket(family) as connection:
            connection.settimeout(10)
            connection.connect(address)
            connection.sendall(LAST)
            return read_answers(read_to_end(connection))[0].status

    def test_ipv6(self):
        port = free_port(socket.AF_INET6)
        with Service(listen=["[::1]:%d" % port]):
            self.assertEqual(self.ask(socket.AF_INET6, ("::1", port)), 200)

    def test_a_unix_socket(self):
        path = place("martlet.sock")
        with Service(listen=["unix:" + path]):
            self.assertEqual(self.ask(socket.AF_UNIX, path), 200)
            out = subprocess.run(
                ["curl", "-sS", "--unix-socket", path, "http://localhost/readyz"],
                check=True, capture_output=True, text=True, timeout=20).stdout
            self.assertEqual(out, '{"status":"ready"}\n')
            self.assertEqual(os.stat(path).st_mode & 0o777, 0o660, "not the user's and the group's")
        self.assertFalse(os.path.exists(path), "left behind")

    def test_nobody_is_let_in_by_a_unix_socket_during_the_stop(self):
        with tempfile.TemporaryDirectory() as folder:
            path = folder + "/socket"
            with Service("--drain-seconds", "5", listen=["unix:" + path], processes=2) as server:
                with socket.socket(socket.AF_UNIX) as waiting:
                    waiting.connect(path)
                    body = b'{"function":"sleep","args":[30]}'
                    waiting.sendall(b"POST /v1/jobs HTTP/1.1\r\nHost: x\r\nPrefer: wait=30\r\nContent-Type: "
                                    b"application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
                    time.sleep(0.3)
                    server.process.send_signal(signal.SIGTERM)
                    deadline = time.monotonic() + 3
                    while os.path.exists(path):
                        self.assertLess(time.monotonic(), deadline, "it still listens")
                        time.sleep(0.01)
                    self.assertIsNone(server.process.poll(), "it still waits for the job")

    def test_a_socket_left_by_a_dead_server_is_taken_over(self):
        path = place("stale.sock")
        with socket.socket(socket.AF_UNIX) as stale:
            stale.bind(path)
        with Service(listen=["unix:" + path]):
            self.assertEqual(self.ask(socket.AF_UNIX, path), 200)

    def test_a_socket_in_use_and_a_file_are_not_taken(self):
        path, file = place("taken.sock"), place("a-file")
        with open(file, "w") as made:
            made.write("mine")
        with socket.socket(socket.AF_UNIX) as living:
            living.bind(path)
            living.listen()
            for taken in (path, file):
                with self.subTest(taken):
                    self.assertNotEqual(self.start_alone("unix:" + taken), 0)
        with open(file) as kept:
            self.assertEqual(kept.read(), "mine")

    def start_alone(self, address):
        """The exit status of a server that should not start."""
        from service import BINARY
        with tempfile.TemporaryDirectory() as data:
            return subprocess.run(
                [BINARY, "serve", "--listen", address, "--data", data], timeout=20,
                capture_output=True).returncode

    def test_several_addresses_at_once(self):
        path, four, six = place("one.sock"), free_port(), free_port(socket.AF_INET6)
        addresses = ["127.0.0.1:%d" % four, "[::1]:%d" % six, "unix:" + path]
        with Service(listen=addresses) as server:
            self.assertEqual(self.ask(socket.AF_INET, ("127.0.0.1", four)), 200)
            self.assertEqual(self.ask(socket.AF_INET6, ("::1", six)), 200)
            self.assertEqual(self.ask(socket.AF_UNIX, path), 200)
            self.assertEqual(server.stop(), 0)

    def test_an_address_open_to_the_network_among_others_wants_a_token(self):
        from service import BINARY
        with tempfile.TemporaryDirectory() as data:
            refused = subprocess.run(
                [BINARY, "serve", "--listen", "127.0.0.1:0", "--listen", "0.0.0.0:0", "--data",
                 data],
                timeout=20, capture_output=True, text=True)
        self.assertNotEqual(refused.returncode, 0)
        self.assertIn("token", refused.stderr)

    def test_bad_addresses_are_named(self):
        for address in ["", "nonsense", "127.0.0.1", "127.0.0.1:x", "127.0.0.1:70000", "unix:",
                        "[::1:80", "unix:/" + "x" * 200]:
            with self.subTest(address):
                self.assertNotEqual(self.start_alone(address), 0)


if __name__ == "__main__":
    unittest.main()

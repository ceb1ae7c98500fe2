"""A server for the tests of the client, and a proxy that treats connections badly."""

import os
import select
import socket
import struct
import sys
import threading
import time

TESTS = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(TESTS))
sys.path[:0] = [os.path.dirname(TESTS), os.path.join(ROOT, "Examples")]
from server import Server  # noqa: E402

BINARY = os.environ.get("MARTLET_BINARY", ".build/debug/martlet")


class TestServer(Server):
    """A server whose workers can import the tests' modules, after a restart too."""

    def start(self):
        before = os.environ.get("PYTHONPATH")
        os.environ["PYTHONPATH"] = TESTS
        try:
            super().start()
        finally:
            del os.environ["PYTHONPATH"]
            if before is not None:
                os.environ["PYTHONPATH"] = before


def start(*more, data=None, processes=2):
    """A server whose workers are of this Python."""
    return TestServer(BINARY, TESTS + "/functions", data=data, processes=processes, more=[
        "--python", sys.executable, *more])


def url(server):
    return "http://127.0.0.1:%d" % server.port


def until(condition, seconds=20):
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError("did not come true in %g s" % seconds)
        time.sleep(0.01)


class Door:
    """Counts the connections that it takes and has `carry` treat each, in a thread of its own."""

    host = "127.0.0.1"

    def __init__(self):
        self.connections = 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = "http://%s:%d" % (self.host, self.listener.getsockname()[1])
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self.carry, args=(client,), daemon=True).start()

    def close(self):
        self.listener.close()

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.close()


class Proxy(Door):
    """Hands bytes on between clients and a server, which may change; can lose answers."""

    def __init__(self, port):
        self.port_behind = port
        # Answers to lose: the connection is cut when the server's first bytes have come.
        self.losses = 0
        self.open = set()
        super().__init__()

    def carry(self, client):
        try:
            behind = socket.create_connection(("127.0.0.1", self.port_behind), 5)
        except OSError:
            return client.close()
        self.open.add(client)
        try:
            while True:
                for ready in select.select([client, behind], [], [])[0]:
                    data = ready.recv(65536)
                    if ready is behind and self.losses > 0:
                        self.losses -= 1
                        return
                    if not data:
                        return
                    if ready is client:
                        self.forward(data, behind)
                    else:
                        client.sendall(data)
        except (OSError, ValueError):
            return
        finally:
            self.open.discard(client)
            client.close()
            behind.close()

    def forward(self, data, behind):
        behind.sendall(data)

    def close(self):
        super().close()
        self.cut()

    def cut(self):
        """Ends all connections, in the middle of whatever they carry."""
        for client in list(self.open):
            try:
                client.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


class Resetter(Door):
    """Takes connections and resets them, as a forwarded port does with nothing behind it."""

    host = "localhost"  # a name, so that it is looked up

    def carry(self, client):
        client.recv(65536)  # the request, or else its sending would fail
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.close()

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)  # wakes who accepts
        super().close()


class GatheringProxy(Proxy):
    """Hands a body on when it is whole, as nginx does if it is not told otherwise."""

    def __init__(self, port):
        super().__init__(port)
        self.gathered = {}

    def forward(self, data, behind):
        data = self.gathered.pop(behind, b"") + data
        if b"\r\nTransfer-Encoding: chunked\r\n" in data and not data.endswith(b"\r\n0\r\n\r\n"):
            self.gathered[behind] = data
        else:
            behind.sendall(data)

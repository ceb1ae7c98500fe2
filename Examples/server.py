"""Starts a Martlet server for a demo or a test, and talks to it; standard library only."""

import http.client
import json
import os
import re
import signal
import subprocess
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


class Server:
    """A server on a free port with a data folder of its own; use it with `with`."""

    START_SECONDS = 20

    def __init__(self, binary, functions, data=None, processes=2, threads=8, more=(),
                 environment=None):
        self.folder = None if data else tempfile.TemporaryDirectory()
        self.data = data or os.path.join(self.folder.name, "data")
        self.command = [
            os.path.join(ROOT, binary), "serve", "--listen", "127.0.0.1:0", "--data", self.data,
            *(["--functions", functions] if functions else []), "--processes", str(processes),
            "--threads", str(threads), *more]
        self.environment = environment
        self.start()

    def start(self):
        if hasattr(self, "log"):
            self.log.close()
        self.log = tempfile.TemporaryFile("a+")  # the server's writes go to its end, always
        self.process = subprocess.Popen(
            self.command, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log,
            env=self.environment)
        deadline = time.time() + self.START_SECONDS
        while time.time() < deadline:
            found = re.search(r'address[=:"]+https?://127.0.0.1:(\d+)', self.said())
            if found:
                self.port = int(found[1])
                return
            if self.process.poll() is not None:
                break
            time.sleep(0.01)
        raise RuntimeError("the server did not start: " + self.said())

    def said(self):
        """What the server has logged since its start."""
        self.log.seek(0)
        return self.log.read()

    def call(self, method, path, body=None, headers=None, timeout=120):
        """Returns status, headers and bytes of the answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            fields = {"Content-Type": "application/json"} if body is not None else {}
            fields.update(headers or {})
            if body is not None and not isinstance(body, bytes):
                body = json.dumps(body).encode()
            connection.request(method, path, body, fields)
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()
        finally:
            connection.close()

    def submit(self, **submission):
        status, _, body = self.call("POST", "/v1/jobs", submission)
        if status != 202:
            raise RuntimeError(body.decode())
        return json.loads(body)["id"]

    def wait(self, job, seconds=60):
        return json.loads(self.call("GET", "/v1/jobs/%s?wait=%d" % (job, seconds))[2])

    def result(self, job, seconds=60):
        status, _, body = self.call("GET", "/v1/jobs/%s/result?wait=%d" % (job, seconds))
        if status != 200:
            raise RuntimeError("%d %s" % (status, body.decode()))
        return json.loads(body)

    def run(self, **submission):
        return self.result(self.submit(**submission))

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait(30)
        return self.process.returncode

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        try:
            self.stop()
        finally:
            if self.process.poll() is None:
                self.kill()
            self.log.close()
            if self.folder:
                self.folder.cleanup()

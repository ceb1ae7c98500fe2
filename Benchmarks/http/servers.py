"""The servers that are measured: Martlet, nginx, Hummingbird, FlyingFox; each on a free port."""

import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
DATA = os.path.join(HERE, ".peers", "data")
SWIFT = os.path.join(HERE, ".build", "release")
LARGE = 10_000_000
TICKS = os.sysconf("SC_CLK_TCK")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    """Processes that serve HTTP at `port`, and HTTP/2 at `port2`; a context manager.

    `port2` is None where there is no HTTP/2.
    """

    get, post, large_in, large_out = "/healthz", "/jobs", "/large", "/large"
    method_in = "POST"  # of the large body
    works = None  # all of them

    def __init__(self):
        self.port = self.port2 = free_port()
        self.processes = []
        shutil.rmtree(DATA, ignore_errors=True)
        os.makedirs(DATA)

    def spawn(self, *command):
        with open(os.path.join(DATA, os.path.basename(command[0]) + ".log"), "ab") as log:
            self.processes.append(subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True))

    def __enter__(self):
        self.start()
        deadline = time.monotonic() + 20
        for port in {self.port, self.port2} - {None}:
            while socket.socket().connect_ex(("127.0.0.1", port)):
                if time.monotonic() > deadline:
                    self.__exit__()
                    raise TimeoutError("%s does not listen; see %s" % (self.name, DATA))
                time.sleep(0.01)
        return self

    def prepare_large(self):
        """Has the server hold what `large_out` names."""

    def __exit__(self, *unused):
        for process in self.processes:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                pass
            try:
                os.killpg(process.pid, signal.SIGKILL)  # what is left of the group made here
            except ProcessLookupError:
                pass
            process.wait()

    def call(self, method, path, body=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            fields = {"Content-Type": "application/json"} if body is not None else {}
            connection.request(method, path, body, fields)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def tree(self, roots):
        pending = [process.pid for process in roots]
        while pending:
            pid = pending.pop()
            yield pid
            for thread in os.listdir("/proc/%d/task" % pid):
                with open("/proc/%d/task/%s/children" % (pid, thread)) as file:
                    pending += map(int, file.read().split())

    def cpu_seconds(self):
        total = 0
        for pid in self.tree(self.processes):
            with open("/proc/%d/stat" % pid) as file:
                total += sum(map(int, file.read().rsplit(")", 1)[1].split()[11:13]))
        return total / TICKS

    def serving(self):
        """The processes that serve `port`."""
        return self.tree(self.processes[:1])

    def memory(self):
        """Proportional set size of the processes that serve `port`, in MB."""
        total = 0
        for pid in self.serving():
            with open("/proc/%d/smaps_rollup" % pid) as file:
                total += sum(int(line.split()[1]) for line in file if line.startswith("Pss:"))
        return total * 1024 / 1e6


class Martlet(Server):
    """Stores each job durably before it answers, which the peers do not."""

    name, post, large_in = "Martlet", "/v1/jobs", "/v1/jobs"

    def start(self):
        binary = os.environ.get("MARTLET_BINARY", ".build/release/martlet")
        self.spawn(
            os.path.join(ROOT, binary), "serve", "--listen", "127.0.0.1:%d" % self.port, "--data",
            DATA + "/martlet", "--processes", "1", "--threads", "2")

    def serving(self):
        return [self.processes[0].pid]  # not the workers that run jobs

    def prepare_large(self):
        status, answer = self.call("POST", "/v1/jobs", json.dumps(
            {"function": "echo", "args": ["x" * (LARGE - 2)]}))
        assert status == 202, answer
        job = json.loads(answer)["id"]
        self.call("GET", "/v1/jobs/%s?wait=30" % job)
        self.large_out = "/v1/jobs/%s/result" % job
        assert len(self.call("GET", self.large_out)[1]) == LARGE


class MartletWithoutStore(Server):
    """Martlet's server, which reads and answers submissions but keeps nothing, as the peers do."""

    name, post, large_in = "Martlet without store", "/v1/jobs", "/v1/jobs"
    works = ("post", "in")

    def start(self):
        self.spawn(os.path.join(ROOT, ".build/release/decode-server"), str(self.port),
                   DATA + "/blobs")


class Nginx(Server):
    """Answers from memory and reads no JSON; the large bodies are files."""

    name, large_in, method_in = "nginx", "/files/large", "PUT"

    def start(self):
        self.port2 = free_port()
        with open(DATA + "/large", "wb") as file:
            file.write(b"x" * LARGE)
        with open(DATA + "/nginx.conf", "w") as file:
            file.write("""
                %(user)s daemon off; pid %(data)s/pid; error_log stderr error; worker_processes 2;
                worker_rlimit_nofile 16000;
                events { worker_connections 15000; }
                http {
                    access_log off; keepalive_requests 1000000000; client_max_body_size 64m;
                    sendfile on; tcp_nopush on; default_type application/json;
                    client_body_temp_path %(data)s/body; proxy_temp_path %(data)s/proxy;
                    fastcgi_temp_path %(data)s/fastcgi; uwsgi_temp_path %(data)s/uwsgi;
                    scgi_temp_path %(data)s/scgi;
                    server {
                        listen 127.0.0.1:%(port)d reuseport backlog=4096;
                        listen 127.0.0.1:%(port2)d http2 reuseport backlog=4096;
                        location = /healthz { return 200 '{"status":"ok"}\\n'; }
                        location = /jobs {
                            return 202 '{"id":"0194","function":"echo","state":"queued"}\\n';
                        }
                        location = /large { root %(data)s; }
                        location /files/ {
                            root %(data)s; dav_methods PUT; create_full_put_path on;
                        }
                    }
                }
                """ % {"data": DATA, "port": self.port, "port2": self.port2,
                       "user": "" if os.geteuid() else "user root;"})
        self.spawn(HERE + "/.peers/nginx/usr/sbin/nginx", "-c", DATA + "/nginx.conf", "-p", DATA)


class Hummingbird(Server):
    name = "Hummingbird"

    def start(self):
        self.port2 = free_port()
        self.spawn(SWIFT + "/hummingbird-peer", str(self.port))
        self.spawn(SWIFT + "/hummingbird-peer", str(self.port2), "h2")


class FlyingFox(Server):
    name = "FlyingFox"

    def start(self):
        self.port2 = None
        self.spawn(SWIFT + "/flyingfox-peer", str(self.port))


ALL = [Martlet, MartletWithoutStore, Nginx, Hummingbird, FlyingFox]

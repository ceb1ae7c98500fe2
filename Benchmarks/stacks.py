"""Starts and stops what is compared: Martlet, FastAPI + Celery + Redis, FastAPI + ProcessPoolExecutor."""
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import time

import psutil

HERE = os.path.dirname(os.path.abspath(__file__))
HOME = os.path.join(HERE, ".peers")
BIN = os.path.join(HOME, "venv", "bin")
DATA = os.path.join(HOME, "data")
MARTLET = os.path.join(os.path.dirname(HERE), ".build", "release", "martlet")
# Both slow Python down and belong to whoever runs the benchmark, not to the peers.
for variable in ("PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED"):
    os.environ.pop(variable, None)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Stack:
    """Processes that serve jobs over HTTP at `port`; a context manager that ends them.

    `submit`, `prefix`, `id_key`, `done` and `header` say how a job is submitted and looked at.
    """
    submit, prefix, id_key, done, header = "/jobs", "/jobs/", "id", '"SUCCESS"', ""

    def __init__(self):
        self.port = free_port()
        self.processes = []
        shutil.rmtree(DATA, ignore_errors=True)
        os.makedirs(DATA)

    def body(self, function, *arguments):
        return json.dumps({"task": function, "args": arguments}, separators=(",", ":"))

    def spawn(self, *command, **environment):
        log = open(os.path.join(DATA, os.path.basename(command[0]) + ".log"), "ab")
        self.processes.append(subprocess.Popen(
            command, cwd=os.path.join(HERE, "peers"), env={**os.environ, **environment},
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True))

    def __enter__(self):
        """Starts the stack; returns when its first job has been accepted and has ended."""
        began = time.perf_counter()
        self.start()
        body, key = self.body("square", 12345), None
        while key is None:
            if time.perf_counter() - began > 60:
                self.__exit__()
                raise TimeoutError("the stack does not answer; its logs are in " + DATA)
            try:
                status, answer = self.request("POST", self.submit, body)
                if status // 100 == 2:
                    key = json.loads(answer)[self.id_key]
            except OSError:
                time.sleep(0.002)
        self.seconds_to_accept = time.perf_counter() - began
        while self.done not in self.request("GET", self.prefix + key)[1]:
            time.sleep(0.002)
        self.seconds_to_result = time.perf_counter() - began
        return self

    def __exit__(self, *_):
        for process in reversed(self.processes):
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

    def request(self, method, path, body=None, **headers):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        try:
            headers = {name.replace("_", "-"): value for name, value in headers.items()}
            if body is not None:
                headers.setdefault("Content-Type", "application/json")
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            return response.status, response.read().decode()
        finally:
            connection.close()

    def tree(self):
        for process in self.processes:
            found = psutil.Process(process.pid)
            yield from [found, *found.children(recursive=True)]

    def memory(self):
        """Proportional set size of all its processes, in MiB."""
        total = 0
        for process in self.tree():
            with open("/proc/%d/smaps_rollup" % process.pid) as file:
                total += sum(int(line.split()[1]) for line in file if line.startswith("Pss:"))
        return total / 1024


class Martlet(Stack):
    name = "Martlet"
    submit, prefix, done, header = "/v1/jobs", "/v1/jobs/", '"succeeded"', "Prefer: wait=30"

    def body(self, function, *arguments):
        return json.dumps({"function": "py_" + function, "args": arguments}, separators=(",", ":"))

    def __init__(self, *flags):
        super().__init__()
        self.flags = flags

    def start(self):
        self.spawn(
            MARTLET, "serve", "--listen", "127.0.0.1:%d" % self.port, "--data", DATA + "/martlet",
            "--functions", HERE + "/functions", "--processes", "2", "--threads", "2",
            *self.flags)


class FastAPI(Stack):
    def uvicorn(self, module, **environment):
        self.spawn(
            BIN + "/uvicorn", module + ":app", "--host", "127.0.0.1", "--port", str(self.port),
            "--no-access-log", "--log-level", "warning", **environment)


class FastAPICelery(FastAPI):
    """One uvicorn worker, Celery prefork of 2, Redis as Debian ships it: not durable."""
    name = "FastAPI + Celery + Redis"

    def start(self):
        start_celery(self)
        self.uvicorn("fastapi_celery", BENCH_REDIS=self.redis)


class FastAPIPool(FastAPI):
    """One uvicorn worker, ProcessPoolExecutor(2) and a dict: nothing survives a restart."""
    name = "FastAPI + ProcessPoolExecutor"

    def start(self):
        self.uvicorn("fastapi_pool")


def start_celery(stack):
    port = free_port()
    stack.redis = "redis://127.0.0.1:%d/0" % port
    stack.spawn(
        "/usr/bin/redis-server", "--port", str(port), "--bind", "127.0.0.1", "--dir", DATA,
        "--save", "3600 1 300 100 60 10000")
    for _ in range(500):
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            break
        except OSError:
            time.sleep(0.01)
    stack.spawn(
        BIN + "/celery", "-A", "celery_app", "worker", "-l", "WARNING", "-c", "2",
        BENCH_REDIS=stack.redis)


NGINX = """
load_module /usr/lib/nginx/modules/ngx_http_echo_module.so;
user root;
worker_processes 1;
daemon off;
pid %(folder)s/nginx.pid;
error_log %(folder)s/error.log warn;
events { worker_connections 8192; }
http {
  access_log off;
  keepalive_requests 1000000000;
  default_type text/html;
  client_body_temp_path %(folder)s/b; proxy_temp_path %(folder)s/p; fastcgi_temp_path %(folder)s/f;
  uwsgi_temp_path %(folder)s/u; scgi_temp_path %(folder)s/s;
  server {
    listen 127.0.0.1:%(port)d backlog=4096;
    location /2/  { echo_sleep 0.002; echo_exec @page; }
    location /10/ { echo_sleep 0.010; echo_exec @page; }
    location /20/ { echo_sleep 0.020; echo_exec @page; }
    location /50/ { echo_sleep 0.050; echo_exec @page; }
    location @page { echo -n "%(page)s"; }
  }
}
"""


class Pages:
    """nginx with pages of 2 KiB that it answers after 2, 10, 20 or 50 ms; a context manager."""

    def __enter__(self):
        self.port = free_port()
        folder = os.path.join(HOME, "nginx")
        os.makedirs(folder, exist_ok=True)
        with open(folder + "/nginx.conf", "w") as file:
            file.write(NGINX % {"folder": folder, "port": self.port, "page": "x" * 2048})
        self.process = subprocess.Popen(
            ["/usr/sbin/nginx", "-c", folder + "/nginx.conf", "-e", folder + "/error.log"],
            stdin=subprocess.DEVNULL, start_new_session=True)
        for _ in range(500):
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return self
            except OSError:
                time.sleep(0.01)
        self.__exit__()
        raise TimeoutError("nginx does not answer; its log is in " + folder)

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(15)

    def url(self, delay):
        return "http://127.0.0.1:%d/%d/" % (self.port, delay)

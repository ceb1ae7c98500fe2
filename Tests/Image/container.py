"""Runs a Martlet image as its users should: read-only, without privileges, on a free port."""

import http.client
import json
import os
import shutil
import socket
import subprocess
import tempfile
import time

ENGINE = os.environ.get("ENGINE", "podman")
TOKEN = "a token for the image's test"


def engine(*arguments, check=True):
    """Runs docker or podman; returns what it printed."""
    run = subprocess.run([ENGINE, *arguments], capture_output=True, text=True)
    if check and run.returncode != 0:
        raise RuntimeError("%s %s: %s" % (ENGINE, " ".join(arguments), run.stderr))
    return run.stdout.strip()


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Container:
    """A container of an image with a volume of its own; use it with `with`."""

    def __init__(self, image, functions, more=(), command=()):
        self.name = "martlet-test-%d-%d" % (os.getpid(), free_port())
        self.port = free_port()
        # Engines make what is mounted here for everybody to read; the files are the test's own.
        self.functions = tempfile.mkdtemp()
        os.chmod(self.functions, 0o755)
        for file in functions:
            shutil.copy(file, self.functions)
        engine("volume", "create", self.name)
        # podman gives a named volume to the image's user only when asked to; docker does by itself.
        owned = ":U" if ENGINE == "podman" else ""
        engine(
            "run", "--detach", "--name", self.name, "--publish", "127.0.0.1:%d:8080" % self.port,
            "--read-only", "--tmpfs", "/tmp:rw,nosuid,nodev,noexec,size=16m",
            "--volume", "%s:/data%s" % (self.name, owned),
            "--volume", self.functions + ":/functions:ro",
            "--env", "MARTLET_TOKEN=" + TOKEN, "--cap-drop=ALL",
            "--security-opt=no-new-privileges", "--memory=512m", "--cpus=1", "--pids-limit=256",
            *more, image, *command)

    def inspect(self, format):
        return engine("inspect", self.name, "--format", format)

    @property
    def process(self):
        """The number of its first process, seen from outside."""
        return int(self.inspect("{{.State.Pid}}"))

    def call(self, method, path, body=None, token=TOKEN, seconds=30):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=seconds)
        try:
            fields = {"Authorization": "Bearer " + token} if token else {}
            if body is not None:
                fields["Content-Type"] = "application/json"
                body = json.dumps(body)
            connection.request(method, path, body, fields)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def wait_until_ready(self, seconds=30):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            try:
                if self.call("GET", "/readyz", token=None, seconds=2)[0] == 200:
                    return self
            except (OSError, http.client.HTTPException):
                pass  # not yet; the deadline notices when it never comes
            if self.inspect("{{.State.Running}}") != "true":
                break
            time.sleep(0.01)
        raise RuntimeError("not ready: " + self.logs())

    def submit(self, **submission):
        status, body = self.call("POST", "/v1/jobs", submission)
        if status != 202:
            raise RuntimeError(body.decode())
        return json.loads(body)["id"]

    def job(self, job, wait=0):
        return json.loads(self.call("GET", "/v1/jobs/%s?wait=%d" % (job, wait), seconds=wait + 30)[1])

    def run(self, **submission):
        """The result of a job, waited for."""
        status, body = self.call("GET", "/v1/jobs/%s/result?wait=20" % self.submit(**submission))
        if status != 200:
            raise RuntimeError(body.decode())
        return json.loads(body)

    def logs(self):
        run = subprocess.run([ENGINE, "logs", self.name], capture_output=True, text=True)
        return run.stdout + run.stderr

    def age(self):
        """Seconds since its first process started, to a hundredth."""
        # Field 22 is the start in clock ticks since the machine's own start (proc_pid_stat(5)).
        with open("/proc/%d/stat" % self.process) as file:
            ticks = int(file.read().rsplit(")", 1)[1].split()[19])
        return time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")

    def statuses(self):
        """What the kernel says of its first process and of all below it."""
        left = [self.process]
        while left:
            process = left.pop()
            try:
                with open("/proc/%d/status" % process) as file:
                    yield dict(line.split(":\t", 1) for line in file.read().splitlines())
                for thread in os.listdir("/proc/%d/task" % process):
                    with open("/proc/%d/task/%s/children" % (process, thread)) as file:
                        left += [int(child) for child in file.read().split()]
            except OSError:
                pass  # it has ended meanwhile

    def memory(self):
        """Resident bytes of all its processes."""
        return sum(int(status["VmRSS"].split()[0]) << 10 for status in self.statuses())

    def names(self):
        """The names of all its processes, of the dead that nobody has reaped too."""
        return [status["Name"] for status in self.statuses()]

    def stop(self, seconds=10):
        """As `docker stop` does; returns the exit code and the seconds that it took."""
        start = time.monotonic()
        engine("stop", "--time", str(seconds), self.name)
        return int(self.inspect("{{.State.ExitCode}}")), time.monotonic() - start

    def start(self):
        engine("start", self.name)
        return self

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        engine("rm", "--force", "--volumes", self.name, check=False)
        engine("volume", "rm", "--force", self.name, check=False)
        shutil.rmtree(self.functions)

"""--sandbox: what functions cannot reach, what they still can, and how they end."""

import hashlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
import unittest

from service import BINARY, ROOT, Server, ServiceTestCase

FUNCTIONS = ROOT + "/Tests/EndToEnd/sandboxed"
WORKS = shutil.which("bwrap") and subprocess.run(
    ["bwrap", "--unshare-all", "--ro-bind", "/", "/", "true"], capture_output=True).returncode == 0


def processes_below(pid):
    """What runs of a process's descendants, by their ids."""
    found = []
    for task in os.listdir("/proc/%d/task" % pid):
        with open("/proc/%d/task/%s/children" % (pid, task)) as file:
            for child in map(int, file.read().split()):
                try:
                    found += [child, *processes_below(child)]
                except FileNotFoundError:
                    pass  # ended meanwhile
    return found


def command_line(pid):
    try:
        with open("/proc/%d/cmdline" % pid, "rb") as file:
            return file.read().replace(b"\0", b" ").decode()
    except FileNotFoundError:
        return ""


@unittest.skipUnless(WORKS, "user namespaces are refused here, or there is no bubblewrap")
class SandboxTestCase(ServiceTestCase):
    functions = FUNCTIONS
    settings = {"more": ["--sandbox"]}

    def run_call(self, function, *arguments, **more):
        return self.server.run(function=function, args=list(arguments), **more)

    def failed(self, reason, **submission):
        document = self.server.wait(self.server.submit(**submission), 30)
        error = document.get("error", {})
        self.assertEqual((document["state"], error.get("reason")), ("failed", reason), document)
        return error


class ReachTests(SandboxTestCase):
    def test_there_is_no_network(self):
        for place in (["127.0.0.1", self.server.port], ["192.0.2.1", 80], ["localhost", 80]):
            for function, pool in [
                    ("connect", "process"), ("connect", "thread"), ("connect_later", "async")]:
                with self.subTest(place=place, pool=pool):
                    self.assertIsNotNone(self.run_call(function, *place, pool=pool))

    def test_nothing_is_written_but_to_tmp(self):
        for path in ("/x", "/etc/x", "/usr/x", "/proc/sys/kernel/printk", "/proc/self/comm",
                     "/dev/x", FUNCTIONS + "/x", "/home/x", "/sys/x",
                     self.server.data + "/blobs/x", self.server.data + "/python/x"):
            with self.subTest(path):
                self.assertIsNotNone(self.run_call("write", path))
                self.assertFalse(os.path.exists(path) and path.endswith("/x"))
        for path in ("/tmp/of_sandbox", "/dev/shm/of_sandbox", self.server.data + "/x"):
            self.assertIsNone(self.run_call("write", path))
            self.assertFalse(os.path.exists(path))  # it is the sandbox's own

    def test_no_native_function_reads_files(self):
        self.problem("POST", "/v1/jobs", 422, "unknown-function",
                     body={"function": "word_count", "args": {"path": "/etc/hostname"}})
        self.assertEqual(self.run_call("square", 3), 9)

    def test_what_is_of_others_is_not_read(self):
        for path in ("/etc/shadow", "/etc/hostname", "/root", self.server.data + "/martlet.sqlite",
                     ROOT + "/README.md", "/var/log", "/proc/%d/environ" % self.server.process.pid):
            with self.subTest(path):
                self.assertIn("error", self.run_call("read", path))
        self.assertEqual(
            self.run_call("exists", ["/root/.bashrc", "/home", "/var", "/boot", "/mnt", "/srv"]), [])

    def test_no_process_of_others_is_seen(self):
        self.assertEqual(
            {os.path.basename(name)[:6] for name in self.run_call("processes")},
            {"bwrap", "python"})
        self.assertEqual(len(self.run_call("processes")), 2)

    def test_no_more_rights_are_had(self):
        self.assertNotEqual(self.run_call("mount"), 0)
        self.assertFalse(self.run_call("has_terminal"))
        self.assertIn("0000000000000000", self.run_call("attempt", "grep CapEff /proc/self/status"))
        self.assertIn("NoNewPrivs: 1", self.run_call("attempt", "grep NoNew /proc/self/status"))

    def test_commands_are_shut_in_as_well(self):
        for attempt in ("touch /x", "touch %s/x" % FUNCTIONS, "cat /etc/shadow",
                        "ls %s/martlet.sqlite" % self.server.data,
                        "echo 1 > /proc/sys/kernel/printk", "ls /var"):
            with self.subTest(attempt):
                self.assertRegex(
                    self.run_call("attempt", attempt),
                    "Read-only|Permission denied|No such file|nonexistent")

    def test_what_functions_need_is_there(self):
        self.assertEqual(self.run_call("in_parallel", [-1, -2, 3]), [1, 2, 3])
        data = b"abc" * 1000
        digest = hashlib.sha256(data).hexdigest()
        status, _, body = self.server.call("PUT", "/v1/blobs/" + digest, data)
        self.assertIn(status, (200, 201, 204), body)
        self.assertEqual(self.run_call("blob_sum", digest), sum(data))
        program, folder, home = self.run_call("where")
        self.assertEqual((folder, home), ("/tmp", "/tmp"))
        self.assertIn("python", program)


class ShownTests(SandboxTestCase):
    """What the operator shows, and what stays hidden in it."""

    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.folder = folder.name
        for name, text in (("models/a", "weights"), ("secret/token", "of-twelve-bytes"),
                           ("martlet.yaml", "token: of-twelve-bytes\n"), ("beside", "beside")):
            os.makedirs(os.path.dirname(cls.folder + "/" + name), exist_ok=True)
            with open(cls.folder + "/" + name, "w") as file:
                file.write(text)
        os.symlink("models", cls.folder + "/link")
        os.mkdir(cls.folder + "/sockets")

    def serve(self, *more, **settings):
        return self.enterContext(Server(BINARY, FUNCTIONS, more=["--sandbox", *more], **settings))

    def read(self, server, path, **headers):
        return server.run(function="read", args=[path])

    def test_what_is_shown_is_read_and_not_written(self):
        for given in ("models", "link"):
            server = self.serve("--sandbox-read", self.folder + "/" + given)
            with self.subTest(given):
                path = "%s/%s/a" % (self.folder, given)
                self.assertEqual(self.read(server, path), "weights")
                self.assertIsNotNone(server.run(function="write", args=[path]))
                self.assertIn("error", self.read(server, self.folder + "/beside"))
                with open(path) as file:
                    self.assertEqual(file.read(), "weights")

    def test_secrets_are_hidden_in_what_is_shown(self):
        data = self.folder + "/data"
        server = Server(BINARY, FUNCTIONS, data=data, more=[
            "--sandbox", "--sandbox-read", self.folder, "--config", self.folder + "/martlet.yaml",
            "--token-file", self.folder + "/secret/token"])
        self.enterContext(server)
        token = {"Authorization": "Bearer of-twelve-bytes", "Prefer": "wait=30"}
        for name, wanted in [("models/a", "weights"), ("beside", "beside"), ("secret/token", None),
                             ("martlet.yaml", None), ("data/martlet.sqlite", None)]:
            with self.subTest(name):
                job = {"function": "read", "args": [self.folder + "/" + name]}
                result = server.call("POST", "/v1/jobs", job, token)[2]
                if wanted:
                    self.assertIn(b'"result":"%s"' % wanted.encode(), result)
                else:
                    self.assertIn(b'"result":{"error":', result)

    def test_jobs_submit_jobs_through_a_socket_that_is_shown(self):
        sockets = self.folder + "/sockets"
        server = self.serve("--listen", "unix:%s/one" % sockets, "--sandbox-read", sockets)
        self.assertEqual(server.run(function="depth", args=[2]), 2)
        server = self.serve("--listen", "unix:%s/two" % sockets)
        document = server.wait(server.submit(function="depth", args=[1]))
        self.assertEqual(document["state"], "failed")


class EndTests(SandboxTestCase):
    """Nothing outlives its job, and its end is called what it was."""

    def left(self):
        return [line for line in map(command_line, processes_below(self.server.process.pid))
                if "sleep 1000" in line and "bwrap" not in line]

    def test_a_cancelled_job_leaves_no_process(self):
        for function, count in (("leave_others", 2), ("stay", 2)):
            with self.subTest(function):
                arguments = [600] if function == "leave_others" else []
                job = self.server.submit(function=function, args=arguments)
                self.until(lambda: len(self.left()) >= count)
                start = time.monotonic()
                self.server.call("POST", "/v1/jobs/%s/cancel" % job)
                self.assertEqual(self.server.wait(job, 20)["state"], "cancelled")
                self.assertEqual(self.left(), [])
                self.assertLess(time.monotonic() - start, 5)

    def test_a_timeout_leaves_no_process(self):
        for function, arguments in (("leave_others", [600]), ("stay", [])):
            with self.subTest(function):
                self.failed("timeout", function=function, args=arguments, timeout=0.5)
                self.assertEqual(self.left(), [])

    def test_a_function_is_asked_before_it_is_killed(self):
        job = self.server.submit(function="refuse_to_stop", args=[60])
        self.await_state(job, "running")
        time.sleep(0.3)  # to the line after its handler's
        start = time.monotonic()
        self.server.call("POST", "/v1/jobs/%s/cancel" % job)
        self.assertEqual(self.server.wait(job, 20)["state"], "cancelled")
        self.assertGreater(time.monotonic() - start, 0.8)
        self.assertIn(b"asked to stop", self.server.call("GET", "/v1/jobs/%s/logs" % job)[2])

    def test_ends_are_called_what_they_were(self):
        for how, value, signal_number in [
                ("signal", signal.SIGKILL, 9), ("signal", signal.SIGSEGV, 11),
                ("signal", signal.SIGTERM, 15), ("abort", 0, 6)]:
            with self.subTest(how=how, value=value):
                error = self.failed("signal", function="end_by", args=[how, value])
                self.assertEqual(error["signal"], signal_number)
        for status in (0, 1, 77):
            error = self.failed("exit", function="end_by", args=["exit", status])
            self.assertEqual(error["exit_status"], status)
        self.assertEqual(self.failed("signal", function="end_by_itself", args=["signal"])["signal"], 11)
        self.assertEqual(self.failed("exit", function="end_by_itself", args=[])["exit_status"], 9)

    def test_a_worker_killed_from_outside_is_called_so(self):
        job = self.server.submit(function="burn", args=[60])
        self.await_state(job, "running")

        def burning():
            return [pid for pid in processes_below(self.server.process.pid)
                    if "martlet.worker" in command_line(pid) and "bwrap" not in command_line(pid)]

        for pid in burning():
            os.kill(pid, signal.SIGKILL)
        document = self.server.wait(job, 20)
        self.assertEqual((document["state"], document["error"]["signal"]), ("failed", 9))
        self.assertEqual(self.run_call("hold", 1), 1)

    def test_limits_hold_inside(self):
        self.failed("out_of_memory", function="hold", args=[400], max_memory_bytes=200 << 20)
        error = self.failed("limit", function="burn", args=[60], max_cpu_seconds=1,
                            retry={"max_attempts": 1})
        self.assertEqual(error["type"], "CPULimit")


class ServerEndTests(SandboxTestCase):
    @classmethod
    def setUpClass(cls):
        pass  # each test has a server of its own

    def test_nothing_outlives_a_server_that_is_killed(self):
        with Server(BINARY, FUNCTIONS, more=["--sandbox"]) as server:
            job = server.submit(function="leave_others", args=[600])
            other = server.submit(function="stay", args=[])
            for each in (job, other):
                self.until(lambda: server.wait(each, 0)["state"] == "running")
            time.sleep(0.5)  # until they have started theirs
            below = processes_below(server.process.pid)
            self.assertGreater(len(below), 8)
            server.kill()
            self.until(lambda: not any(map(command_line, below)), 5)

    def test_worn_workers_are_replaced(self):
        with Server(BINARY, FUNCTIONS, processes=1, more=[
                "--sandbox", "--worker-max-memory", str(100 << 20), "--worker-open-files", "64"]) as server:
            small = [server.run(function="grow", args=[1]) for _ in range(3)]
            self.assertEqual(len(set(small)), 1)
            self.assertEqual(server.run(function="grow", args=[120]), small[0])
            self.assertNotEqual(server.run(function="grow", args=[1]), small[0])
            self.assertEqual(server.run(function="open_files", args=[]), 64)

    def test_without_bubblewrap_the_server_says_so_and_ends(self):
        with tempfile.TemporaryDirectory() as folder:
            os.symlink(shutil.which("python3"), folder + "/python3")
            without = self.refused(folder, {"PATH": folder})
            self.assertIn("there is no bwrap on PATH", without)
            with open(folder + "/bwrap", "w") as file:
                file.write("#!/bin/sh\necho 'bwrap: No permissions to create a new namespace' >&2\nexit 1\n")
            os.chmod(folder + "/bwrap", 0o755)
            path = {"PATH": folder + ":" + os.environ["PATH"]}
            self.assertIn("No permissions to create a new namespace", self.refused(folder, path))

    def test_commands_are_shut_in_where_there_is_no_python(self):
        with tempfile.TemporaryDirectory() as folder:
            os.mkdir(folder + "/functions")
            shutil.copy(FUNCTIONS + "/attempt", folder + "/functions")
            without = ["--python", "python-7"]
            with Server(BINARY, folder + "/functions", more=["--sandbox", *without]) as server:
                def attempt(what):
                    return server.run(function="attempt", args=[what])
                for path in (server.data + "/martlet.sqlite", ROOT + "/README.md", "/etc/shadow"):
                    self.assertRegex(attempt("ls " + path), "No such file|nonexistent")
                network = attempt("readlink /proc/self/ns/net")
                self.assertRegex(network, "^net:")
                self.assertNotIn(os.readlink("/proc/self/ns/net"), network)
            said = self.refused(folder, {"PATH": folder}, folder + "/functions", *without)
            self.assertIn("there is no bwrap on PATH", said)

    def refused(self, folder, variables, functions=FUNCTIONS, *more):
        run = subprocess.run(
            [os.path.join(ROOT, BINARY), "serve", "--sandbox", "--listen", "127.0.0.1:0", "--data",
             folder + "/data", "--functions", functions, *more], env={**os.environ, **variables},
            capture_output=True, text=True, timeout=30)
        self.assertNotEqual(run.returncode, 0)
        self.assertIn("--sandbox", run.stderr)
        return run.stderr

    def test_settings_of_a_sandbox_that_is_off_are_refused(self):
        run = subprocess.run([os.path.join(ROOT, BINARY), "config", "--sandbox-read", "/usr"],
                             capture_output=True, text=True, timeout=20)
        self.assertEqual(run.returncode, 64)
        self.assertIn("--sandbox-read says what --sandbox shows", run.stderr)


if __name__ == "__main__":
    unittest.main()

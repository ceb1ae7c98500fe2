"""Both images, run as they would be deployed. `make image-test` builds them and runs this."""

import json
import os
import shutil
import subprocess
import tempfile
import time
import unittest

from container import ENGINE, Container, engine

FOLDER = os.path.dirname(os.path.abspath(__file__))
FUNCTIONS = [FOLDER + "/functions/" + name for name in ("good.py", "same.sh", "orphan.sh")]
LONGEST_START = 0.5  # seconds


def fact(what, figure):
    print("    %-44s %s" % (what, figure), flush=True)


class ImageTests:
    """What holds for both images; the classes below name image, functions and figures."""

    def container(self, **options):
        return Container(self.image, self.functions, **options)

    def test_its_size_is_bounded(self):
        size = int(engine("image", "inspect", self.image, "--format", "{{.Size}}"))
        fact("unpacked (aim %d MB)" % self.aim, "%.0f MB" % (size / 1e6))
        self.assertLess(size, self.bound * 1e6)

    def test_it_bears_labels(self):
        labels = json.loads(engine(
            "image", "inspect", self.image, "--format", "{{json .Config.Labels}}"))
        for name in ("title", "description", "licenses", "version", "revision"):
            self.assertTrue(labels["org.opencontainers.image." + name])

    def test_it_is_ready_soon_in_little_memory_and_healthy(self):
        starts = []
        with self.container() as container:
            container.wait_until_ready()
            container.stop()
            for _ in range(3):
                container.start().wait_until_ready()
                starts.append(container.age())
                memory = container.memory()
                container.stop()
            container.start().wait_until_ready()
            # The engine asks by itself too, where it has a clock to do so; this asks at once.
            self.assertEqual(engine("exec", container.name, "martlet-health", "8080")[:12],
                             "HTTP/1.1 200")
            deadline = time.monotonic() + 30
            while container.inspect("{{.State.Health.Status}}") != "healthy":
                self.assertLess(time.monotonic(), deadline, "HEALTHCHECK never became healthy")
                if ENGINE == "podman":
                    engine("healthcheck", "run", container.name)
                time.sleep(0.1)
        fact("start to ready, the best of 3", "%.2f s" % min(starts))
        fact("idle memory, all processes", "%.0f MB" % (memory / 1e6))
        self.assertLess(min(starts), LONGEST_START)
        self.assertLess(memory, 200e6)

    def test_it_wants_the_token_and_the_cpus_of_its_group(self):
        with self.container() as container:
            container.wait_until_ready()
            self.assertEqual(container.call("GET", "/v1/jobs", token=None)[0], 401)
            self.assertEqual(container.call("GET", "/v1/jobs", token="another")[0], 401)
            pools = json.loads(container.call("GET", "/v1/pools")[1])["pools"]
            slots = {pool["name"]: pool["slots"] for pool in pools}
            self.assertEqual(slots["process"], 1)  # run with --cpus=1

    def test_it_does_not_start_open_to_all(self):
        run = subprocess.run(
            [ENGINE, "run", "--rm", "--read-only", self.image], capture_output=True, text=True,
            timeout=60)
        self.assertNotEqual(run.returncode, 0)
        self.assertIn("wants a token", run.stderr)

    def test_its_processes_have_no_privileges(self):
        with self.container() as container:
            container.wait_until_ready()
            with open("/proc/%d/status" % container.process) as file:
                status = dict(line.split(":\t", 1) for line in file.read().splitlines())
            self.assertEqual(status["Uid"].split(), ["65532"] * 4)
            self.assertEqual(status["Gid"].split(), ["65532"] * 4)
            self.assertEqual(int(status["CapEff"], 16), 0)
            self.assertEqual(status["NoNewPrivs"], "1")

    def test_each_kind_of_function_runs(self):
        with self.container() as container:
            container.wait_until_ready()
            for pool in ("thread", "process", "async"):
                self.assertEqual(container.run(function="square", pool=pool, args=[12]), 144)
            self.assertEqual(container.run(function="square", map=[1, 2, 3]), [1, 4, 9])
            self.assertEqual(container.run(function="same", args=[1, "two"]), [1, "two"])
            self.run_more(container)

    def test_it_stops_well_while_jobs_run_and_keeps_them_all(self):
        with self.container() as container:
            container.wait_until_ready()
            ended = container.submit(function="square", args=[3])
            self.assertEqual(container.job(ended, wait=20)["state"], "succeeded")
            short = container.submit(function="sleep", args=[1.5])
            long = container.submit(function=self.sleeper, args=[6])
            for job in (short, long):
                self.wait_for(container, job, "running")
            code, seconds = container.stop()
            fact("stopped while jobs ran", "%.1f s, exit %d" % (seconds, code))
            self.assertEqual(code, 0)
            self.assertLess(seconds, 10)
            container.start().wait_until_ready()
            self.assertEqual(container.job(ended)["state"], "succeeded")
            self.assertEqual(container.call("GET", "/v1/jobs/%s/result" % ended)[1], b"9")
            # What could end within the drain has; what could not was put back and runs again.
            self.assertEqual(container.job(short)["state"], "succeeded")
            self.assertEqual(container.job(long, wait=20)["state"], "succeeded")

    def wait_for(self, container, job, state):
        deadline = time.monotonic() + 20
        while container.job(job)["state"] != state:
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.02)


class DebianImageTests(ImageTests, unittest.TestCase):
    image = "martlet:test"
    functions = FUNCTIONS
    sleeper = "nap"
    aim, bound = 150, 158  # MB

    def run_more(self, container):
        for pool in ("process", "thread"):
            self.assertEqual(container.run(function="py_square", pool=pool, args=[12]), 144)
        self.assertEqual(container.run(function="later", args=[7]), 7)
        # As the functions see it: nobody's rights, and only /data and /tmp take files.
        self.assertEqual(container.run(function="user"), [65532, 65532])
        for path, can in [
                ("/data/file", True), ("/tmp/file", True), ("/file", False),
                ("/functions/file", False), ("/usr/bin/file", False)]:
            self.assertEqual(container.run(function="can_write", args=[path]), can, path)
        trusted = engine(
            "exec", container.name, "python3", "-c",
            "import ssl; print(ssl.create_default_context().cert_store_stats()['x509_ca'])")
        self.assertGreater(int(trusted), 100)
        self.assertEqual(container.run(function="orphan", args=[]), "left")
        deadline = time.monotonic() + 10
        while "sleep" in container.names():
            self.assertLess(time.monotonic(), deadline, "the child left behind was not reaped")
            time.sleep(0.05)


    def test_what_it_runs_can_be_in_a_sandbox(self):
        opened = ["unmask=ALL"] if ENGINE == "podman" else [
            "systempaths=unconfined", "seccomp=unconfined"]
        with self.container(more=[
                *("--security-opt=" + option for option in opened),
                "--env=MARTLET_SANDBOX=true"]) as container:
            container.wait_until_ready()
            for path, can in [("/tmp/file", True), ("/data/file", False)]:
                self.assertEqual(container.run(function="can_write", args=[path]), can, path)
            self.assertEqual(container.run(function="same", args=[1, "two"]), [1, "two"])
            self.assertIn("bwrap", container.names())


class MinimalImageTests(ImageTests, unittest.TestCase):
    image = "martlet:test-minimal"
    sleeper = "sleep"
    aim, bound = 60, 60  # MB

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp()
        cls.addClassCleanup(shutil.rmtree, cls.folder)
        subprocess.run(
            ["clang", "-static", "-O2", FOLDER + "/functions/same.c", "-o", cls.folder + "/same"],
            check=True)
        cls.functions = [cls.folder + "/same"]

    def run_more(self, container):
        listed = json.loads(container.call("GET", "/v1/functions")[1])["functions"]
        self.assertNotIn("python", [function["runtime"] for function in listed])


if __name__ == "__main__":
    unittest.main()

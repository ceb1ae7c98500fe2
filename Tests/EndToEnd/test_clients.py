"""Clients in other languages: the worked examples, and one that is generated from openapi.yaml."""

import os
import shutil
import subprocess
import sys
import tempfile

from service import ROOT, VENV, ServiceTestCase, use_packages

EXAMPLES = ROOT + "/Examples/clients"
# The program that runs an example, and the Debian package that brings it.
RUNTIMES = {
    "bash": "bash", "node": "nodejs", "go": "golang-go", "java": "default-jdk-headless",
    "ruby": "ruby",
}
# What every example prints.
SHOWN = """square(12) = 144
{"index":0,"result":1}
{"index":1,"result":4}
{"index":2,"result":9}
{"index":3,"result":16}
{"index":4,"result":25}
422 There is no function "squere". Did you mean "square"?
"""
# A program for the package that the generator makes.
GENERATED = '''
import sys
from martlet_client import Client
from martlet_client.api.default import (
    cancel_job, get_function, get_job, get_result, get_submission, list_jobs, submit_job)
from martlet_client.models import Job, Problem, State, Submission

with Client(base_url=sys.argv[1], raise_on_unexpected_status=True) as client:
    submission = Submission.from_dict(
        {"function": "square", "args": [12], "tags": ["generated"], "retry": {"max_attempts": 2}})
    job = submit_job.sync(client=client, body=submission, idempotency_key="one")
    assert isinstance(job, Job), job
    assert submit_job.sync(client=client, body=submission, idempotency_key="one").id == job.id
    job = get_job.sync(client=client, id=job.id, wait=30)
    assert job.state is State.SUCCEEDED and job.tags == ["generated"], job
    assert get_result.sync_detailed(client=client, id=job.id).content == b"144"
    assert get_submission.sync(client=client, id=job.id).args == [12]
    page = list_jobs.sync(client=client, tag="generated")
    assert [entry.id for entry in page.jobs] == [job.id], page

    sleep = submit_job.sync(client=client, body=Submission.from_dict(
        {"function": "sleep", "args": {"seconds": 60}, "pool": "async"}))
    cancel_job.sync_detailed(client=client, id=sleep.id)
    assert get_job.sync(client=client, id=sleep.id, wait=30).state is State.CANCELLED

    assert get_function.sync(client=client, name="square").name == "square"
    refused = submit_job.sync(client=client, body=Submission(function="squere"))
    assert isinstance(refused, Problem) and refused.pointer == "/function", refused
print("ok")
'''


def setUpModule():
    missing = [package for program, package in RUNTIMES.items() if not shutil.which(program)]
    if missing:
        subprocess.run(["apt-get", "update", "-qq"], check=True)
        subprocess.run(
            ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *missing], check=True,
            env=dict(os.environ, DEBIAN_FRONTEND="noninteractive"), stdout=subprocess.DEVNULL)
    use_packages()


class ClientTests(ServiceTestCase):
    functions = None

    def shows(self, *command):
        # Go keeps what it compiles; a build of its own would take 20 s each time.
        with tempfile.TemporaryDirectory() as folder:
            done = subprocess.run(
                command, cwd=EXAMPLES, capture_output=True, text=True, timeout=120,
                env=dict({"GOCACHE": folder}, **os.environ, MARTLET_URL=self.url()))
        self.assertEqual((done.returncode, done.stdout), (0, SHOWN), done.stderr[-2000:])

    def url(self):
        return "http://127.0.0.1:%d" % self.server.port

    def test_curl(self):
        self.shows("bash", "curl.sh")

    def test_node(self):
        self.shows("node", "client.mjs")

    def test_go(self):
        self.shows("go", "run", "client.go")

    def test_java(self):
        self.shows("java", "Client.java")

    def test_ruby(self):
        self.shows("ruby", "client.rb")

    def test_there_is_no_example_that_is_not_run(self):
        self.assertEqual(set(os.listdir(EXAMPLES)),
                         {"curl.sh", "client.mjs", "client.go", "Client.java", "client.rb"})

    def test_a_client_generated_from_the_description(self):
        python = VENV + "/bin/python"
        with tempfile.TemporaryDirectory() as folder:
            subprocess.run(
                [python, "-m", "openapi_python_client", "generate", "--meta", "none",
                 "--path", ROOT + "/openapi.yaml", "--output-path", folder + "/martlet_client"],
                cwd=folder, capture_output=True, timeout=120, check=True,
                env=dict(os.environ, PATH=VENV + "/bin:" + os.environ["PATH"]))
            done = subprocess.run(
                [python, "-c", GENERATED, self.url()], cwd=folder, capture_output=True, text=True,
                timeout=60)
        self.assertEqual((done.returncode, done.stdout), (0, "ok\n"), done.stderr[-3000:])


if __name__ == "__main__":
    import unittest
    unittest.main()

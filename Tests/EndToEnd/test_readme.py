"""The README's commands run, and are answered as it shows."""

import json
import os
import re
import shlex
import subprocess
import tempfile
import unittest

from service import BINARY, ROOT, Server

RELEASE = ".build/release/martlet"


def blocks(text, language):
    """The contents of the fenced blocks of a language."""
    return re.findall(r"^```%s\n(.*?)^```$" % language, text, re.MULTILINE | re.DOTALL)


def steps(block):
    """Each command of a console block with the answer that is shown below it."""
    joined = block.replace("\\\n", " ")
    for part in re.split(r"^\$ ", joined, flags=re.MULTILINE)[1:]:
        command, _, answer = part.partition("\n")
        yield command.strip(), answer.strip()


def pattern(shown):
    """Matches an answer of the shape shown: `…` is anything, the start of an id is any id's."""
    parts = [re.escape(part) for part in shown.split("…")]
    return re.sub(r'("id":)"[0-9a-f]{8}\\-', r'\1"[0-9a-f]{8}\\-', ".*".join(parts))


class ReadmeServer(Server):
    """The server of a shown command, on a free port with a data folder of its own."""

    def __init__(self, command):
        self.folder = tempfile.TemporaryDirectory()
        self.data = self.folder.name + "/data"
        self.environment = None
        words = shlex.split(command)
        assert words[0] == RELEASE and words[-1] == "&", command
        self.command = [os.path.join(ROOT, BINARY), *words[1:-1],
                        "--listen", "127.0.0.1:0", "--data", self.data]
        self.start()


class ReadmeTests(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        with open(ROOT + "/README.md") as file:
            cls.text = file.read()
        # The paths in it are seen from the root of the repository.
        cls.addClassCleanup(os.chdir, os.getcwd())
        os.chdir(ROOT)

    def test_its_console_is_answered_as_it_shows(self):
        ran = 0
        for block in blocks(self.text, "console"):
            (command, _), *rest = steps(block)
            with ReadmeServer(command) as server:
                self.last_id = None
                for command, shown in rest:
                    with self.subTest(command=command):
                        self.run_curl(command, shown, server.port)
                        ran += 1
        self.assertGreaterEqual(ran, 3)

    def run_curl(self, command, shown, port):
        command = command.replace("localhost:8080", "127.0.0.1:%d" % port)
        command = re.sub(r"/v1/jobs/[0-9a-f]{8}-…", "/v1/jobs/%s" % self.last_id, command)
        words = shlex.split(command)
        self.assertEqual(words[0], "curl")
        answer = subprocess.run(
            words, capture_output=True, text=True, timeout=60, check=True).stdout.strip()
        self.assertRegex(answer, re.compile(r"\A%s\Z" % pattern(shown), re.DOTALL))
        document = json.loads(answer)
        if isinstance(document, dict) and "id" in document:
            self.last_id = document["id"]

    def test_its_make_targets_are_there(self):
        lines = [line.split("#")[0].strip()
                 for block in blocks(self.text, "sh") for line in block.splitlines()]
        self.assertIn("make demo", lines)
        self.assertIn("make test", lines)
        for line in filter(None, lines):
            with self.subTest(line=line):
                words = shlex.split(line)
                self.assertEqual(words[0], "make")
                run = subprocess.run(
                    ["make", "--dry-run", *words[1:]], capture_output=True, text=True)
                self.assertEqual(run.returncode, 0, run.stderr)

    def test_its_settings_are_those_of_the_program(self):
        table = subprocess.run(
            [BINARY, "config", "--markdown"], capture_output=True, text=True, check=True).stdout
        self.assertIn("\n\n" + table + "\n", self.text, "`make settings` writes it anew")
        usage = subprocess.run(
            [BINARY, "serve", "--help"], capture_output=True, text=True, check=True).stdout
        flags = set(re.findall(r"^  --([a-z-]+)", usage, re.MULTILINE))
        named = set(re.findall(r"^\| `([a-z-]+)`", table, re.MULTILINE))
        secrets = {"token", "otlp-headers"}
        self.assertEqual(flags - {"version", "config"}, named - secrets)

    def test_its_endpoints_are_those_described(self):
        part = self.text.partition("## Endpoints\n")[2].partition("\n## ")[0]
        with open(ROOT + "/openapi.yaml") as file:
            paths = re.findall(r"^  (/\S*):$", file.read(), re.MULTILINE)
        self.assertGreater(len(paths), 10)
        for path in paths:
            short = re.sub(r"^/v1/jobs/\{id\}/", "/", path).replace("/{name}", "[/{name}]")
            with self.subTest(path=path):
                self.assertIn(short, part)


if __name__ == "__main__":
    unittest.main()

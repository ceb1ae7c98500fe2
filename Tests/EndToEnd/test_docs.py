"""What Docs/ shows is done as a reader would: its files saved, its console typed in, its answers seen."""

import glob
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import unittest

import service

ROOT = service.ROOT
BINARY = os.path.join(ROOT, service.BINARY)
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# A block that is a file to save says so in a comment, as its first line or behind `#!`.
FILE_NAME = re.compile(r"\A(?:#!.*\n)?# ([\w./-]+\.\w+)$", re.MULTILINE)
MARK = "--- the next command ---"


def documents():
    return sorted(glob.glob(ROOT + "/Docs/*.md"))


def blocks(path):
    """Language and content of each fenced block."""
    with open(path) as file:
        return FENCE.findall(file.read())


def steps(block):
    """Each command of a console block with the answer that is shown below it."""
    for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
        lines = part.split("\n")
        count = 1
        while lines[count - 1].endswith("\\"):
            count += 1
        yield "\n".join(lines[:count]), "\n".join(lines[count:]).strip()


def pattern(shown):
    """Matches an answer of the shape shown: `…` stands for anything, the start of an id for any."""
    parts = [re.escape(part) for part in shown.split("…")]
    return re.sub(r'("id":)"[0-9a-f]{8}\\-', r'\1"[0-9a-f]{8}\\-', ".*".join(parts))


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Reader:
    """A folder in which a document's files are saved and its commands typed into one shell."""

    def __init__(self, path):
        self.folder = tempfile.mkdtemp()
        self.port = free_port()
        self.commands, self.shown = [], []
        for language, block in blocks(path):
            name = FILE_NAME.search(block)
            if language == "console":
                for command, shown in steps(block):
                    self.commands.append(command)
                    self.shown.append(shown)
            elif name:
                self.save(name[1], block)

    def save(self, name, text):
        path = os.path.join(self.folder, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as file:
            file.write(text)
        if text.startswith("#!"):
            os.chmod(path, 0o755)

    def script(self):
        """The commands, with the server on a free port, each followed by a mark."""
        yield "trap 'kill $(jobs -p) 2> /dev/null; wait' EXIT"
        for command in self.commands:
            command = command.replace("localhost:8080", "127.0.0.1:%d" % self.port)
            if re.match(r"martlet serve .*&$", command):
                command = command.replace(
                    "serve", "serve --listen 127.0.0.1:%d" % self.port, 1)[:-1] + (
                    "2>> server.log &\nfor i in $(seq 200); do"
                    " curl -sf 127.0.0.1:%d/readyz > /dev/null && break; sleep 0.1; done" % self.port)
            yield command
            yield "echo; echo '%s'" % MARK

    def answers(self):
        """What the commands print, in their order."""
        # The binary is found as `martlet`, as a reader who has installed it finds it.
        programs = self.folder + "/programs"
        os.makedirs(programs)
        os.symlink(BINARY, programs + "/martlet")
        run = subprocess.run(
            ["bash", "-c", "\n".join(self.script())], cwd=self.folder, timeout=120,
            env=dict(os.environ, PATH=programs + ":" + os.environ["PATH"]),
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        return [each.strip() for each in run.stdout.split(MARK)][:-1], run.stderr

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        shutil.rmtree(self.folder)


class DocumentTests(unittest.TestCase):
    def test_their_consoles_are_answered_as_they_show(self):
        ran = 0
        for path in documents():
            with Reader(path) as reader:
                if not reader.commands:
                    continue
                answers, errors = reader.answers()
                self.assertEqual(len(answers), len(reader.commands), errors)
                for command, shown, answer in zip(reader.commands, reader.shown, answers):
                    with self.subTest(document=os.path.basename(path), command=command):
                        self.assertRegex(answer, re.compile(r"\A%s\Z" % pattern(shown), re.DOTALL))
                        ran += 1
        self.assertGreater(ran, 20)

    def test_their_shell_blocks_are_shell(self):
        for path in documents():
            for language, block in blocks(path):
                if language in ("sh", "bash"):
                    with self.subTest(document=os.path.basename(path), block=block):
                        subprocess.run(["bash", "-n", "-c", block], check=True)

    def test_their_make_targets_are_there(self):
        with open(ROOT + "/Makefile") as file:
            targets = set(re.findall(r"^([a-z-]+):", file.read(), re.MULTILINE))
        for path in documents():
            with open(path) as file:
                for target in re.findall(r"\bmake ([a-z-]+)\b", "\n".join(
                        re.findall(r"`[^`\n]+`|^make .*$", file.read(), re.MULTILINE))):
                    self.assertIn(target, targets, path)

    def test_their_links_lead_somewhere(self):
        for path in documents():
            with open(path) as file:
                for link in re.findall(r"\]\(([^)#:]+)\)", file.read()):
                    self.assertTrue(os.path.exists(os.path.join(ROOT, "Docs", link)), link)


class APIReferenceTests(unittest.TestCase):
    """Dashboard/docs.html."""

    @classmethod
    def setUpClass(cls):
        with open(ROOT + "/Dashboard/docs.html") as file:
            cls.page = file.read()

    def test_it_is_what_openapi_yaml_says(self):
        python = sys.executable
        if subprocess.run([python, "-c", "import yaml"], stderr=subprocess.DEVNULL).returncode != 0:
            python = "/usr/bin/python3"  # which has Debian's python3-yaml
        run = subprocess.run(
            [python, ROOT + "/Scripts/api-reference.py", "--check"], capture_output=True, text=True)
        self.assertEqual(run.returncode, 0, run.stderr)

    def test_it_asks_for_nothing_outside(self):
        for found in re.findall(r"""(?:src|href|action|url)\s*[=(]\s*["']?([^"'\s>)]+)""", self.page):
            self.assertTrue(found == "data:," or found[0] in "#/" and found[:2] != "//", found)
        self.assertNotIn("<script", self.page)
        self.assertNotIn("@import", self.page)

    def test_its_own_links_lead_somewhere(self):
        there = re.findall(r'\bid="?([\w-]+)"?', self.page)
        self.assertEqual(len(there), len(set(there)), "an id is there twice")
        for link in re.findall(r'href="?#([\w-]+)"?', self.page):
            self.assertIn(link, there)


if __name__ == "__main__":
    unittest.main()

"""The worker's files keep to Python 3.9, the oldest that they promise."""

import ast
import glob
import os
import shutil
import subprocess
import sys
import unittest

TESTS = os.path.dirname(os.path.abspath(__file__))
PACKAGE = os.path.join(os.path.dirname(TESTS), "martlet")
OLDEST = (3, 9)
# What the server carries and gives to its workers.
WORKER = ["__init__.py", "functions.py", "schema.py", "worker.py"]


def oldest_python():
    """A Python of the oldest version that runs; None when there is none."""
    name = "python%d.%d" % OLDEST
    installed = glob.glob(os.path.expanduser("~/.pyenv/versions/%d.%d.*/bin/python3" % OLDEST))
    for program in [shutil.which(name), *installed]:
        # The name may be there and not run: pyenv puts one on the path for every version it has.
        if program and subprocess.run([program, "-c", ""], capture_output=True).returncode == 0:
            return program
    return None


class VersionTests(unittest.TestCase):
    def test_every_file_parses_as_the_oldest_version(self):
        files = glob.glob(PACKAGE + "/*.py")
        self.assertGreaterEqual(len(files), 4)
        for path in files:
            with self.subTest(path=path), open(path) as file:
                ast.parse(file.read(), path, feature_version=OLDEST)

    def test_a_later_syntax_would_be_noticed(self):
        for text in ("match x:\n    case 1: pass", "try: pass\nexcept* OSError: pass"):
            with self.subTest(text=text), self.assertRaises(SyntaxError):
                ast.parse(text, feature_version=OLDEST)

    def test_the_worker_imports_only_the_standard_library(self):
        for path in WORKER:
            with open(os.path.join(PACKAGE, path)) as file:
                tree = ast.parse(file.read())
            for node in ast.walk(tree):
                names = []
                if isinstance(node, ast.Import):
                    names = [alias.name for alias in node.names]
                elif isinstance(node, ast.ImportFrom) and node.level == 0:
                    names = [node.module]
                for name in names:
                    with self.subTest(path=path, name=name):
                        self.assertIn(
                            name.partition(".")[0], sys.stdlib_module_names | {"martlet"})

    def test_the_worker_does_all_on_the_oldest_version_too(self):
        python = oldest_python()
        if python is None:
            self.skipTest("there is no Python %d.%d" % OLDEST)
        run = subprocess.run(
            [python, "-m", "unittest", "test_worker"], cwd=TESTS, capture_output=True, text=True,
            timeout=120)
        self.assertEqual(run.returncode, 0, run.stderr)
        self.assertRegex(run.stderr, r"Ran [1-9]")


if __name__ == "__main__":
    unittest.main()

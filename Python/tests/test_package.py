"""The package as pip builds and installs it, without a network; and what the server carries of it."""

import ast
import os
import re
import subprocess
import sys
import tempfile
import unittest
import venv

import support

PYTHON = os.path.dirname(support.TESTS)
MODULES = sorted(name for name in os.listdir(PYTHON + "/martlet") if name.endswith(".py"))


def read(*path):
    with open(os.path.join(support.ROOT, *path)) as file:
        return file.read()


class PackageTests(unittest.TestCase):
    def test_pip_installs_it_without_a_network(self):
        with tempfile.TemporaryDirectory() as folder:
            venv.create(folder, with_pip=True)
            python = folder + "/bin/python"
            done = subprocess.run(
                [python, "-m", "pip", "install", "-q", "--no-index", "--disable-pip-version-check",
                 PYTHON], capture_output=True, text=True, timeout=120)
            self.assertEqual(done.returncode, 0, done.stderr)
            code = ("import martlet, martlet.errors; martlet.Client; martlet.AsyncClient;"
                    "martlet.Executor; martlet.Pool; print(martlet.__file__);"
                    "from importlib.metadata import version;"
                    "assert martlet.__version__ == version('martlet'), martlet.__version__")
            done = subprocess.run([python, "-I", "-c", code], capture_output=True, text=True,
                                  timeout=60, cwd=folder)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertTrue(done.stdout.startswith(os.path.realpath(folder)), done)

    def test_the_metadata_are_those_of_pyproject(self):
        build, project = read("Python/build_package.py"), read("Python/pyproject.toml")
        self.assertIn('dynamic = ["version"]', project)
        for extra, needs in re.findall(r"^(pickle|joblib) = \[(.*)\]", project, re.M):
            for need in re.findall('"(.*?)"', needs):
                self.assertIn('Requires-Dist: %s; extra == "%s"' % (need, extra), build)

    def test_the_version_is_that_of_the_server_and_its_images(self):
        import martlet
        for path, pattern in [
                ("Sources/Functions/Release.swift", r'version = "(.*)"'),
                ("Docker/Dockerfile", r"(?m)^ARG VERSION=(.*)$"),
                ("Docker/kubernetes.yaml", r"image: martlet:(.*)")]:
            with self.subTest(path):
                found = re.findall(pattern, read(path))
                self.assertEqual(set(found), {martlet.__version__})

    def test_every_module_is_python_3_9_and_is_in_the_server(self):
        embedded = read("Sources/CEmbedded/CEmbedded.c")
        for name in MODULES:
            with self.subTest(name):
                ast.parse(read("Python/martlet", name), feature_version=(3, 9))
                self.assertIn('"%s"' % name[:-3], embedded)

    def test_a_worker_does_not_pay_for_the_client(self):
        code = ("import sys, martlet.worker; print(sorted(set(sys.modules) & {'asyncio', 'ssl',"
                "'pickle', 'http.client', 'martlet.client', 'multiprocessing'}))")
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True,
                              env=dict(os.environ, PYTHONPATH=PYTHON), timeout=60)
        self.assertEqual(done.stdout, "[]\n")

    def test_unknown_names_of_the_package_are_told(self):
        import martlet
        with self.assertRaises(AttributeError):
            martlet.Clint


if __name__ == "__main__":
    unittest.main()

"""The settings: flags over variables over the file over defaults, and all that is wrong at once."""

import json
import os
import subprocess
import tempfile
import unittest

from service import BINARY, ROOT, Server


class ConfigTests(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        self.file = folder.name + "/martlet.yaml"

    def run_config(self, *arguments, text=None, variables=()):
        if text is not None:
            with open(self.file, "w") as file:
                file.write(text)
            arguments += ("--config", self.file)
        environment = {
            name: value for name, value in os.environ.items()
            if not name.startswith(("MARTLET_", "OTEL_"))}
        environment.update(variables)
        return subprocess.run(
            [os.path.join(ROOT, BINARY), "config", *arguments], capture_output=True, text=True,
            timeout=30, env=environment, cwd=self.folder)

    def settings(self, *arguments, **given):
        run = self.run_config(*arguments, "--json", **given)
        self.assertEqual(run.returncode, 0, run.stderr)
        return {setting["name"]: setting for setting in json.loads(run.stdout)}

    def complaints(self, *arguments, **given):
        run = self.run_config(*arguments, **given)
        self.assertEqual(run.returncode, 64, run.stdout)
        self.assertEqual(run.stdout, "")
        return [line.removeprefix("Error: ") for line in run.stderr.splitlines()]

    def value(self, setting):
        return setting["value"], setting["from"]

    def test_what_is_given_nowhere_has_its_default(self):
        for name, setting in self.settings().items():
            with self.subTest(setting=name):
                self.assertEqual(setting["from"], "default")
                if "CPU" not in setting["default"] and "of all" not in setting["default"]:
                    self.assertEqual(setting["value"], setting["default"])
                self.assertEqual(
                    setting["variable"], "MARTLET_" + name.upper().replace("-", "_"))
                self.assertTrue(setting["meaning"] and setting["unit"])

    def test_flags_go_before_variables_before_the_file(self):
        found = self.settings(
            "--threads", "9",
            text="threads: 7\n\nprocesses: 3\ndrain-seconds: 2.5\n",
            variables={"MARTLET_THREADS": "8", "MARTLET_PROCESSES": "4"})
        self.assertEqual(self.value(found["threads"]), ("9", "flag"))
        self.assertEqual(self.value(found["processes"]), ("4", "MARTLET_PROCESSES"))
        self.assertEqual(self.value(found["drain-seconds"]), ("2.5", self.file + ":4"))
        self.assertEqual(self.value(found["async-limit"]), ("10000", "default"))

    def test_a_variable_names_the_file(self):
        with open(self.file, "w") as file:
            file.write("log-format: json\n")
        found = self.settings(variables={"MARTLET_CONFIG": self.file})
        self.assertEqual(self.value(found["log-format"]), ("json", self.file + ":1"))

    def test_lists_and_switches_are_given_everywhere(self):
        lists = "127.0.0.1:1,unix:/run/m.sock"
        yaml = "listen:\n  - 127.0.0.1:1\n  - 'unix:/run/m.sock'\nallow-pickle: true\n"
        for given in (
                {"text": yaml}, {"text": "listen: [127.0.0.1:1, unix:/run/m.sock]\nallow-pickle: true"},
                {"variables": {"MARTLET_LISTEN": lists, "MARTLET_ALLOW_PICKLE": "true"}}):
            with self.subTest(given=given):
                found = self.settings(**given)
                self.assertEqual(found["listen"]["value"], lists)
                self.assertEqual(found["allow-pickle"]["value"], "true")
        found = self.settings("--no-allow-pickle", "--listen", "[::1]:2", text=yaml)
        self.assertEqual(self.value(found["listen"]), ("[::1]:2", "flag"))
        self.assertEqual(self.value(found["allow-pickle"]), ("false", "flag"))

    def test_all_that_is_wrong_is_told_at_once(self):
        complaints = self.complaints(
            "--async-limit", "0", "--listen", "0.0.0.0:1", "--tls-cert", "/nowhere.pem",
            text="max_queued: 5\nthreads: 0\nprocesses: two\nthreads: 1\ndata:\n"
                 "drain-seconds: [1, 2]\nlog-format: xml\nnest: {a: 1}\n",
            variables={"MARTLET_FETCH_PER_HOST": "x", "MARTLET_ALLOW_PICKLE": "yes",
                       "MARTLET_TRUSTED_PROXY": "10.0.0.1,ten", "OTEL_TRACES_SAMPLER_ARG": "2"})
        at = self.file + ":%d: "
        self.assertEqual(sorted(complaints), sorted([
            at % 1 + 'there is no setting "max_queued". Did you mean max-queued?',
            at % 2 + 'threads must be 1 to 1024, not "0"',
            at % 3 + 'processes must be 1 to 1024, not "two"',
            at % 4 + "threads is there twice",
            at % 5 + "data has no value",
            at % 6 + "drain-seconds takes one value, not a list",
            at % 7 + 'log-format must be text or json, not "xml"',
            at % 8 + 'there is no setting "nest".',
            '--async-limit must be 1 to 1000000, not "0"',
            "--tls-cert cannot be read: /nowhere.pem: No such file or directory",
            "TLS wants both --tls-cert and --tls-key",
            "--listen 0.0.0.0:1: open to a network the server wants a token; give --token-file "
            "FILE or MARTLET_TOKEN, or listen on 127.0.0.1",
            'MARTLET_FETCH_PER_HOST must be 1 to 100000, not "x"',
            'MARTLET_ALLOW_PICKLE must be true or false, not "yes"',
            'MARTLET_TRUSTED_PROXY takes an address or network, not "ten"',
            'OTEL_TRACES_SAMPLER_ARG must be 0 to 1, not "2"',
        ]))

    def test_a_file_that_is_no_mapping_is_refused_with_its_line(self):
        for text, line, why in [
                ("a: [\n", 2, "this is no YAML: "), ("- threads\n", 1, "settings are lines of"),
                ("threads: 1\n\tprocesses: 2\n", 2, "this is no YAML: "),
                ("? [a]\n: b\n", 1, "the name of a setting is a word"),
                ("listen: [[a]]\n", 1, "listen takes plain values"),
                ("listen: {a: b}\n", 1, "listen takes a plain value or a list"),
                ("listen: []\n", 1, "listen has no value")]:
            with self.subTest(text=text):
                complaints = self.complaints(text=text)
                self.assertTrue(
                    any(one.startswith("%s:%d: %s" % (self.file, line, why)) for one in complaints),
                    complaints)
        self.assertEqual(
            self.complaints("--config", "/nowhere"),
            ["--config cannot be read: /nowhere: No such file or directory"])
        self.assertEqual(self.settings(text="# nothing\n")["threads"]["from"], "default")

    def test_secrets_are_not_shown(self):
        found = self.settings(
            text="otlp-headers: key=secret\n", variables={"MARTLET_TOKEN": "a secret token"})
        self.assertEqual(self.value(found["token"]), ("(set)", "MARTLET_TOKEN"))
        self.assertNotIn("secret", json.dumps([setting["value"] for setting in found.values()]))
        self.assertIn("Unknown option", self.run_config("--token", "secret").stderr)

    def test_a_misspelt_variable_is_told_of_and_others_are_let_be(self):
        run = self.run_config(variables={
            "MARTLET_THREAD": "3", "MARTLET_PORT_8080_TCP_ADDR": "10.0.0.1"})
        self.assertEqual(run.returncode, 0)
        self.assertEqual(
            run.stderr, "Warning: MARTLET_THREAD is no setting. Did you mean MARTLET_THREADS?\n")

    def test_the_server_is_set_up_by_the_file(self):
        with open(self.file, "w") as file:
            file.write("threads: 5\nmax-body-bytes: 100\nlisten: 127.0.0.1:1\nasync-limit: 33\n")
        with Server(BINARY, None, more=["--config", self.file]) as server:
            pools = json.loads(server.call("GET", "/v1/pools")[2])["pools"]
            slots = {pool["name"]: pool["slots"] for pool in pools}
            self.assertEqual((slots["thread"], slots["async"]), (8, 33))  # the flag goes first
            self.assertEqual(server.call("POST", "/v1/jobs", b"1" * 101)[0], 413)


if __name__ == "__main__":
    unittest.main()

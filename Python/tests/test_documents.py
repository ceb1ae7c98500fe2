"""The programs of Docs/python.md print what it says that they print."""

import os
import re
import subprocess
import sys
import unittest

import support

BLOCKS = re.compile(r"^```python\n(.*?)^```\n```text\n(.*?)^```$", re.M | re.S)


class DocumentTests(unittest.TestCase):
    def test_the_programs_of_the_document_run(self):
        with open(support.ROOT + "/Docs/python.md") as file:
            text = file.read()
        blocks = BLOCKS.findall(text)
        self.assertEqual(len(blocks), text.count("```python"))
        self.assertGreater(len(blocks), 3)
        server = support.Server(
            support.BINARY, support.ROOT + "/Examples/functions",
            more=["--allow-pickle", "--python", sys.executable])
        with server:
            for program, output in blocks:
                with self.subTest(program=program):
                    done = subprocess.run(
                        [sys.executable, "-c", program], capture_output=True, text=True,
                        timeout=60, env=dict(os.environ, MARTLET_URL=support.url(server),
                                             PYTHONPATH=os.path.dirname(support.TESTS)))
                    self.assertEqual((done.stderr, done.stdout), ("", output))


if __name__ == "__main__":
    unittest.main()

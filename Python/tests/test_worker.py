"""The worker, driven over its socket as the server drives it."""

import json
import os
import select
import socket
import subprocess
import sys
import tempfile
import unittest

PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
FUNCTIONS = '''
import asyncio, os, time
import martlet

@martlet.function
def square(x: int) -> int:
    """The square."""
    return x * x

@martlet.function
def nap(seconds):
    time.sleep(seconds)

@martlet.function
def set_of(x):
    return {x}

@martlet.function
def leave():
    raise SystemExit(3)

@martlet.function
def say(text):
    martlet.progress(1, 2)
    print(text)
    print("rest", end="")
    return martlet.traceparent()

@martlet.function
async def say_later(text):
    await asyncio.sleep(0.1)
    print(text)
    return martlet.traceparent()

class Untellable(Exception):
    def __str__(self):
        raise SystemExit("no")

def what(kind):
    """What is hard to put into an answer."""
    if kind == "half":
        return [os.fsdecode(b"caf\\xe9"), {"\\ud83d": 1}]
    if kind == "half error":
        raise ValueError(os.fsdecode(b"caf\\xe9"))
    if kind == "untellable":
        raise Untellable
    late = martlet.Retry("later", after=1)
    late.after = float(kind)
    raise late

martlet.function(what, name="what")

@martlet.function
async def what_later(kind):
    return what(kind)

@martlet.function(name="later", timeout=30)
async def wait(seconds):
    await asyncio.sleep(seconds)
    return seconds
'''

MARKED = "import martlet\n@martlet.function\ndef %s(): pass\n"


class Worker:
    def __init__(self, kind, files=None):
        self.folder = tempfile.TemporaryDirectory()
        for name, text in (files or {"f": FUNCTIONS, "g": "raise SystemExit('no')"}).items():
            with open("%s/%s.py" % (self.folder.name, name), "w") as file:
                file.write(text)
        self.channel, theirs = socket.socketpair()
        self.channel.settimeout(15)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "martlet.worker", "--kind", kind, "--threads", "2",
             self.folder.name], pass_fds=[theirs.fileno()],
            env=dict(os.environ, PYTHONPATH=PACKAGE, MARTLET_FD=str(theirs.fileno())))
        theirs.close()
        self.lines = self.channel.makefile("rb")
        self.hello = self.read()["hello"]

    def send(self, *messages):
        """All in one write, so that the worker reads them together."""
        self.channel.sendall(b"".join(json.dumps(m).encode() + b"\n" for m in messages))

    def read(self):
        return json.loads(self.lines.readline())

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.lines.close()
        self.channel.close()
        try:
            self.status = self.process.wait(10)
        finally:
            self.process.kill()
            self.folder.cleanup()


class WorkerTests(unittest.TestCase):
    def test_the_greeting_names_functions_and_broken_files(self):
        with Worker("process") as worker:
            functions = {f["name"]: f for f in worker.hello["functions"]}
            self.assertEqual(set(functions), {
                "square", "nap", "set_of", "leave", "say", "say_later", "later", "what",
                "what_later"})
            self.assertEqual(functions["square"]["pools"], ["process", "thread"])
            self.assertEqual(functions["later"]["pool"], "async")
            self.assertEqual(functions["later"]["timeout"], 30)
            self.assertRegex(functions["square"]["version"], "^[0-9a-f]{16}$")
            schema = functions["square"]["parameters"]
            self.assertEqual(schema["properties"]["x"], {"type": "integer"})
            self.assertEqual(schema["required"], ["x"])
            self.assertEqual([os.path.basename(b["file"]) for b in worker.hello["broken"]], ["g.py"])
        self.assertEqual(worker.status, 0)

    def test_files_that_import_each_other_are_run_once(self):
        files = {
            "a": MARKED % "first" + "import c\nkind = c.Kind",
            "b": "import c\n" + MARKED % "second" + "raise ValueError('broken')",
            "c": "class Kind: pass\nimport a\n" + MARKED % "third"
                 + "@martlet.function\ndef same(): return a.kind is Kind"}
        with Worker("process", files) as worker:
            self.assertEqual({f["name"] for f in worker.hello["functions"]},
                             {"first", "third", "same"})
            self.assertEqual([os.path.basename(b["file"]) for b in worker.hello["broken"]], ["b.py"])
            versions = {f["name"]: f["version"] for f in worker.hello["functions"]}
            self.assertEqual(versions["third"], versions["same"])
            self.assertNotIn(None, versions.values())
            worker.send({"call": 1, "function": "same", "args": []})
            self.assertIs(worker.read()["result"], True)

    def test_functions_imported_by_a_file_that_breaks_then_are_there(self):
        files = {"a": "import c\nraise ValueError", "c": MARKED % "third"}
        with Worker("process", files) as worker:
            self.assertEqual([f["name"] for f in worker.hello["functions"]], ["third"])

    def test_a_file_may_have_the_name_of_a_module(self):
        names = ["martlet", "json", "queue", "asyncio", "traceback"]
        for kind in "process", "thread", "async":
            with self.subTest(kind=kind), \
                    Worker(kind, {name: MARKED % name for name in names}) as worker:
                self.assertEqual(worker.hello["broken"], [])
                self.assertEqual({f["name"] for f in worker.hello["functions"]}, set(names))
                worker.send({"call": 1, "function": "martlet", "args": []})
                self.assertEqual(worker.read()["call"], 1)

    def test_calls_are_answered_in_order_and_failures_end_nothing(self):
        with Worker("process") as worker:
            worker.send(
                {"call": 1, "function": "square", "args": [3]},
                {"call": 2, "function": "leave", "args": []},
                {"call": 3, "function": "set_of", "args": [1]},
                {"call": 4, "function": "square", "args": {"y": 1}},
                {"call": 5, "function": "square", "map": [1, "a", 3], "on_error": "continue"},
                {"call": 6, "function": "square", "map": [1, None, 3], "on_error": "stop"},
                {"call": 7, "function": "nope", "args": []})
            answers = [worker.read() for _ in range(7)]
            self.assertEqual([a["call"] for a in answers], [1, 2, 3, 4, 5, 6, 7])
            self.assertEqual(answers[0]["result"], 9)
            self.assertEqual(answers[1]["error"]["type"], "SystemExit")
            self.assertIn("set_of", answers[2]["error"]["message"])
            self.assertEqual(answers[3]["error"]["type"], "TypeError")
            self.assertEqual((answers[4]["results"], list(answers[4]["errors"])), ([1, None, 9], ["1"]))
            self.assertEqual((answers[5]["results"], list(answers[5]["errors"])), ([1], ["1"]))
            self.assertEqual(answers[6]["error"]["type"], "LookupError")

    def test_whatever_a_function_returns_or_raises_its_call_is_answered(self):
        for kind, function in [("process", "what"), ("thread", "what"), ("async", "what_later")]:
            with self.subTest(kind=kind), Worker(kind) as worker:
                def ask(what):
                    worker.send({"call": 1, "function": function, "args": [what]})
                    line = worker.lines.readline()
                    line.decode()  # UTF-8, strictly
                    return json.loads(line)
                self.assertEqual(ask("half")["result"], ["caf\udce9", {"\ud83d": 1}])
                self.assertEqual(ask("half error")["error"]["message"], "caf\udce9")
                for untold, why in (
                        ("untellable", "SystemExit"), ("nan", "ValueError"), ("inf", "ValueError")):
                    self.assertEqual(ask(untold)["error"]["message"],
                                     "(the exception cannot be told: %s)" % why)
                worker.send({"call": 2, "function": function, "map": ["half", "inf", "half"],
                             "on_error": "continue"})
                answer = worker.read()
                self.assertEqual((answer["results"][1], list(answer["errors"])), (None, ["1"]))

    def test_a_cancel_that_comes_with_its_call_is_answered(self):
        for kind, function in [("async", "later"), ("thread", "nap")]:
            with self.subTest(kind=kind), Worker(kind) as worker:
                worker.send({"call": 1, "function": function, "args": [0.3]}, {"cancel": 1})
                answer = worker.read()
                self.assertEqual(answer["call"], 1)
                self.assertEqual(answer["error"]["code"], "cancelled")
                worker.send({"cancel": 1}, {"call": 2, "function": function, "args": [0]})
                self.assertEqual(worker.read()["call"], 2)

    def test_what_a_call_says_comes_before_its_answer(self):
        for kind, function in [("process", "say"), ("thread", "say"), ("async", "say_later")]:
            with self.subTest(kind=kind), Worker(kind) as worker:
                trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
                worker.send({"call": 5, "function": function, "args": ["hello"], "trace": trace})
                said = [worker.read() for _ in range(2 if kind == "async" else 4)]
                if kind != "async":
                    self.assertEqual(said.pop(0), {
                        "progress": 5, "done": 1, "total": 2, "message": None})
                    self.assertEqual(said.pop(1), {"log": 5, "lines": [["stdout", "", "rest"]]})
                self.assertEqual(said[0], {"log": 5, "lines": [["stdout", "", "hello"]]})
                self.assertEqual((said[1]["call"], said[1]["result"]), (5, trace))
                # The next call is another one's.
                worker.send({"call": 6, "function": function, "args": ["again"]})
                heard = [worker.read() for _ in range(len(said) + 2 * (kind != "async"))]
                self.assertEqual({next(iter(m.values())) for m in heard}, {6})
                self.assertIsNone(heard[-1]["result"])

    def test_many_coroutines_run_at_once(self):
        with Worker("async") as worker:
            worker.send(*({"call": n, "function": "later", "args": [0.2]} for n in range(2000)))
            answers = [worker.read() for _ in range(2000)]
            self.assertEqual(sorted(a["call"] for a in answers), list(range(2000)))
            self.assertEqual({a["result"] for a in answers}, {0.2})

    def test_a_busy_worker_ends_when_the_server_goes(self):
        for kind, function in [("async", "later"), ("thread", "square")]:
            with self.subTest(kind=kind), Worker(kind) as worker:
                worker.send({"call": 1, "function": function, "args": [2]})
            self.assertEqual(worker.status, 0)

    def test_a_server_that_goes_without_reading_an_answer_is_no_error(self):
        for kind in ("process", "thread"):
            with self.subTest(kind=kind), Worker(kind) as worker:
                worker.send({"call": 1, "function": "square", "args": [2]})
                self.assertTrue(select.select([worker.channel], [], [], 15)[0])
            self.assertEqual(worker.status, 0)


if __name__ == "__main__":
    unittest.main()

"""The commands that talk to a server, as a shell runs them."""

import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import tempfile
import time
import unittest

from service import BINARY, IS_SANITIZED, ROOT, Server, high_water

MARTLET = os.path.join(ROOT, BINARY)
FUNCTIONS = ROOT + "/Tests/EndToEnd/functions"
NOBODY = "01a2064b-0000-7000-8000-000000000000"

FAILED, REFUSED, UNREACHABLE, UNAUTHORIZED, NOT_FOUND, CANCELLED, UNFINISHED, USAGE = (
    1, 2, 3, 4, 5, 6, 7, 64)


def catches(pid, number):
    """Whether a process handles a signal itself."""
    with open("/proc/%d/status" % pid) as file:
        caught = next(line.split()[1] for line in file if line.startswith("SigCgt:"))
    return bool(int(caught, 16) >> (number - 1) & 1)


class CommandTests(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        # Commands inherit it where the tests run in the background of a shell, which ignores it.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        cls.server = Server(BINARY, FUNCTIONS)
        cls.url = "http://127.0.0.1:%d" % cls.server.port

    @classmethod
    def tearDownClass(cls):
        cls.server.__exit__()

    def run_command(self, *arguments, status=0, stdin=b"", **environment):
        """Returns stdout and stderr; the command must end with the status."""
        environment = {"MARTLET_URL": self.url, **environment}
        clean = {k: v for k, v in os.environ.items() if not k.startswith("MARTLET_")}
        ended = subprocess.run(
            [MARTLET, *arguments], input=stdin, capture_output=True, timeout=60,
            env={**clean, **environment})
        out, error = ended.stdout.decode(), ended.stderr.decode()
        self.assertEqual(ended.returncode, status, (arguments, out, error))
        return out, error

    def out(self, *arguments, **others):
        out, error = self.run_command(*arguments, **others)
        self.assertEqual(error, "")
        return out

    # --- submit, wait, result --------------------------------------------------------------

    def test_an_unknown_command_names_the_near_one(self):
        _, error = self.run_command("lst", status=64)
        self.assertEqual(
            error, 'Error: there is no command "lst". Did you mean list? See martlet --help.\n')
        self.run_command("help")
        self.run_command("--version")

    def test_logs_prints_what_a_job_has_printed(self):
        job = self.out("submit", "say", "one", "two", "thr\u00e9e").strip()
        self.run_command("wait", job)
        self.assertEqual(self.out("logs", job), "one\ntwo\nthr\u00e9e\n")
        self.assertEqual(self.out("logs", job, "-n", "1"), "thr\u00e9e\n")
        self.assertEqual(self.out("logs", job, "--json"), '"one"\n"two"\n"thr\u00e9e"\n')
        self.assertEqual(self.out("logs", job, "--follow"), "one\ntwo\nthr\u00e9e\n")
        self.run_command("logs", "01890a5d-ac96-774b-bcce-b302099a8057", status=5)
        self.run_command("logs", job, "--tail", "-1", status=64)

    def test_logs_follow_a_job_to_its_end(self):
        job = self.out(
            "submit", "say_between", "first", "6" if IS_SANITIZED else "1.5", "last").strip()
        clean = {k: v for k, v in os.environ.items() if not k.startswith("MARTLET_")}
        follower = subprocess.Popen(
            [MARTLET, "logs", "-f", job], stdout=subprocess.PIPE, text=True,
            env={**clean, "MARTLET_URL": self.url})
        self.addCleanup(follower.stdout.close)
        self.addCleanup(follower.kill)
        self.assertEqual(follower.stdout.readline(), "first\n")
        self.assertIn("running", self.out("show", job))
        self.assertEqual(follower.stdout.readline(), "last\n")
        self.assertEqual(follower.wait(timeout=20), 0)

    def test_a_call_is_submitted_waited_for_and_its_result_printed(self):
        job = self.out("submit", "py_square", "12").strip()
        self.assertEqual(self.out("wait", job), "%s succeeded\n" % job)
        self.assertEqual(self.out("result", job), "144\n")
        self.assertEqual(self.out("submit", "py_square", "12", "--wait"), "144\n")
        self.assertIn("succeeded", self.out("show", job))
        self.assertEqual(json.loads(self.out("show", job, "--json"))["result"], 144)

    def interrupt(self, *arguments, stdin=b""):
        """Interrupts a command that waits for its job; the job's id, stderr and the status."""
        with tempfile.TemporaryFile() as file:
            file.write(stdin)
            file.seek(0)
            command = subprocess.Popen(
                [MARTLET, *arguments, "--queue", "interrupted", "--server", self.url],
                stdin=file, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.addCleanup(command.kill)
        deadline = time.time() + 20
        while not catches(command.pid, signal.SIGINT):
            self.assertIsNone(command.poll())
            self.assertLess(time.time(), deadline)
            time.sleep(0.01)
        command.send_signal(signal.SIGINT)
        out, error = command.communicate(timeout=10)
        self.assertEqual(out, b"")
        job = self.out("list", "--queue", "interrupted", "-n", "1", "--quiet").strip()
        return job, error.decode(), command.returncode

    def test_who_interrupts_a_wait_is_told_where_the_job_is_found(self):
        for command, stdin in [
                (["submit", "sleep", "30", "--wait"], b""),
                (["submit", "sleep", "30", "--within", "60"], b""),
                (["map", "sleep"], b"[30, 30]"), (["map", "sleep"], b"30\n30\n")]:
            with self.subTest(command=command, stdin=stdin):
                job, error, status = self.interrupt(*command, stdin=stdin)
                self.assertEqual(status, -signal.SIGINT)  # a shell makes 130 of it
                self.assertEqual(
                    error, "martlet: job %s goes on; martlet result --wait %s prints its result, "
                    "martlet cancel %s stops it\n" % (job, job, job))
                self.assertIn(json.loads(self.out("show", "--json", job))["state"],
                              ("queued", "running"))
                self.out("cancel", job)

    def test_a_wait_in_the_background_of_a_script_is_not_interrupted(self):
        done = subprocess.run(
            ["sh", "-c", 'trap "" INT; "$0" submit sleep 1 --wait --server "$1" & '
             'sleep 0.5; kill -INT $!; wait $!', MARTLET, self.url],
            capture_output=True, text=True, timeout=30)
        self.assertEqual((done.returncode, done.stdout), (0, "1\n"), done)

    def test_arguments_are_json_or_else_strings(self):
        for given, wanted in [
                ("12", 12), ("abc", "abc"), ('"12"', "12"), ("[1, 2]", [1, 2]), ("é \"x", "é \"x"),
                ("null", None), ("", ""), ("01", "01")]:
            with self.subTest(given=given):
                self.assertEqual(json.loads(self.out("submit", "echo", "-w", given)), wanted)
        self.assertEqual(self.out("submit", "square", "-w", "--", "-3"), "9\n")
        self.assertEqual(self.out("submit", "square", "-w", "-a", "x=5"), "25\n")
        self.assertEqual(self.out("submit", "square", "-w", "--args", '{"x": 6}'), "36\n")
        self.assertEqual(self.out("submit", "square", "-w", "--args", "-", stdin=b"[7]"), "49\n")
        with tempfile.NamedTemporaryFile("w") as file:
            file.write("[8]")
            file.flush()
            self.assertEqual(
                self.out("submit", "square", "-w", "--args", "@" + file.name), "64\n")
        # The result's own bytes.
        self.assertEqual(self.out("submit", "echo", "-w", "12345678901234567890123"),
                         "12345678901234567890123\n")
        self.run_command("submit", "square", "1", "--args", "[1]", status=USAGE)
        self.run_command("submit", "square", "--arg", "x", status=USAGE)
        self.run_command("submit", "square", "--args", "{", status=REFUSED)

    def test_the_options_of_a_job_reach_the_server(self):
        job = json.loads(self.out(
            "submit", "square", "1", "--pool", "async", "--queue", "q1", "--priority", "7",
            "--tag", "a", "--tag", "b", "--delay", "3600", "--keep", "60", "--max-attempts", "3",
            "--timeout", "5", "--json"))
        self.assertEqual(
            (job["pool"], job["queue"], job["priority"], job["tags"]), ("async", "q1", 7, ["a", "b"]))
        self.assertIn("not_before", job)
        self.assertEqual(self.out("cancel", job["id"]), "%s cancelled\n" % job["id"])
        key = "key-%s" % time.time()
        first = self.out("submit", "echo", "1", "--idempotency-key", key)
        self.assertEqual(self.out("submit", "echo", "1", "--idempotency-key", key), first)

    def test_how_a_job_ended_is_the_exit_status(self):
        _, error = self.run_command("submit", "fail", "boom", "--wait", status=FAILED)
        self.assertIn("ValueError: boom", error)
        self.assertIn("Traceback", error)
        failed = self.out("submit", "fail", "boom").strip()
        self.run_command("wait", failed, status=FAILED)
        out, error = self.run_command("result", failed, status=FAILED)
        self.assertEqual(out, "")
        self.assertIn("boom", error)
        waiting = self.out("submit", "square", "1", "--delay", "3600").strip()
        self.run_command("wait", waiting, "--within", "0.1", status=UNFINISHED)
        self.assertEqual(self.run_command("result", waiting, status=UNFINISHED)[0], "")
        self.run_command("submit", "sleep", "30", "--within", "0.1", status=UNFINISHED)
        self.out("cancel", waiting)
        self.run_command("wait", waiting, status=CANCELLED)
        self.run_command("wait", waiting, failed, status=FAILED)

    def test_what_goes_wrong_before_a_job_has_its_status_too(self):
        _, error = self.run_command("submit", "no_such", status=REFUSED)
        self.assertIn("no_such", error)
        for command in ("wait", "result", "show", "cancel", "retry"):
            self.run_command(command, NOBODY, status=NOT_FOUND)
        self.run_command("functions", "no_such", status=NOT_FOUND)
        _, error = self.run_command("list", status=UNREACHABLE, MARTLET_URL="http://127.0.0.1:1")
        self.assertIn("http://127.0.0.1:1", error)
        _, error = self.run_command("list", "--server", "unix:/no/such", status=UNREACHABLE)
        self.assertIn("no answer from unix:/no/such", error)
        for wrong in (["no-such-command"], ["submit"], ["list", "--limit", "0"],
                      ["map", "square", "--chunk", "x"], ["top", "--interval", "0"]):
            self.run_command(*wrong, status=USAGE)

    def test_a_server_may_be_named_without_its_scheme(self):
        named = self.url.removeprefix("http://")
        self.assertEqual(self.out("submit", "square", "3", "--wait", "--server", named), "9\n")

    def test_failed_jobs_are_retried(self):
        with tempfile.TemporaryDirectory() as folder:
            flag = folder + "/there"
            items = "".join('[%d,"%s"]\n' % (i, flag) for i in range(4)).encode()
            job = self.out("map", "fail_unless_there", "--spread", "--continue", "--no-wait",
                           stdin=items).strip()
            self.run_command("wait", job, status=FAILED)
            open(flag, "w").close()
            self.assertEqual(self.out("retry", "--failed-items", job), "%s queued\n" % job)
            self.assertEqual(self.out("wait", job), "%s succeeded\n" % job)
            running = self.out("submit", "sleep", "30").strip()
            deadline = time.time() + 10
            while json.loads(self.out("show", running, "--json"))["state"] != "running":
                self.assertLess(time.time(), deadline)
            self.run_command("retry", running, status=REFUSED)
            self.out("cancel", running)

    # --- map -------------------------------------------------------------------------------

    def test_a_map_prints_results_in_order(self):
        lines = "".join("%d\n" % i for i in range(500)).encode()
        wanted = "".join("%d\n" % (i * i) for i in range(500))
        self.assertEqual(self.out("map", "py_square", stdin=lines), wanted)
        self.assertEqual(self.out("map", "square", "-", stdin=b"[1, 2,\n3]"), "1\n4\n9\n")
        with tempfile.NamedTemporaryFile() as file:
            file.write(b"1\r\n\n 2 \n3")
            file.flush()
            self.assertEqual(self.out("map", "square", file.name), "1\n4\n9\n")
        self.assertEqual(self.out("map", "echo", "--lines", stdin=b"a b\n\"q\"\n"),
                         '"a b"\n"\\"q\\""\n')
        self.assertEqual(self.out("map", "echo", "--ndjson", stdin=b"[1]\n"), "[1]\n")
        self.assertEqual(self.out("map", "echo", stdin=b"[1]\n[2]\n"), "[1]\n[2]\n")
        self.assertEqual(self.out("map", "square", stdin=b""), "")
        _, error = self.run_command("map", "square", stdin=b"1\nx\n", status=REFUSED)
        self.assertIn("line 2", error)

    def test_failed_items_of_a_map_are_told(self):
        out, error = self.run_command(
            "map", "even_only", "--continue", stdin=b"0\n1\n2\n", status=FAILED)
        self.assertEqual(out, "0\nnull\n2\n")
        self.assertIn("1 item of job", error)
        out, _ = self.run_command(
            "map", "even_only", "--continue", "--items", stdin=b"0\n1\n", status=FAILED)
        lines = [json.loads(line) for line in out.splitlines()]
        self.assertEqual(lines[0], {"index": 0, "result": 0})
        self.assertEqual(lines[1]["error"]["type"], "ValueError")
        _, error = self.run_command("map", "even_only", stdin=b"1\n", status=FAILED)
        self.assertIn("item 0: ValueError: odd", error)

    def test_results_of_a_map_that_stopped_stay_on_the_lines_of_their_items(self):
        with tempfile.TemporaryDirectory() as folder:
            items = "".join(json.dumps([folder + "/flag", fails]) + "\n" for fails in (True, False))
            out, error = self.run_command(
                "map", "raise_flag_or_fail", "--spread", "--chunk", "1", "--pool", "thread",
                stdin=items.encode(), status=FAILED)
        self.assertEqual(out, "null\n\"raised\"\n")
        self.assertIn("item 0: ValueError", error)

    def test_lines_that_are_not_utf_8_are_refused(self):
        _, error = self.run_command("map", "echo", "--lines", stdin=b"a\ncaf\xe9\n", status=REFUSED)
        self.assertIn("line 2 is not UTF-8", error)

    def test_results_come_while_the_map_runs(self):
        with subprocess.Popen(
                [MARTLET, "map", "sleep", "--concurrency", "1", "--chunk", "1",
                 "--server", self.url],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL) as command:
            command.stdin.write(b"0.01\n30\n")
            command.stdin.close()
            self.assertEqual(command.stdout.readline(), b"0.01\n")
            self.assertIsNone(command.poll())
            # Ctrl-C ends the command, not the job.
            command.send_signal(signal.SIGINT)
            self.assertEqual(command.wait(10), -signal.SIGINT)
        job = self.out("list", "--function", "sleep", "-n", "1", "--quiet").strip()
        self.assertEqual(json.loads(self.out("show", "--json", job))["state"], "running")
        self.out("cancel", job)

    def map_command(self, *arguments, url=None):
        """A map whose items are still to come."""
        command = subprocess.Popen(
            [MARTLET, "map", *arguments, "--server", url or self.url],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for pipe in (command.stdin, command.stdout, command.stderr):
            self.addCleanup(pipe.close)
        self.addCleanup(command.kill)
        return command

    def test_results_come_while_items_come(self):
        for item, wanted, more in ((b"%d", b"%d\n", []), (b"[%d]", b"[%d]\n", ["--ndjson"])):
            command = self.map_command("echo", *more)
            for number in range(3):
                command.stdin.write(item % number + b"\n")
                command.stdin.flush()
                self.assertEqual(command.stdout.readline(), wanted % number)
            command.stdin.close()
            self.assertEqual(command.wait(20), 0)

    def test_a_silent_producer_is_waited_for(self):
        with Server(BINARY, FUNCTIONS, more=["--idle-seconds", "6"]) as server:
            command = self.map_command("square", url="http://127.0.0.1:%d" % server.port)
            time.sleep(8)
            command.stdin.write(b"12\n")
            command.stdin.close()
            self.assertEqual(command.stdout.readline(), b"144\n")
            self.assertEqual(command.wait(20), 0)

    def test_items_that_nobody_wants_are_not_read(self):
        command = self.map_command("even_only", "--chunk", "1")
        command.stdin.write(b"0\n1\n")
        command.stdin.flush()
        self.assertEqual(command.wait(20), FAILED)
        self.assertIn(b"item 1: ValueError: odd", command.stderr.read())

    def test_a_line_that_is_no_item_cancels_the_map(self):
        command = self.map_command("square", "--tag", "no item")
        command.stdin.write(b"1\n")
        command.stdin.flush()
        self.assertEqual(command.stdout.readline(), b"1\n")
        command.stdin.write(b"{\n")
        command.stdin.flush()
        self.assertEqual(command.wait(20), REFUSED)
        self.assertIn(b"line 2 is not JSON", command.stderr.read())
        job = self.out("list", "--tag", "no item", "--quiet").strip()
        self.run_command("wait", job, status=CANCELLED)

    def test_many_items_go_through_little_memory(self):
        # 33 MB of items: whole they would be several times that.
        with tempfile.NamedTemporaryFile() as file:
            for number in range(2000):
                file.write(b'"%s"\n' % (b"%x" % number).rjust(16 << 10, b"a"))
            file.flush()
            with tempfile.TemporaryFile() as out:
                command = subprocess.Popen(
                    [MARTLET, "map", "echo", file.name, "--server", self.url], stdout=out)
                most = 0
                while command.poll() is None:
                    most = max(most, high_water(command.pid))
                    time.sleep(0.005)
                self.assertEqual(command.returncode, 0)
                out.seek(0)
                file.seek(0)
                self.assertEqual(out.read(), file.read())
        print("memory of a map of 33 MB: %d MB" % most)
        self.assertGreater(most, 5)
        if not IS_SANITIZED:
            self.assertLess(most, 80)

    def test_a_terminal_shows_a_progress_bar(self):
        parent, child = pty.openpty()
        command = subprocess.Popen(
            [MARTLET, "map", "nap", "--server", self.url, "--chunk", "1"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=child)
        os.close(child)
        command.stdin.write(b"0.1\n" * 12)
        command.stdin.close()
        seen = b""
        deadline = time.time() + 20
        while time.time() < deadline:
            if select.select([parent], [], [], 1)[0]:
                try:
                    piece = os.read(parent, 4096)
                except OSError:  # The other end is closed.
                    break
                if not piece:
                    break
                seen += piece
        os.close(parent)
        self.assertEqual(command.stdout.read(), b"null\n" * 12)
        command.stdout.close()
        self.assertEqual(command.wait(10), 0)
        self.assertRegex(seen.decode(), r"█+░+ \d+ % \d+/12")
        self.assertTrue(seen.endswith(b"\r\x1b[K"), seen[-40:])

    # --- Lists -----------------------------------------------------------------------------

    def test_lists_are_filtered_and_paged(self):
        tag = "t%d" % time.time_ns()
        jobs = [self.out("submit", "echo", str(i), "--tag", tag).strip() for i in range(5)]
        self.out("wait", *jobs)
        self.assertEqual(self.out("list", "--tag", tag, "-q").split(), jobs[::-1])
        self.assertEqual(self.out("list", "--tag", tag, "-q", "-n", "2").split(), jobs[:2:-1])
        self.assertEqual(self.out("list", "--tag", tag, "--state", "failed", "-q"), "")
        self.assertEqual(
            self.out("list", "--tag", tag, "--state", "succeeded", "-q").split(), jobs[::-1])
        lines = self.out("list", "--tag", tag, "--json").splitlines()
        self.assertEqual([json.loads(line)["id"] for line in lines], jobs[::-1])
        table = self.out("list", "--tag", tag).splitlines()
        self.assertTrue(table[0].startswith("ID "), table[0])
        self.assertEqual(len(table), 6)
        every = self.out("list", "--all", "-q").split()
        self.assertEqual(len(every), len(set(every)))
        self.assertLessEqual(set(jobs), set(every))

    def test_functions_queues_and_the_view_of_all(self):
        out, error = self.run_command("functions")
        self.assertRegex(out, r"(?m)^py_square\(x\) +python +process")
        self.assertIn("broken.py: SyntaxError", error)
        self.assertTrue(self.out("functions", "word_count").startswith("word_count([path], [text])"))
        self.assertIn("QUEUE", self.out("queues"))
        self.assertIn("default", self.out("queues"))
        top = self.out("top")
        for word in ("POOL", "process", "QUEUE", "default", "RUNNING", "waiting"):
            self.assertIn(word, top)
        self.assertLessEqual(
            {"pools", "queues", "running"}, set(json.loads(self.out("top", "--once", "--json"))))

    def test_the_view_is_renewed_on_a_terminal(self):
        parent, child = pty.openpty()
        command = subprocess.Popen(
            [MARTLET, "top", "--interval", "0.1", "--server", self.url],
            stdin=subprocess.DEVNULL, stdout=child)
        os.close(child)
        seen = b""
        deadline = time.time() + 20
        while seen.count(b"\x1b[H") < 4:
            self.assertLess(time.time(), deadline)
            if select.select([parent], [], [], 1)[0]:
                seen += os.read(parent, 65536)
        command.send_signal(signal.SIGINT)
        self.assertEqual(command.wait(10), -signal.SIGINT)
        os.close(parent)
        self.assertIn(b"a second", seen)

    def test_a_bench_tells_rate_and_latency(self):
        told = json.loads(self.out("bench", "--seconds", "0.3", "--connections", "4", "--json"))
        self.assertGreater(told["jobs"], 0)
        self.assertLessEqual(told["p50_ms"], told["p99_ms"])
        self.assertLessEqual(told["p99_ms"], told["max_ms"])
        self.run_command("bench", "--function", "fail", "--args", '["x"]', status=FAILED)

    # --- Servers ---------------------------------------------------------------------------

    def test_the_token_comes_from_where_it_is_given(self):
        with tempfile.NamedTemporaryFile("w") as file:
            file.write("a-long-secret\n")
            file.flush()
            with Server(BINARY, FUNCTIONS, more=["--token-file", file.name]) as server:
                url = "http://127.0.0.1:%d" % server.port
                self.run_command("queues", "--server", url, status=UNAUTHORIZED)
                self.run_command("queues", "--server", url, "--token", "wrong-token",
                                 status=UNAUTHORIZED)
                self.out("queues", "--server", url, "--token", "a-long-secret")
                self.out("queues", "--server", url, "--token-file", file.name)
                self.out("queues", MARTLET_URL=url, MARTLET_TOKEN="a-long-secret")
                self.out("queues", MARTLET_URL=url + "/", MARTLET_TOKEN_FILE=file.name)
                self.run_command("queues", "--token-file", "/no/such/file", status=REFUSED)

    def test_unix_sockets_and_tls_are_spoken(self):
        with tempfile.TemporaryDirectory() as folder:
            path = folder + "/socket"
            with Server(BINARY, FUNCTIONS, more=["--listen", "unix:" + path]):
                self.assertEqual(
                    self.out("submit", "square", "3", "-w", "--server", "unix:" + path), "9\n")
        # A proxy of the environment is not asked.
        self.out("queues", http_proxy="http://127.0.0.1:1", ALL_PROXY="http://127.0.0.1:1")

    def test_control_characters_of_others_do_not_reach_the_terminal(self):
        _, error = self.run_command("submit", "fail", "-w", "--args", '["\\u001b[31mred"]',
                                    status=FAILED)
        self.assertIn("red", error)
        self.assertNotIn("\x1b", error)


class ManualTests(unittest.TestCase):
    def test_the_manual_page_is_that_of_this_binary(self):
        made = subprocess.run(
            [sys.executable, ROOT + "/Scripts/manual-page.py", MARTLET],
            capture_output=True, text=True, check=True).stdout
        with open(ROOT + "/Docs/martlet.1") as file:
            self.assertEqual(made, file.read(), "make manual writes it anew")

    def test_the_statuses_of_the_manual_are_those_of_the_source(self):
        with open(ROOT + "/Sources/CommandClient/ClientCommands.swift") as file:
            known = set(re.findall(r"case \w+ = (\d+)", file.read()))
        with open(ROOT + "/Docs/martlet.1") as file:
            section = file.read().split(".SH EXIT STATUS")[1].split(".SH ")[0]
        self.assertEqual(set(re.findall(r"(?m)^\.B (\d+)$", section)), known | {"0", "64"})

    def test_shells_are_told_how_to_complete(self):
        for shell in ("bash", "zsh", "fish"):
            script = subprocess.run(
                [MARTLET, "--generate-completion-script", shell],
                capture_output=True, text=True, check=True).stdout
            self.assertIn("submit", script)
            self.assertIn("idempotency-key", script)


if __name__ == "__main__":
    unittest.main()

"""The real binary, driven as its users drive it."""

import json
import os
import signal
import socket
import subprocess
import tempfile
import threading
import time
import unittest

from service import BINARY, FUNCTIONS, IS_SANITIZED, ROOT, Server, ServiceTestCase, alive


class ServerTests(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server(BINARY, FUNCTIONS)

    @classmethod
    def tearDownClass(cls):
        cls.server.__exit__()

    def test_every_pool_runs_every_runtime(self):
        for pool, function in [
                ("thread", "square"), ("process", "square"), ("async", "square"),
                ("thread", "py_square"), ("process", "py_square"), ("async", "later_square")]:
            with self.subTest(pool=pool, function=function):
                self.assertEqual(
                    self.server.run(function=function, pool=pool, args=[12]), 144)
                self.assertEqual(
                    self.server.run(function=function, pool=pool, map=[1, 2, 3]), [1, 4, 9])

    def test_bytes_come_back_as_they_were_sent(self):
        values = (b'[12345678901234567890123,1e400,-0.0,1.10,"\\u0000\\ud83d\\ude00\xc3\xa9",'
                  b'{"b":1,"a":2,"b":3}]')
        status, _, body = self.server.call(
            "POST", "/v1/jobs", b'{"function":"cat","args":' + values + b'}',
            {"Prefer": "wait=20"})
        self.assertEqual(status, 200)
        job = json.loads(body)["id"]
        self.assertEqual(self.server.call("GET", "/v1/jobs/%s/result" % job)[2], values)

    def test_a_large_map_keeps_its_order(self):
        items = list(range(20_000))
        for function in ("square", "py_square"):
            self.assertEqual(
                self.server.run(function=function, map=items), [i * i for i in items])
        self.assertEqual(self.server.run(function="py_square", map=[], concurrency=2), [])

    def test_items_and_failures_of_a_map(self):
        job = self.server.submit(
            function="even_only", map=[0, 1, 2, 3], on_error="continue", chunk=2)
        document = self.server.wait(job)
        self.assertEqual(document["state"], "succeeded")
        self.assertEqual(document["progress"], {"total": 4, "done": 4, "failed": 2, "running": 0})
        self.assertEqual(self.server.result(job), [0, None, 2, None])
        lines = [json.loads(line) for line in self.server.call(
            "GET", "/v1/jobs/%s/items" % job)[2].splitlines()]
        self.assertEqual([line["index"] for line in lines], [0, 1, 2, 3])
        self.assertEqual(lines[1]["error"]["type"], "ValueError")
        job = self.server.submit(function="even_only", map=[0, 2, 1, 4])
        document = self.server.wait(job)
        self.assertEqual(document["state"], "failed")
        self.assertEqual(document["error"]["index"], 2)
        self.assertEqual(self.server.call("GET", "/v1/jobs/%s/result" % job)[0], 409)

    def test_a_timeout_ends_what_runs(self):
        for pool, function in [("process", "spin"), ("async", "later"), ("async", "sleep")]:
            with self.subTest(function=function):
                start = time.time()
                document = self.server.wait(self.server.submit(
                    function=function, pool=pool, args=[60], timeout=0.3))
                self.assertEqual(document["state"], "failed")
                self.assertEqual(document["error"]["reason"], "timeout")
                self.assertLess(time.time() - start, 5)

    def test_a_timeout_of_a_map_is_blamed_on_its_item(self):
        for function, pool in [("sleep", "async"), ("later", "async"), ("spin", "process")]:
            with self.subTest(function=function):
                document = self.server.wait(self.server.submit(
                    function=function, pool=pool, map=[0.01, 60], timeout=0.5), 20)
                self.assertEqual(document["state"], "failed")
                self.assertEqual(document["error"]["reason"], "timeout")
                self.assertEqual(document["error"]["index"], 1)

    def test_a_slow_item_of_a_command_map_spares_the_others(self):
        job = self.server.submit(
            function="slow_if_asked", map=[0, 9, 0, 0], timeout=1, on_error="continue", chunk=4)
        document = self.server.wait(job, 30)
        self.assertEqual(document["state"], "succeeded")
        self.assertEqual(document["progress"]["failed"], 1)
        self.assertEqual(self.server.result(job), [[0], None, [0], [0]])

    def test_cancel_of_queued_and_running_jobs(self):
        waiting = self.server.submit(function="square", args=[1], delay=3600)
        self.assertEqual(self.server.call("POST", "/v1/jobs/%s/cancel" % waiting)[0], 200)
        self.assertEqual(self.server.wait(waiting)["state"], "cancelled")
        for function in ("spin", "later", "sleep"):
            with self.subTest(function=function):
                job = self.server.submit(function=function, args=[60])
                self.until(lambda: self.server.wait(job, 0)["state"] == "running")
                self.server.call("POST", "/v1/jobs/%s/cancel" % job)
                self.assertEqual(self.server.wait(job, 10)["state"], "cancelled")

    def test_a_cancel_right_after_the_start_is_answered(self):
        for pool, function in [("async", "later"), ("thread", "nap"), ("async", "sleep")]:
            jobs = []
            for _ in range(40):
                job = self.server.submit(function=function, pool=pool, args=[0.2])
                self.server.call("POST", "/v1/jobs/%s/cancel" % job)
                jobs.append(job)
            for job in jobs:
                with self.subTest(function=function):
                    state = self.server.wait(job, 10)["state"]
                    self.assertIn(state, ("cancelled", "succeeded"))
            self.assertEqual(self.server.run(function=function, pool=pool, map=[0] * 20),
                             self.server.run(function=function, pool=pool, map=[0] * 20))

    def until(self, condition, seconds=10):
        deadline = time.time() + seconds
        while not condition():
            self.assertLess(time.time(), deadline, "did not come true")
            time.sleep(0.02)

    def test_a_killed_worker_fails_only_the_job_it_ran(self):
        with tempfile.TemporaryDirectory() as folder:
            path = folder + "/pid"
            victim = self.server.submit(function="write_pid_and_spin", args=[path])
            others = [self.server.submit(function="py_square", args=[i]) for i in range(50)]
            self.until(lambda: os.path.exists(path) and os.path.getsize(path) > 0)
            with open(path) as file:
                os.kill(int(file.read()), signal.SIGKILL)
            document = self.server.wait(victim)
            self.assertEqual(document["state"], "failed")
            self.assertEqual(document["error"]["reason"], "signal")
            self.assertEqual(document["error"]["signal"], 9)
            for i, job in enumerate(others):
                document = self.server.wait(job)
                self.assertEqual((document["result"], document["attempt"]), (i * i, 1))

    def test_retries_are_counted(self):
        document = self.server.wait(self.server.submit(
            function="fail", args=["no"], retry={"max_attempts": 3, "initial": 0.05}))
        self.assertEqual((document["state"], document["attempt"]), ("failed", 3))
        job = document["id"]
        self.assertEqual(self.server.call("POST", "/v1/jobs/%s/retry" % job, b"")[0], 202)
        self.assertEqual(self.server.call("DELETE", "/v1/jobs/%s" % job)[0], 204)
        self.assertEqual(self.server.call("GET", "/v1/jobs/%s" % job)[0], 404)

    def jobs(self, function):
        return json.loads(self.server.call(
            "GET", "/v1/jobs?limit=1000&function=" + function)[2])["jobs"]

    def test_batches_are_all_or_nothing(self):
        before = len(self.jobs("echo"))
        good = {"function": "echo", "args": [1]}
        self.assertEqual(self.server.call("POST", "/v1/jobs/batch", [good, {}])[0], 422)
        self.assertEqual(len(self.jobs("echo")), before)
        status, _, body = self.server.call("POST", "/v1/jobs/batch", [good] * 100)
        self.assertEqual(status, 202)
        ids = [job["id"] for job in json.loads(body)["jobs"]]
        self.assertEqual(ids, sorted(ids))
        self.assertEqual([self.server.result(job) for job in ids[:5]], [1] * 5)
        lines = b"\n".join([json.dumps(good).encode()] * 3)
        status, _, body = self.server.call(
            "POST", "/v1/jobs/batch", lines, {"Content-Type": "application/x-ndjson"})
        self.assertEqual((status, len(json.loads(body)["jobs"])), (202, 3))

    def test_an_idempotency_key_makes_one_job(self):
        key = {"Idempotency-Key": "k-%s" % time.time()}
        body = {"function": "echo", "args": [1]}
        first = json.loads(self.server.call("POST", "/v1/jobs", body, key)[2])["id"]
        self.assertEqual(
            json.loads(self.server.call("POST", "/v1/jobs", body, key)[2])["id"], first)
        other = {"function": "echo", "args": [2]}
        self.assertEqual(self.server.call("POST", "/v1/jobs", other, key)[0], 422)

    def test_jobs_wait_while_their_file_cannot_be_imported(self):
        whole = "import martlet\n@martlet.function\ndef late():\n    return 1\n"
        with tempfile.TemporaryDirectory() as folder:
            def write(text):
                with open(folder + "/late.py", "w") as file:
                    file.write(text)

            def look(server, path):
                return json.loads(server.call("GET", path)[2])

            def until(condition):
                deadline = time.time() + 30
                while not condition():
                    self.assertLess(time.time(), deadline)
                    time.sleep(0.02)

            write(whole)
            with Server(BINARY, folder, processes=1) as server:
                path = "/v1/jobs/" + server.submit(function="late", delay=2, args=[])
                write(whole + "def half(:\n")
                until(lambda: look(server, "/v1/functions")["broken"])
                until(lambda: "error" in look(server, path))
                job = look(server, path)
                self.assertEqual((job["state"], job["attempt"]), ("queued", 0))
                self.assertIn("late.py cannot be imported: SyntaxError", job["error"]["message"])
                write(whole)
                until(lambda: look(server, path)["state"] == "succeeded")
                self.assertEqual(look(server, path)["attempt"], 1)
                # Without a file that could be mended nobody waits.
                path = "/v1/jobs/" + server.submit(function="late", delay=2, args=[])
                os.remove(folder + "/late.py")
                until(lambda: look(server, path)["state"] == "failed")
                self.assertEqual(look(server, path)["error"]["reason"], "unavailable")

    def test_a_restart_waits_for_functions_that_are_slow_to_import(self):
        with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as data:
            hold = data + "/hold"
            with open(folder + "/slow.py", "w") as file:
                file.write("import os, time, martlet\nwhile os.path.exists(%r):\n"
                           "    time.sleep(0.02)\n@martlet.function\ndef slow():\n"
                           "    return 1\n" % hold)
            with Server(BINARY, folder, data=data + "/data", processes=1) as server:
                path = "/v1/jobs/" + server.submit(function="slow", delay=1, args=[])
                server.stop()
                open(hold, "w").close()
                server.start()

                def job():
                    return json.loads(server.call("GET", path)[2])

                # Past its time, so that it waits for its function alone.
                self.until(lambda: time.time() - os.path.getmtime(hold) > 2)
                self.assertEqual((job()["state"], job()["attempt"]), ("queued", 0))
                self.assertIn("still being read", job()["error"]["message"])
                status, _, body = server.call("GET", "/readyz")
                self.assertEqual(status, 503)
                self.assertIn("still being read", json.loads(body)["detail"])
                status, fields, body = server.call("POST", "/v1/jobs", {"function": "slow"})
                problem = json.loads(body)
                self.assertEqual(
                    (status, problem["type"], problem["pointer"], fields["Retry-After"]),
                    (503, "urn:martlet:problem:functions-not-read", "/function", "1"))
                self.assertEqual(server.run(function="square", args=[3]), 9)
                os.remove(hold)
                self.assertEqual(server.wait(path.split("/")[-1])["state"], "succeeded")
                self.assertEqual(job()["attempt"], 1)
                self.assertEqual(server.call("GET", "/readyz")[0], 200)
                self.assertIn(
                    b'martlet_attempts_total{function="slow",queue="default"} 1\n',
                    server.call("GET", "/metrics")[2])

    def test_the_first_python_file_of_a_folder_is_read_when_it_comes(self):
        with tempfile.TemporaryDirectory() as folder, Server(BINARY, folder, processes=1) as server:
            with open(folder + "/first.py", "w") as file:
                file.write("import martlet\n@martlet.function\ndef first():\n    return 1\n")
            self.until(lambda: server.call("GET", "/v1/functions/first")[0] == 200)
            self.assertEqual(server.run(function="first", args=[]), 1)

    def test_a_square_beyond_all_numbers_is_a_failure(self):
        for x in b"1e400", b"-1e200":
            _, _, body = self.server.call(
                "POST", "/v1/jobs", b'{"function":"square","args":[%s]}' % x, {"Prefer": "wait=20"})
            job = json.loads(body)
            self.assertEqual((job["state"], job["error"]["type"]), ("failed", "ArgumentError"))

    def test_broken_files_are_reported(self):
        broken = json.loads(self.server.call("GET", "/v1/functions")[2])["broken"]
        self.assertEqual([os.path.basename(file["file"]) for file in broken], ["broken.py"])
        self.assertIn("SyntaxError", broken[0]["error"])
        # Who asks for what may have been in it is told.
        _, _, body = self.server.call("POST", "/v1/jobs", {"function": "gone_with_its_file"})
        self.assertIn("broken.py cannot be imported: SyntaxError", json.loads(body)["detail"])

    def test_http_keeps_to_its_rules(self):
        def raw(data):
            with socket.create_connection(("127.0.0.1", self.server.port), 5) as connection:
                connection.sendall(data)
                connection.shutdown(socket.SHUT_WR)
                answer = b""
                while True:
                    piece = connection.recv(65536)
                    if not piece:
                        return answer
                    answer += piece
        get = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
        self.assertEqual(raw(get * 3).count(b"HTTP/1.1 200 OK"), 3)
        self.assertIn(b"405 Method", raw(b"PUT /v1/jobs HTTP/1.1\r\nHost: localhost\r\n\r\n"))
        self.assertIn(b"400 Bad", raw(b"GET / HTTP/1.1\r\n\r\n"))
        head = raw(b"HEAD /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        self.assertTrue(head.endswith(b"\r\n\r\n"))
        chunked = (b"POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                   b"Transfer-Encoding: chunked\r\n\r\n"
                   b"a\r\n{\"function\r\n12\r\n\":\"echo\",\"args\":[1\r\n2\r\n]}\r\n0\r\n\r\n")
        self.assertIn(b"202 Accepted", raw(chunked))

    def test_ten_thousand_sleeps_at_once(self):
        start = time.time()
        self.assertEqual(len(self.server.run(function="later", map=[1] * 10_000)), 10_000)
        self.assertLess(time.time() - start, 20)  # not 10,000; the figure is the benchmark's


class FootprintTests(ServiceTestCase):
    settings = {"processes": 1, "threads": 1}

    @unittest.skipIf(IS_SANITIZED, "the sanitizer's own memory hides it")
    def test_code_that_only_the_start_runs_does_not_stay_in_memory(self):
        def kibibytes(name):
            with open("/proc/%d/status" % self.server.process.pid) as file:
                return next(int(line.split()[1]) for line in file if line.startswith(name + ":"))

        # Of the most that it has had, whenever this looks.
        self.until(lambda: kibibytes("VmRSS") < 0.6 * kibibytes("VmHWM"))
        self.assertEqual(self.server.run(function="square", args=[12]), 144)


class DurabilityTests(unittest.TestCase):
    def test_no_acknowledged_job_is_lost_when_the_server_is_killed(self):
        with tempfile.TemporaryDirectory() as folder:
            server = Server(BINARY, FUNCTIONS, data=folder + "/data")
            acknowledged = []
            try:
                for _ in range(5):
                    stop = threading.Event()

                    def load(server=server):
                        number = len(acknowledged)
                        while not stop.is_set():
                            try:
                                job = server.submit(function="py_square", args=[number])
                            except OSError:
                                return
                            acknowledged.append((job, number))
                            number += 1

                    threads = [threading.Thread(target=load) for _ in range(4)]
                    for thread in threads:
                        thread.start()
                    time.sleep(0.4)
                    server.kill()
                    stop.set()
                    for thread in threads:
                        thread.join()
                    server.start()
                self.assertGreater(len(acknowledged), 50)
                for job, number in acknowledged:
                    document = server.wait(job)
                    self.assertEqual(document["state"], "succeeded")
                    self.assertEqual(document["result"], number * number)
            finally:
                server.__exit__()

    def test_no_worker_outlives_the_server(self):
        with tempfile.TemporaryDirectory() as folder:
            server = Server(BINARY, FUNCTIONS, data=folder + "/data")
            path = folder + "/pid"
            server.submit(function="write_pid_and_spin", args=[path])
            deadline = time.time() + 10
            while not (os.path.exists(path) and os.path.getsize(path)):
                self.assertLess(time.time(), deadline)
                time.sleep(0.02)
            with open(path) as file:
                worker = int(file.read())
            server.kill()
            while alive(worker):
                self.assertLess(time.time(), deadline)
                time.sleep(0.02)
            server.__exit__()

    def test_a_second_server_and_an_open_address_are_refused(self):
        import subprocess
        with Server(BINARY, FUNCTIONS) as server:
            second = subprocess.run(server.command, capture_output=True, text=True, timeout=20)
            self.assertNotEqual(second.returncode, 0)
            self.assertIn("in use by another server", second.stderr)
            # With data of its own it would share the port, and clients would meet either.
            address = "127.0.0.1:%d" % server.port
            with tempfile.TemporaryDirectory() as folder:
                third = subprocess.run(
                    [os.path.join(ROOT, BINARY), "serve", "--listen", address, "--data", folder],
                    capture_output=True, text=True, timeout=20)
            self.assertEqual(third.returncode, 1)
            self.assertIn("listen on %s: Address already in use" % address, third.stderr)
        command = [os.path.join(ROOT, BINARY), "serve", "--listen", "0.0.0.0:0"]
        refused = subprocess.run(command, capture_output=True, text=True, timeout=20)
        self.assertNotEqual(refused.returncode, 0)
        self.assertIn("token", refused.stderr)

    def test_a_missing_python_is_told_before_there_are_jobs_for_it(self):
        with tempfile.TemporaryDirectory() as folder:
            command = folder + "/double"
            with open(command, "w") as file:
                file.write("#!/bin/sh\nread n; n=${n#[}; echo $((2 * ${n%]}))\n")
            os.chmod(command, 0o755)
            with Server(BINARY, folder, more=["--python", "python-7"]) as server:
                self.assertEqual(server.run(function="double", args=[21]), 42)
            with open(folder + "/sums.py", "w") as file:
                file.write("import martlet\n")
            refused = subprocess.run(
                [os.path.join(ROOT, BINARY), "serve", "--listen", "127.0.0.1:0", "--python",
                 "python-7", "--functions", folder, "--data", folder + "/data"],
                capture_output=True, text=True, timeout=20)
            self.assertEqual(refused.returncode, 1)
            self.assertIn(
                'there is no program "python-7" (--python), which %s/sums.py wants' % folder,
                refused.stderr)

    def test_a_token_is_asked_of_all_but_health_checks(self):
        with tempfile.NamedTemporaryFile("w") as file:
            file.write("a-long-secret\n")
            file.flush()
            with Server(BINARY, FUNCTIONS, more=["--token-file", file.name]) as server:
                self.assertEqual(server.call("GET", "/healthz")[0], 200)
                for sent in ({}, {"Authorization": "Bearer a-long-secre"},
                             {"Authorization": "Bearer a-long-secret2"}):
                    self.assertEqual(server.call("GET", "/v1/jobs", headers=sent)[0], 401)
                right = {"Authorization": "Bearer a-long-secret"}
                self.assertEqual(server.call("GET", "/v1/jobs", headers=right)[0], 200)
                # The body of a refused request is neither asked for nor read.
                with socket.create_connection(("127.0.0.1", server.port), 5) as connection:
                    connection.sendall(
                        b"POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Length: 60000000\r\n"
                        b"Expect: 100-continue\r\n\r\n")
                    answer = connection.recv(4096)
                    self.assertTrue(answer.startswith(b"HTTP/1.1 401"), answer)
                    self.assertIn(b"Connection: close", answer)

    def test_sigterm_ends_the_server_well(self):
        with Server(BINARY, FUNCTIONS) as server:
            job = server.submit(function="nap", args=[0.5])
            self.assertEqual(server.stop(), 0)
            server.start()
            self.assertEqual(server.wait(job)["state"], "succeeded")

    def test_a_map_stopped_in_the_middle_is_finished_without_running_items_again(self):
        with tempfile.TemporaryDirectory() as folder:
            server = Server(BINARY, FUNCTIONS, data=folder + "/data", more=["--drain-seconds", "0"])
            try:
                ran = folder + "/ran"
                items = [[i, ran] for i in range(120)]
                job = server.submit(function="noted_square", map=items, spread=True, chunk=3)
                deadline = time.time() + 10
                while not os.path.exists(ran) or os.path.getsize(ran) < 80:
                    self.assertLess(time.time(), deadline)
                    time.sleep(0.01)
                server.stop()
                server.start()
                self.assertEqual(server.result(job), [i * i for i in range(120)])
                document = server.wait(job)
                self.assertEqual((document["attempt"], document["progress"]["done"]), (1, 120))
                with open(ran) as file:
                    times = len(file.readlines())
                self.assertLess(times, 120 + 2 * 3 + 1)  # the chunks under way at the stop
            finally:
                server.__exit__()

    def test_what_runs_at_the_stop_is_put_back_uncounted(self):
        with tempfile.TemporaryDirectory() as folder:
            server = Server(
                BINARY, FUNCTIONS, data=folder + "/data", more=["--drain-seconds", "0"])
            try:
                nap = 4.5 if IS_SANITIZED else 1.5
                jobs = [
                    server.submit(function="sleep", args=[nap]),
                    server.submit(function="sleep", pool="thread", args=[nap]),
                    server.submit(function="later", args=[nap]),
                    server.submit(function="slow_if_asked", args=[nap]),
                    server.submit(function="nap", args=[nap])]
                deadline = time.time() + 10
                while any(server.wait(job, 0)["state"] != "running" for job in jobs):
                    self.assertLess(time.time(), deadline)
                    time.sleep(0.01)
                start = time.time()
                self.assertEqual(server.stop(), 0)
                self.assertLess(time.time() - start, nap * 2 / 3)
                server.start()
                for job in jobs:
                    document = server.wait(job)
                    self.assertEqual(
                        (document["state"], document["attempt"]), ("succeeded", 1), document)
            finally:
                server.__exit__()

    def test_past_the_bound_of_waiting_jobs_submissions_are_refused(self):
        with Server(BINARY, FUNCTIONS, more=["--max-queued", "3"]) as server:
            later = {"function": "echo", "args": [1], "delay": 3600}
            ids = [server.submit(**later) for _ in range(3)]
            status, headers, body = server.call("POST", "/v1/jobs", later)
            self.assertEqual(status, 503)
            self.assertIn("Retry-After", headers)
            self.assertIn("--max-queued", json.loads(body)["detail"])
            server.call("POST", "/v1/jobs/%s/cancel" % ids[0])
            server.submit(**later)
            self.assertEqual(server.call("POST", "/v1/jobs", later)[0], 503)

    def test_a_full_queue_leaves_the_others_open_also_after_a_restart(self):
        server = Server(BINARY, FUNCTIONS, more=["--max-queued-per-queue", "2"])
        try:
            later = {"function": "echo", "args": [1], "delay": 3600, "queue": "bulk"}
            ids = [server.submit(**later) for _ in range(2)]
            self.assertEqual(server.stop(), 0)
            server.start()
            status, headers, body = server.call("POST", "/v1/jobs", later)
            self.assertEqual(status, 503)
            self.assertIn("Retry-After", headers)
            self.assertIn('"bulk"', json.loads(body)["detail"])
            self.assertIn("--max-queued-per-queue", json.loads(body)["detail"])
            server.submit(function="echo", args=[1], delay=3600)
            server.call("DELETE", "/v1/jobs/%s" % ids[0])
            server.submit(**later)
        finally:
            server.__exit__()

    def test_changed_files_are_picked_up(self):
        with tempfile.TemporaryDirectory() as folder:
            path = folder + "/f.py"

            def write(number):
                with open(path + ".new", "w") as file:
                    file.write("import martlet\n@martlet.function\ndef which():\n    return %d\n"
                               % number)
                os.replace(path + ".new", path)

            write(1)
            with Server(BINARY, folder) as server:
                self.assertEqual(server.run(function="which"), 1)
                write(2)
                deadline = time.time() + 10
                while server.run(function="which") != 2:
                    self.assertLess(time.time(), deadline)
                    time.sleep(0.1)


if __name__ == "__main__":
    unittest.main()

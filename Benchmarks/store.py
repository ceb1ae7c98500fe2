"""Measures the store when it holds a great many jobs; standard library only.

    python3 Benchmarks/store.py [--jobs 1000000] [--queued 5000000] [--binary FILE] [SECTION ...]

Sections:
  lists    times of the lists, filters and searches of the API with so many finished jobs, and of /v1/queues
  queued   time from start to ready and memory with so many jobs that wait, a million of them delayed
  stalls   the longest submission while others submit as many jobs as the server takes

The rows are written into the file that the server has made, not submitted: that would take minutes, and retention
times of a week. `martlet doctor` then says whether they are as the server would have written them.
"""
import argparse
import http.client
import itertools
import json
import os
import random
import re
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import threading
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, ROOT + "/Examples")
from server import Server  # noqa: E402

FUNCTIONS = [("resize", "default"), ("train", "night"), ("fetch_page", "default"), ("report", "mail")]
STATES = ["succeeded"] * 97 + ["failed"] * 2 + ["cancelled"]


def rows(count, draw):
    """Rows of `jobs`, the newest created now, one a millisecond, with what `draw(number)` says of each."""
    now = int(time.time() * 1000)
    for number in range(count):
        created = now - (count - number)
        state, function, queue, tags, not_before = draw(number)
        ended = created * 1000 + 5000 if state != "queued" else None
        document = json.dumps({"function": function, "args": [number], **({"tags": tags} if tags else {})})
        yield (created << 12, -(1 << 63) | random.getrandbits(62), state, function, queue, "process", 0,
               0 if state == "queued" else 1, created * 1000, not_before, not_before, ended, ended,
               ended and ended + 7 * 86400 * 1000000, json.dumps(tags) if tags else None,
               None if state != "failed" else b'{"reason":"exception","type":"ValueError","message":"no"}',
               document.encode(), b"%d" % number if state == "succeeded" else None)


FILL = """
INSERT INTO buckets (state, function, queue, pool, priority, delayed, count)
    SELECT state, function, queue, pool, 0, wakes_at IS NOT NULL AS late, count(*) FROM jobs
    GROUP BY state, function, queue, late;
UPDATE jobs SET bucket = (SELECT id FROM buckets WHERE state = jobs.state AND function = jobs.function
    AND queue = jobs.queue AND delayed = (jobs.wakes_at IS NOT NULL));
INSERT INTO job_tags SELECT value, bucket, jobs.id FROM jobs, json_each(jobs.tags) WHERE jobs.tags IS NOT NULL;
"""


def fill(binary, folder, count, draw):
    """Makes a store of so many jobs."""
    with Server(binary, None, data=folder):
        pass
    database = sqlite3.connect(folder + "/martlet.sqlite")
    database.executescript("PRAGMA synchronous = OFF; PRAGMA cache_size = -500000; DROP INDEX jobs_bucket")
    database.executemany(
        "INSERT INTO jobs (id, uuid_low, bucket, state, function, queue, pool, priority, attempt, created_at,"
        " not_before, wakes_at, started_at, ended_at, expires_at, items_done, items_failed, tags, failure,"
        " submission, result) VALUES (?, ?, 0, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, 0, ?, ?, ?, ?)", rows(count, draw))
    database.executescript(FILL + "CREATE INDEX jobs_bucket ON jobs (bucket)")
    database.commit()
    database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    database.close()


def doctor(binary, folder):
    began = time.perf_counter()
    said = subprocess.run([binary, "doctor", "--data", folder], stdout=subprocess.PIPE, text=True)
    print("doctor: %s (%.1f s)" % (said.stdout.strip(), time.perf_counter() - began))
    if said.returncode != 0:
        sys.exit("the rows are not as the server would have written them")


def memory(pid):
    """MiB that the process holds by itself."""
    with open("/proc/%d/smaps_rollup" % pid) as file:
        return int(re.search(r"Private_Dirty:\s+(\d+)", file.read())[1]) / 1024


class Client:
    def __init__(self, server):
        self.connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=120)

    def timed(self, method, path, body=None):
        """Milliseconds until the whole answer is there, and the answer."""
        began = time.perf_counter()
        self.connection.request(method, path, body, {"Content-Type": "application/json"} if body else {})
        answer = self.connection.getresponse()
        content = answer.read()
        took = (time.perf_counter() - began) * 1000
        if answer.status not in (200, 202):
            sys.exit("%s: %d %s" % (path, answer.status, content[:300]))
        return took, content


def lists_section(options, folder):
    def draw(number):
        chance = random.Random(number)
        function, queue = FUNCTIONS[min(3, int(chance.expovariate(1)))]
        tags = [name for name, part in (("all", 1), ("half", 0.5), ("rare", 0.0001)) if chance.random() < part]
        return chance.choice(STATES), function, queue, tags, None

    fill(options.binary, folder, options.jobs, draw)
    doctor(options.binary, folder)
    queries = [""]
    for state, function, queue, tag in itertools.product(
            ["", "state=succeeded", "state=failed", "state=queued"], ["", "function=report", "function=nothing"],
            ["", "queue=mail", "queue=night"], ["", "tag=half", "tag=rare"]):
        queries.append("&".join(filter(None, (state, function, queue, tag))))
    with Server(options.binary, None, data=folder) as server:
        client = Client(server)
        newest = json.loads(client.timed("GET", "/v1/jobs?limit=1")[1])["jobs"][0]["id"]
        queries += ["search=" + text for text in (newest, newest[:8], "0", "re", "rare", "half", "zzz")]
        worst, times = (0, ""), []
        for query in dict.fromkeys(queries):
            path = "/v1/jobs?limit=50&" + query
            for page in range(4):  # the newest, the next, and two from the midst
                took, content = client.timed("GET", path)
                times.append(took)
                worst = max(worst, (took, path))
                cursor = json.loads(content)["next_cursor"]
                if not cursor:
                    break
                if page == 1:
                    middle = int(time.time() * 1000) - options.jobs // 2
                    cursor = "%08x-%04x-7000-8000-000000000000" % (middle >> 16, middle & 0xffff)
                path = "/v1/jobs?limit=50&%s&cursor=%s" % (query, cursor)
        print("lists: %d requests, median %.2f ms, slowest %.2f ms (%s)" % (
            len(times), statistics.median(times), *worst))
        counts = [client.timed("GET", "/v1/queues")[0] for _ in range(20)]
        print("/v1/queues: median %.2f ms, slowest %.2f ms" % (statistics.median(counts), max(counts)))
    if worst[0] > 50:
        sys.exit("a list took over 50 ms")


def queued_section(options, folder):
    late = int(time.time() * 1000000) + 86400 * 1000000
    delayed = min(1000000, options.queued // 5)
    functions = folder + "-functions"
    os.mkdir(functions)
    with open(functions + "/nap.py", "w") as file:
        file.write("import time\nimport martlet\n\n@martlet.function()\ndef nap(number):\n    time.sleep(3600)\n")
    fill(options.binary, folder, options.queued, lambda number: (
        "queued", "nap", "default", [], late if number < delayed else None))
    doctor(options.binary, folder)
    began = time.perf_counter()
    with Server(options.binary, functions, data=folder, more=["--max-queued", "10000000"]) as server:
        print("queued: ready after %.2f s with %d jobs, %d of them delayed" % (
            time.perf_counter() - began, options.queued, delayed))
        client = Client(server)
        levels = []
        for _ in range(10):
            client.timed("POST", "/v1/jobs/batch", json.dumps([{"function": "square", "args": [1]}] * 1000))
            time.sleep(1)
            levels.append(memory(server.process.pid))
        print("memory while it works: %s MiB" % " ".join("%.0f" % level for level in levels))
        print("submission: %.2f ms" % min(client.timed(
            "POST", "/v1/jobs", '{"function":"square","args":[1]}')[0] for _ in range(20)))


def stalls_section(options, folder):
    body = json.dumps([{"function": "square", "args": [12345], "delay": 3600}] * 200)
    with Server(options.binary, None, data=folder, more=["--max-queued", "10000000"]) as server:
        end = time.monotonic() + options.seconds
        sent = []

        def post():
            client, count = Client(server), 0
            while time.monotonic() < end:
                client.timed("POST", "/v1/jobs/batch", body)
                count += 200
                time.sleep(max(0, 200 * 4 / options.rate - 0.003))
            sent.append(count)

        threads = [threading.Thread(target=post) for _ in range(4)]
        for thread in threads:
            thread.start()
        client, times = Client(server), []
        while time.monotonic() < end:
            times.append(client.timed("POST", "/v1/jobs", '{"function":"square","args":[1],"delay":3600}')[0])
        for thread in threads:
            thread.join()
        times.sort()
        print("stalls: %.0f jobs/s beside; a submission took %.1f ms at the median, %.1f ms at 99 %%, %.1f ms at most"
              % (sum(sent) / options.seconds, statistics.median(times), times[int(len(times) * 0.99)], times[-1]))


SECTIONS = {"lists": lists_section, "queued": queued_section, "stalls": stalls_section}


def main():
    parser = argparse.ArgumentParser(description="The store with a great many jobs.")
    parser.add_argument("sections", nargs="*", metavar="SECTION", help=", ".join(SECTIONS))
    parser.add_argument("--jobs", type=int, default=1000000)
    parser.add_argument("--queued", type=int, default=5000000)
    parser.add_argument("--seconds", type=int, default=20, help="of the section stalls")
    parser.add_argument("--rate", type=int, default=15000, help="jobs a second of the section stalls")
    parser.add_argument("--binary", default=ROOT + "/.build/release/martlet")
    options = parser.parse_args()
    for name in options.sections or SECTIONS:
        with tempfile.TemporaryDirectory() as folder:
            SECTIONS[name](options, folder + "/data")


if __name__ == "__main__":
    main()

"""Measures Martlet beside its peers in one run and prints the table of Benchmarks.md.

    .peers/venv/bin/python bench.py [--runs 3] [--seconds 5] [SECTION ...]

Sections: http, latency, batch, map, cpu, sleep, fetch, footprint. Everything runs on this machine's cores, the load
included, so that only the ratios of one run say anything; each figure is the median of the runs.
"""
import argparse
import http.client
import json
import os
import platform
import re
import sqlite3
import statistics
import subprocess
import sys
import threading
import time

from programs import BURN, ITEMS
from stacks import BIN, DATA, HERE, HOME, FastAPICelery, FastAPIPool, Martlet, Pages, start_celery, Stack

measured = {}  # (row, who) -> values of the runs


def note(row, who, value):
    measured.setdefault((row, who), []).append(value)
    print("    %-34s %-30s %s" % (row, who, "%.4g" % value), file=sys.stderr, flush=True)


def median(row, who):
    return statistics.median(measured[row, who])


def program(case, **environment):
    answer = subprocess.run(
        [BIN + "/python", HERE + "/programs.py", case], check=True, capture_output=True, text=True,
        env={**os.environ, **environment})
    return json.loads(answer.stdout)["seconds"]


def jobload(stack, connections, seconds, poll_ms):
    answer = subprocess.run(
        [HOME + "/jobload", str(stack.port), str(connections), str(seconds), str(poll_ms), stack.submit,
         stack.body("square", 12345), stack.prefix, stack.id_key, stack.done, stack.header],
        check=True, capture_output=True, text=True)
    load = json.loads(answer.stdout)
    if load["errors"]:
        sys.exit("%s: %d errors: %s" % (stack.name, load["errors"], answer.stderr))
    return load


def wrk(stack, path, seconds, post=None):
    script = ["-s", HERE + "/post.lua"] if post else []
    answer = subprocess.run(
        ["wrk", "-t1", "-c64", "-d%ds" % seconds, "--timeout", "20s", *script,
         "http://127.0.0.1:%d%s" % (stack.port, path)],
        check=True, capture_output=True, text=True, env={**os.environ, "BODY": post or ""}).stdout
    if "Non-2xx" in answer:
        sys.exit("%s: %s" % (stack.name, answer))
    return float(re.search(r"Requests/sec:\s+([\d.]+)", answer)[1])


# --- Sections ---------------------------------------------------------------------------------

def http_section(options):
    for kind in (Martlet, FastAPICelery, FastAPIPool):
        with kind() as stack:
            polls = [0] if stack.header else [0, 5]
            best = max(jobload(stack, 64, options.seconds, poll)["jobs_s"] for poll in polls)
            note("jobs/s, submit to result", stack.name, best)
            key = json.loads(stack.request("POST", stack.submit, stack.body("square", 3))[1])[stack.id_key]
            time.sleep(0.5)
            note("GET status/s", stack.name, wrk(stack, stack.prefix + key, options.seconds))
        with kind() as stack:
            body = stack.body("square", 12345)
            note("POST /s, submit only", stack.name, wrk(stack, stack.submit, options.seconds, body))


def latency_section(options):
    with Martlet() as stack:
        note("latency p50, ms", "Martlet", jobload(stack, 1, options.seconds, 0)["p50_ms"])
    note("latency p50, ms", "ProcessPoolExecutor", program("executor_latency") * 1e3)
    stack = Stack()
    try:
        start_celery(stack)
        note("latency p50, ms", "Celery", program("celery_latency", BENCH_REDIS=stack.redis) * 1e3)
    finally:
        stack.__exit__()


def batch_section(options):
    jobs, rounds, clients = 1000, 30, 4
    with Martlet() as stack:
        body = "[" + ",".join([stack.body("square", 12345)] * jobs) + "]"

        def post():
            connection = http.client.HTTPConnection("127.0.0.1", stack.port)
            for _ in range(rounds):
                connection.request("POST", "/v1/jobs/batch", body, {"Content-Type": "application/json"})
                response = connection.getresponse()
                response.read()
                assert response.status == 202, response.status
        threads = [threading.Thread(target=post) for _ in range(clients)]
        began = time.perf_counter()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        note("jobs/s by batches of 1,000", "Martlet", jobs * rounds * clients / (time.perf_counter() - began))
    note("jobs/s by batches of 1,000", "SQLite alone", sqlite_rows(jobs, rounds * clients))


def sqlite_rows(count, rounds):
    """Rows a second of the shape of a job, `count` a commit, through Python's sqlite3."""
    os.makedirs(DATA, exist_ok=True)
    database = sqlite3.connect(DATA + "/rows.sqlite", isolation_level=None)
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("PRAGMA synchronous = FULL")
    database.execute(
        "CREATE TABLE jobs (id INTEGER PRIMARY KEY, low INTEGER, state TEXT, function TEXT, queue TEXT,"
        " pool TEXT, priority INTEGER, attempt INTEGER, created_at INTEGER, submission BLOB)")
    database.execute("CREATE INDEX queued ON jobs (pool, priority DESC, id) WHERE state = 'queued'")
    document, key = b'{"function":"square","args":[12345]}', 0
    began = time.perf_counter()
    for _ in range(rounds):
        database.execute("BEGIN IMMEDIATE")
        database.executemany(
            "INSERT INTO jobs VALUES (?, ?, 'queued', 'square', 'default', 'process', 0, 0, ?, ?)",
            ((key + n, 77, 1, document) for n in range(count)))
        database.execute("COMMIT")
        key += count
    seconds = time.perf_counter() - began
    database.close()
    return key / seconds


def run_map(stack, function, items, **members):
    """Seconds from the POST to the last byte of the result, and the result."""
    body = json.dumps({"function": function, "map": items, **members}, separators=(",", ":"))
    began = time.perf_counter()
    status, answer = stack.request("POST", "/v1/jobs", body, Prefer="wait=120")
    key = json.loads(answer)["id"]
    status, answer = stack.request("GET", "/v1/jobs/%s/result" % key)
    seconds = time.perf_counter() - began
    if status != 200:
        sys.exit("map: %d %s" % (status, answer[:500]))
    return seconds, json.loads(answer)


def map_section(options):
    row, count = "items/s, map of square", len(ITEMS)
    with Martlet() as stack:
        run_map(stack, "py_square", [1, 2])
        for name, function, members in [
                ("Martlet", "py_square", {}), ("Martlet, chunk 1", "py_square", {"chunk": 1}),
                ("Martlet, native", "square", {})]:
            seconds, result = run_map(stack, function, ITEMS, **members)
            assert result == [x * x for x in ITEMS]
            note(row, name, count / seconds)
    note(row, "joblib loky", count / program("loky_map"))
    note(row, "multiprocessing.Pool.map", count / program("pool_map"))
    note(row, "Pool.map, chunksize 1", count / program("pool_map_chunk1"))


def cpu_section(options):
    row = "s, 8 tasks of 1 s of Python"
    with Martlet() as stack:
        run_map(stack, "burn", [1, 1])
        note(row, "Martlet", run_map(stack, "burn", [BURN] * 8)[0])
    note(row, "ProcessPoolExecutor", program("executor_burn"))
    note(row, "serial", program("serial_burn"))


def sleep_section(options):
    row = "s, 10,000 sleeps of 1 s"
    with Martlet() as stack:
        run_map(stack, "nap", [0.01])
        note(row, "Martlet", run_map(stack, "nap", [1] * 10_000)[0])
    note(row, "asyncio", program("asyncio_sleeps"))


def fetch_section(options):
    """2,000 pages of a local nginx over 100 connections, by one map job and by its peers."""
    count = 2000
    with Pages() as pages, Martlet("--allow-targets", "127.0.0.1") as stack:
        for delay in (2, 10, 20, 50):
            row, url = "pages/s, %d ms each" % delay, pages.url(delay)
            seconds, result = run_map(
                stack, "fetch", [url + str(n) for n in range(count)], concurrency=100)
            assert [page["url"] for page in result] == [url + str(n) for n in range(count)]
            assert {len(page["text"]) for page in result} == {2048}
            note(row, "Martlet", count / seconds)
            note(row, "aiohttp", count / program(
                "aiohttp_fetch", BENCH_URL=url, BENCH_PAGES=str(count)))
            note(row, "curl --parallel", count / curl_parallel(url, count))
        note("MiB after fetching (PSS)", "Martlet", stack.memory())


def curl_parallel(url, count):
    began = time.perf_counter()
    answer = subprocess.run(
        ["curl", "-s", "--parallel", "--parallel-immediate", "--parallel-max", "100",
         "-o", "/dev/null", "-w", "%{size_download}\\n", "%s[1-%d]" % (url, count)],
        check=True, capture_output=True, text=True)
    seconds = time.perf_counter() - began
    assert answer.stdout.split() == ["2048"] * count
    return seconds


def footprint_section(options):
    for kind in (Martlet, FastAPICelery, FastAPIPool):
        with kind() as stack:
            note("s to the first accepted job", stack.name, stack.seconds_to_accept)
            note("s to the first result", stack.name, stack.seconds_to_result)
            time.sleep(3)
            note("MiB idle (PSS)", stack.name, stack.memory())


SECTIONS = {
    "http": http_section, "latency": latency_section, "batch": batch_section, "map": map_section,
    "cpu": cpu_section, "sleep": sleep_section, "fetch": fetch_section,
    "footprint": footprint_section,
}

# What must be reached: row, ours, theirs, the ratio ours to theirs, and whether more is better.
TARGETS = [
    ("jobs/s, submit to result", "Martlet", "FastAPI + Celery + Redis", 20, True),
    ("jobs/s, submit to result", "Martlet", "FastAPI + ProcessPoolExecutor", 10, True),
    ("POST /s, submit only", "Martlet", "FastAPI + Celery + Redis", 40, True),
    ("POST /s, submit only", "Martlet", "FastAPI + ProcessPoolExecutor", 6, True),
    ("jobs/s by batches of 1,000", "Martlet", "SQLite alone", 0.5, True),
    ("latency p50, ms", "Martlet", "Celery", 0.25, False),
    ("latency p50, ms", "Martlet", "ProcessPoolExecutor", 3, False),
    ("items/s, map of square", "Martlet", "joblib loky", 3, True),
    ("items/s, map of square", "Martlet", "multiprocessing.Pool.map", 1 / 3, True),
    ("items/s, map of square", "Martlet, chunk 1", "Pool.map, chunksize 1", 1, True),
    ("items/s, map of square", "Martlet, native", "multiprocessing.Pool.map", 1, True),
    ("s, 8 tasks of 1 s of Python", "Martlet", "ProcessPoolExecutor", 1.03, False),
    ("s, 10,000 sleeps of 1 s", "Martlet", "asyncio", 1.5, False),
    ("pages/s, 2 ms each", "Martlet", "aiohttp", 1.5, True),
    ("pages/s, 10 ms each", "Martlet", "aiohttp", 1.5, True),
    ("pages/s, 20 ms each", "Martlet", "aiohttp", 1, True),
    ("pages/s, 50 ms each", "Martlet", "aiohttp", 1.5, True),
    ("MiB idle (PSS)", "Martlet", "FastAPI + Celery + Redis", 1 / 3, False),
    ("s to the first accepted job", "Martlet", None, 0.2, False),
]


def tell():
    print("| work | who | median | of runs |\n| --- | --- | ---: | --- |")
    for (row, who), values in measured.items():
        spread = " ".join("%.4g" % value for value in sorted(values))
        print("| %s | %s | %.4g | %s |" % (row, who, statistics.median(values), spread))
    print("\n| target | ratio | asked | reached |\n| --- | ---: | ---: | --- |")
    for row, ours, theirs, asked, more in TARGETS:
        if (row, ours) not in measured:
            continue
        value = median(row, ours) / (median(row, theirs) if theirs else 1)
        reached = value >= asked if more else value <= asked
        print("| %s: %s%s | %.3g | %s %.3g | %s |" % (
            row, ours, " / " + theirs if theirs else "", value, "≥" if more else "≤", asked,
            "yes" if reached else "**no**"))


def main():
    parser = argparse.ArgumentParser(description="Martlet beside its peers, in one run.")
    parser.add_argument("sections", nargs="*", metavar="SECTION", help=", ".join(SECTIONS))
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=5, help="of each load")
    options = parser.parse_args()
    unknown = set(options.sections) - set(SECTIONS)
    if unknown:
        parser.error("no section " + ", ".join(unknown))
    print("%s, %s, %d cores, %s runs" % (
        time.strftime("%Y-%m-%d"), platform.platform(), os.cpu_count(), options.runs))
    for run in range(options.runs):
        print("  run %d" % (run + 1), file=sys.stderr)
        for name in options.sections or SECTIONS:
            SECTIONS[name](options)
    tell()


if __name__ == "__main__":
    main()

"""Measures Martlet's HTTP server beside nginx, Hummingbird and FlyingFox in one run.

    python3 bench.py [--runs 5] [--seconds 4] [--only Martlet,nginx] [WORK ...]

Server and load share this machine's cores, so that only the ratios of one run say anything; each
figure is the median of the runs. CPU is the server's own time divided by its requests, which
sharing disturbs least.
"""

import argparse
import os
import platform
import re
import resource
import socket
import statistics
import subprocess
import sys
import tempfile
import time

from servers import ALL, HERE, LARGE, Martlet, MartletWithoutStore

UNITS = {"us": 1e-3, "ms": 1.0, "s": 1e3, "m": 6e4}
figures = {}  # (work, who, what) -> values of the runs
failures = []


def note(work, who, **values):
    for what, value in values.items():
        figures.setdefault((work, who, what), []).append(value)
    print("    %-30s %-21s %s" % (work, who, "  ".join(
        "%s %.4g" % item for item in values.items())), file=sys.stderr, flush=True)


def median(work, who, what):
    values = figures.get((work, who, what))
    return statistics.median(values) if values else None


def loaded(work, server, command, read, environment=None):
    """Runs a load, and notes what `read` finds in its output and the server's CPU a request."""
    before = server.cpu_seconds()
    answer = subprocess.run(
        command, capture_output=True, text=True, timeout=180,
        env={**os.environ, **(environment or {})})
    used = server.cpu_seconds() - before
    values = read(answer.stdout) if answer.returncode == 0 else None
    if values is None:
        failures.append("%s, %s: %s" % (work, server.name, (answer.stdout + answer.stderr)[-300:]))
        return
    count = values.pop("count")
    note(work, server.name, **values, cpu=used / count * 1e6)


def read_wrk(out, may_close=False):
    """Figures of wrk; None when more than one in a thousand failed.

    `may_close`: a server that closes without having said so, which wrk calls an error of reading,
    has still answered.
    """
    wrong = re.search(r"Non-2xx or 3xx responses: (\d+)", out)
    broken = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", out)
    count = int(re.search(r"(\d+) requests in", out)[1])
    bad = int(wrong[1]) if wrong else 0
    if broken:
        bad += sum(int(broken[kind]) for kind in (1, 3, 4) + (() if may_close else (2,)))
    if count == 0 or bad > count / 1000:
        return None
    latency = {int(share): float(value) * UNITS[unit] for share, value, unit in re.findall(
        r"(\d+)%\s+([\d.]+)(us|ms|s|m)\b", out)}
    return {"count": count, "rate": float(re.search(r"Requests/sec:\s+([\d.]+)", out)[1]),
            "p50": latency[50], "p99": latency[99]}


def wrk(work, server, path, seconds, connections=64, body=None, method="POST",
        fields=()):
    # One thread of wrk is at its own limit before the faster servers are at theirs.
    command = ["wrk", "-t%d" % os.cpu_count(), "-c%d" % connections, "-d%ds" % seconds, "--timeout", "20s",
               "--latency"]
    for field in fields:
        command += ["-H", field]
    if body:
        command += ["-s", HERE + "/send.lua"]
    command.append("http://127.0.0.1:%d%s" % (server.port, path))
    with tempfile.NamedTemporaryFile() as file:
        file.write(body or b"")
        file.flush()
        loaded(work, server, command, lambda out: read_wrk(out, bool(fields)),
               {"BODY_FILE": file.name, "METHOD": method})


# --- Works ------------------------------------------------------------------------------------

def get(work, server, seconds):
    wrk(work, server, server.get, seconds)


def get_by_few(work, server, seconds):
    """Four connections, which SO_REUSEPORT may share out unevenly among the loops."""
    wrk(work, server, server.get, seconds, connections=4)


def post(work, server, seconds):
    body = (b'{"function":"echo","args":["%s"],"tags":["bench"],"priority":1,"timeout":30.0,'
            b'"delay":3600}')
    body %= b"x" * (200 - len(body) + 2)
    assert len(body) == 200
    wrk(work, server, server.post, seconds, body=body)


def connect(work, server, seconds):
    wrk(work, server, server.get, seconds, fields=["Connection: close"])


def let_go(opened):
    """Closes connections, and waits until the server has seen it, so that the next load is alone."""
    for connection in opened:
        connection.close()
    time.sleep(1)


def hold(server, count):
    """Opens connections that have asked once; those that were answered, and all."""
    opened, answered = [], 0
    for _ in range(count):
        connection = socket.create_connection(("127.0.0.1", server.port), 10)
        opened.append(connection)
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
    for connection in opened:
        connection.settimeout(5)
        try:
            answered += b" 200 " in connection.recv(4096)
        except OSError:
            break
    return opened, answered


def idle_and_active(work, server, seconds):
    opened, answered = hold(server, 1_000)
    if answered == 1_000:
        wrk(work, server, server.get, seconds)
    else:
        failures.append("%s, %s: %d answered" % (work, server.name, answered))
    let_go(opened)


def large_in(work, server, seconds):
    body = b'{"function":"echo","delay":3600,"args":["%s"]}' % (b"x" * LARGE)
    wrk(work, server, server.large_in, seconds, connections=4, body=body[:LARGE - 3] + b'"]}',
        method=server.method_in)


def large_out(work, server, seconds):
    server.prepare_large()
    wrk(work, server, server.large_out, seconds, connections=4)


def http2(work, server, seconds):
    if server.port2 is None:
        return

    def read(out):
        found = re.search(r"finished in .*?, ([\d.]+) req/s", out)
        done = re.search(r"(\d+) succeeded, (\d+) failed, (\d+) errored", out)
        if not found or not done or int(done[1]) == 0 or int(done[2]) + int(done[3]):
            return None
        return {"count": int(done[1]), "rate": float(found[1])}

    url = "http://127.0.0.1:%d%s" % (server.port2, server.get)
    load = ["h2load", "-t1", "-c8", "-m32"]
    loaded(work, server, [*load, "-D%d" % seconds, url], read)
    # h2load prints no percentiles: a shorter run with a log tells them.
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run([*load, "-n40000", "--log-file", folder + "/log", url],
                              capture_output=True, timeout=120)
        if done.returncode == 0 and os.path.exists(folder + "/log"):
            with open(folder + "/log") as log:
                times = sorted(int(line.split()[2]) / 1e3 for line in log
                               if line.split()[1] == "200")
            if times:
                note(work, server.name, p50=times[len(times) // 2],
                     p99=times[len(times) * 99 // 100])


def memory(work, server, seconds):
    note(work, server.name, value=server.memory())


def memory_afterwards(work, server, seconds):
    time.sleep(1)  # for the connections of the load before to be seen to have gone
    memory(work, server, seconds)


def memory_of_idle(work, server, seconds):
    opened, answered = hold(server, 10_000)
    if answered == 10_000:
        note(work, server.name, value=server.memory())
    else:
        failures.append("%s, %s: %d of 10,000 answered" % (work, server.name, answered))
    let_go(opened)


START, GET, POST, CONNECT, IDLE, H2, MANY, END = (
    "at the start", "GET", "POST of 200 bytes", "new connection a request",
    "GET, 1,000 idle + 64 active", "HTTP/2 GET", "with 10,000 idle connections",
    "after all loads")
WORKS = {
    "memory": (START, memory), "many": (MANY, memory_of_idle), "get": (GET, get),
    "few": ("GET, 4 connections", get_by_few), "connect": (CONNECT, connect),
    "idle": (IDLE, idle_and_active), "h2": (H2, http2),
    # Behind the others: Martlet's store has work with 100,000 jobs that goes on when the load has ended.
    "post": (POST, post), "in": ("10 MB in", large_in), "out": ("10 MB out", large_out), "end": (END, memory_afterwards),
}

# What must be reached: work, figure, theirs, the ratio or value asked, and whether more is better.
# The peers store nothing: of the POST it is asked without the store.
TARGETS = [
    (GET, "rate", "Hummingbird", 2.5, True), (GET, "rate", "nginx", 0.95, True),
    (GET, "cpu", "nginx", 1.0, False), (POST, "rate", "Hummingbird", 5, True),
    (H2, "rate", "Hummingbird", 10, True), (H2, "rate", "nginx", 2, True),
    (CONNECT, "rate", "Hummingbird", 2.5, True), (CONNECT, "rate", "nginx", 0.95, True),
    *[(work, "p99", "Hummingbird", 1.0, False) for work in (GET, POST, CONNECT, IDLE, H2)],
    (MANY, "value", None, 100, False),
]


OURS = {POST: MartletWithoutStore.name}
WORDS = {"rate": "requests/s", "p99": "p99", "cpu": "CPU", "value": "memory, MB"}


def figure(value):
    return "%.0f" % value if value >= 100 else "%.3g" % value


def tell(names):
    def cell(work, who, what):
        value = median(work, who, what)
        return "" if value is None else figure(value)

    print("| work | who | requests/s | p50 ms | p99 ms | CPU µs | requests/s of the runs |")
    print("| --- | --- | ---: | ---: | ---: | ---: | --- |")
    for work, _ in WORKS.values():
        for who in names:
            runs = figures.get((work, who, "rate"))
            if runs:
                print("| %s | %s | %s | %s |" % (
                    work, who, " | ".join(cell(work, who, what) for what in (
                        "rate", "p50", "p99", "cpu")),
                    " ".join(map(figure, sorted(runs)))))
    print("\n| memory, MB (PSS) | %s |\n| --- |%s" % (" | ".join(names), " ---: |" * len(names)))
    for work in (START, MANY, END):
        print("| %s | %s |" % (work, " | ".join(cell(work, who, "value") for who in names)))
    print("\n| target | Martlet's | asked | reached |\n| --- | ---: | ---: | --- |")
    for work, what, theirs, asked, more in TARGETS:
        who = OURS.get(work, Martlet.name)
        ours, other = median(work, who, what), median(work, theirs, what) if theirs else 1
        says = "%s, %s: %s%s" % (work, WORDS[what], who, " / " + theirs if theirs else "")
        sign = "≥" if more else "≤"
        if ours is None or other is None:
            print("| %s | | %s %.3g | not measured |" % (says, sign, asked))
            continue
        ratio = ours / other
        reached = ratio >= asked if more else ratio <= asked
        print("| %s | %.3g | %s %.3g | %s |" % (
            says, ratio, sign, asked, "yes" if reached else "**no**"))
    for failure in dict.fromkeys(failures):
        print("\nNot measured: " + " ".join(failure.split()))


def main():
    parser = argparse.ArgumentParser(description="Martlet's HTTP server beside its peers.")
    parser.add_argument("works", nargs="*", metavar="WORK", help=", ".join(WORKS))
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=4, help="of each load")
    parser.add_argument("--only", default=",".join(kind.name for kind in ALL), help="servers")
    options = parser.parse_args()
    if unknown := set(options.works) - set(WORKS):
        parser.error("no work " + ", ".join(unknown))
    kinds = [kind for kind in ALL if kind.name in options.only.split(",")]
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 20_000), hard))
    print("%s, %s, %d cores, %d runs of %d s\n" % (
        time.strftime("%Y-%m-%d"), platform.platform(), os.cpu_count(), options.runs,
        options.seconds), flush=True)
    for run in range(options.runs):
        print("  run %d" % (run + 1), file=sys.stderr)
        for kind in kinds:
            # What the server before has written would be written while this one is measured.
            os.sync()
            with kind() as server:
                for name in options.works or WORKS:
                    if kind.works is None or name in kind.works:
                        work, measure = WORKS[name]
                        measure(work, server, options.seconds)
    tell([kind.name for kind in kinds])


if __name__ == "__main__":
    main()

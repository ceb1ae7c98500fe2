#!/usr/bin/env python3
"""Takes pictures of every page of the dashboard, wide and narrow, light and dark, with jobs under way.

    Scripts/screenshots.py FOLDER [.build/debug/martlet]

The wide overview is the README's picture: cp FOLDER/overview-wide-light.png Docs/dashboard.png
"""
import os
import sys
import threading
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, ROOT + "/Tests/EndToEnd")
from browser import Browser  # noqa: E402
from service import FUNCTIONS, Server  # noqa: E402

SECONDS = 285  # of load before the pictures, so that the charts have something to show


def load(server, stop):
    """Posts jobs of many kinds, more and fewer in turn, until told to stop."""
    number = 0
    while not stop.is_set():
        number += 1
        for _ in range(1 + number % 40 // 8):
            server.submit(function="nap", args=[0.05 + number % 7 / 12], queue="images")
            server.submit(function="py_square", args=[number], tags=["nightly"])
            server.submit(function="square", args=[number], queue="mail")
        if number % 30 == 0:
            server.submit(function="fail", args=["the 3rd page has no text"], queue="images")
        stop.wait(0.2)


def pages(server):
    failed = server.submit(function="fail", args=["the 3rd page has no text"], queue="images",
                           retry={"max_attempts": 2, "initial": 0.1})
    step = server.submit(function="step", args=[600, 1])
    map_job = server.submit(function="sleep", map=[0.1 + n % 9 / 9 for n in range(900)],
                            concurrency=12)
    server.wait(failed)
    time.sleep(3)
    return {
        "overview": "/", "jobs": "/jobs", "jobs-failed": "/jobs?state=failed",
        "job-failed": "/jobs/" + failed, "job-running": "/jobs/" + step,
        "job-map": "/jobs/" + map_job, "functions": "/functions",
        "function": "/functions/word_count", "pools": "/pools", "queues": "/queues",
    }


def main():
    folder = sys.argv[1]
    binary = sys.argv[2] if len(sys.argv) > 2 else ".build/debug/martlet"
    os.makedirs(folder, exist_ok=True)
    stop = threading.Event()
    with Server(binary, FUNCTIONS, processes=4) as server:
        threading.Thread(target=load, args=(server, stop), daemon=True).start()
        base = "http://127.0.0.1:%d" % server.port
        try:
            with Browser(1280, 900) as browser:
                browser.open(base + "/")
                time.sleep(SECONDS)
                shown = {name: base + "/#" + path for name, path in pages(server).items()}
                shown["docs"] = base + "/docs"
                for width, size in (("wide", (1280, 900)), ("narrow", (390, 844))):
                    browser.resize(*size)
                    for scheme in ("light", "dark"):
                        browser.prefer(scheme)
                        for name, address in shown.items():
                            browser.open(address)
                            time.sleep(1)
                            browser.screenshot("%s/%s-%s-%s.png" % (folder, name, width, scheme))
                        wider = browser.evaluate(
                            "document.documentElement.scrollWidth > innerWidth")
                        print(width, scheme, "scrolls sideways" if wider else "fits", flush=True)
                print("\n".join(browser.faults))
        finally:
            stop.set()
            time.sleep(0.5)


if __name__ == "__main__":
    main()

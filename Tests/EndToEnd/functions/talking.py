"""Functions that say something while they run."""
import asyncio
import logging
import os
import sys
import threading
import time

import martlet


@martlet.function
def say(*lines):
    for line in lines:
        print(line)


@martlet.function(pools=["process", "thread"])
def say_between(first, seconds, last):
    print(first)
    time.sleep(seconds)
    print(last)


@martlet.function
def say_everywhere():
    print("to stdout")
    print("to stderr", file=sys.stderr)
    sys.stdout.buffer.write(b"as bytes\n")
    logging.info("an %s", "info")
    logging.getLogger("disk").warning("nearly full")
    logging.debug("not told")
    print("not ended", end="")


@martlet.function
def configure_logging():
    logging.basicConfig(level=logging.DEBUG, format="%(name)s says %(message)s")
    logging.getLogger("disk").debug("empty")


@martlet.function
def say_much(count, size):
    for number in range(count):
        print(str(number) + "x" * size)


@martlet.function
def draw_a_bar():
    for number in range(1000):
        sys.stderr.write("\r%4d of 1000" % (number + 1))
    sys.stderr.write("\ndone\r\n")


@martlet.function
def say_and_die():
    for number in range(20):
        print("line", number)
    os.kill(os.getpid(), 9)


@martlet.function
def say_and_fail(marker):
    print("trying", marker)
    raise ValueError(marker)


@martlet.function
def say_in_a_thread():
    thread = threading.Thread(target=print, args=("from a thread",))
    thread.start()
    thread.join()


@martlet.function
def fork_and_say():
    child = os.fork()
    if child == 0:
        print("the child's")
        sys.stdout.flush()
        os._exit(0)
    os.waitpid(child, 0)
    print("the parent's")


@martlet.function
async def say_later(name, seconds):
    print("begin", name)
    await asyncio.sleep(seconds)
    await asyncio.to_thread(print, "end", name)


@martlet.function(pools=["process", "thread"])
def step(count, pause):
    for done in range(count):
        martlet.progress(done + 1, count, "step %d" % (done + 1))
        time.sleep(pause)
    return martlet.traceparent()


@martlet.function
def step_to(gate):
    """Is at the first step until the file is there, then at the second until it is gone."""
    martlet.progress(1, 2)
    while not os.path.exists(gate):
        time.sleep(0.01)
    martlet.progress(2, 2)
    while os.path.exists(gate):
        time.sleep(0.01)


@martlet.function
async def step_later(count, pause):
    for done in range(count):
        martlet.progress(done + 1, count)
        await asyncio.sleep(pause)
    return martlet.traceparent()


@martlet.function(pools=["process", "thread"])
def say_past_python(text, fail=False):
    os.system("echo 'a child: %s'; echo 'its error' >&2" % text)
    os.write(1, ("a library: %s" % text).encode())  # no line feed
    if fail:
        os.write(2, b"last words")
        os.kill(os.getpid(), 9)


@martlet.function
def flood_past_python(megabytes):
    for _ in range(megabytes):
        os.write(2, b"0123456789abcde\n" * (1 << 16))

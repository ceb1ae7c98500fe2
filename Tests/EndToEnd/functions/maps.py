"""Functions for the tests of maps."""
import os
import signal
import time

import martlet


@martlet.function
def slow_square(x):
    time.sleep(0.1)
    return x * x


@martlet.function
def rest(seconds):
    """For one test alone: a function that is known as short has its calls given out ahead."""
    time.sleep(seconds)
    return seconds


@martlet.function
def fail_unless_there(x, path):
    """Fails for odd numbers until the file is there; notes each call."""
    with open(path + ".calls", "a") as file:
        file.write("%d\n" % x)
    if x % 2 and not os.path.exists(path):
        raise ValueError("odd")
    return x


@martlet.function
def note_item(x, path):
    """Returns its argument after two milliseconds, and notes that it ran."""
    time.sleep(0.002)
    with open(path, "a") as file:
        file.write("%d\n" % x)
    return x


@martlet.function
def die_at(x, fatal):
    if x == fatal:
        os.kill(os.getpid(), signal.SIGKILL)
    return x


@martlet.function
def raise_flag_or_fail(path, fails):
    """Makes a file; or waits for it, and fails."""
    if not fails:
        open(path, "w").close()
        return "raised"
    while not os.path.exists(path):
        time.sleep(0.01)
    raise ValueError("the flag is up")


@martlet.function
def thread_caps(_):
    return [os.environ.get(name) for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")]


class Notes:
    """A file for each worker with the items that it ran; it waits for the file `go` beside it."""

    file = None

    @classmethod
    def add(cls, item):
        if cls.file is None:
            folder = os.environ["NOTES_OF_A_TEST"]
            while not os.path.exists(folder + "/go"):
                time.sleep(0.01)
            cls.file = open("%s/%d" % (folder, os.getpid()), "ab", buffering=0)
        cls.file.write(b"%d\n" % item)


@martlet.function
def noted_million(x):
    Notes.add(x)
    return x * x

"""The slots of the pool that the call that runs has taken: more for wide calls, none while it waits."""

import contextlib
import os

# What numerical libraries read when they are loaded.
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS",
           "VECLIB_MAXIMUM_THREADS")


class ThreadCaps:
    """Lets numerical libraries start as many threads as the call has slots for.

    Those that are loaded already follow where threadpoolctl is installed; others, and child
    processes, read the environment.
    """

    def __init__(self):
        self.cpus = 1
        try:
            self.each = int(os.environ["OMP_NUM_THREADS"])
        except (KeyError, ValueError):
            self.each = None  # the operator has other wishes

    def set(self, cpus):
        if cpus == self.cpus or self.each is None:
            return
        self.cpus = cpus
        for name in THREADS:
            os.environ[name] = str(self.each * cpus)
        try:
            from threadpoolctl import threadpool_limits
        except ImportError:
            return
        threadpool_limits(self.each * cpus)


class Waits:
    """Tells the server when calls begin to wait for other jobs, which may need their slots.

    current  tells number and trace of the call that runs here, None of no call
    send     sends a message of bytes; called with `lock` held
    """

    def __init__(self, current, send, lock):
        self.current, self.send, self.lock = current, send, lock
        self.pid = os.getpid()
        # Threads of a call that wait, by its number.
        self.threads = {}
        # How many times the server was told and has not said yet which calls it took back.
        self.unanswered = 0

    @contextlib.contextmanager
    def lend(self):
        number = self.current()[0]
        if number is None or os.getpid() != self.pid:
            yield
            return
        self.change(number, 1)
        try:
            yield
        finally:
            self.change(number, -1)

    def change(self, number, by):
        with self.lock:
            before = self.threads.pop(number, 0)
            if before + by:
                self.threads[number] = before + by
            if not before:
                self.unanswered += 1
                self.send(b'{"wait":%d}\n' % number)
            elif not before + by:
                self.send(b'{"go_on":%d}\n' % number)

"""`martlet.Executor`: a concurrent.futures.Executor whose workers are a Martlet server's."""

import concurrent.futures
import threading
import time
import weakref
from urllib.parse import quote

from . import errors, operations
from .client import Client
from .courier import KEEP_SECONDS, Courier
from .parcels import Packer

# Calls under way at once if the caller does not say.
CALLS_UNDER_WAY = 64


class Executor(concurrent.futures.Executor):
    """Takes the place of ProcessPoolExecutor and ThreadPoolExecutor.

    max_workers  calls under way at once, of those that submit() makes, and items at once of each
                 map; as many as the server has slots if not given
    url, token   the server, as of `martlet.Client`
    pool         "process", "thread" or "async"; the function's own if not given
    initializer  run with initargs in each worker before the first call of a function
    timeout      seconds for one call; the other members are those of a job: queue, priority,
                 retry, tags, keep

    A function is one that the server knows, by its name or marked with @martlet.function, or any
    other, which travels as a pickle and wants a server with --allow-pickle. mp_context and
    max_tasks_per_child are taken and not needed.
    """

    def __init__(self, max_workers=None, mp_context=None, initializer=None, initargs=(), *,
                 url=None, token=None, max_tasks_per_child=None, retry_for=60.0,
                 keep=KEEP_SECONDS, **members):
        if max_workers is not None and max_workers <= 0:
            raise ValueError("max_workers must be greater than 0")
        self._max_workers = max_workers
        self._client = Client(url, token, retry_for=retry_for)
        self._courier = Courier(url, token, max_workers or CALLS_UNDER_WAY, retry_for)
        self._described = {}
        self._packer = Packer(
            self._describe, dict(members, keep=keep), initializer, initargs)
        self._is_shut = False
        self._lock = threading.Lock()
        weakref.finalize(self, self._courier.close)

    def submit(self, fn, /, *args, **kwargs):
        with self._lock:
            self._check_open()
            try:
                parcel = self._packer.call(fn, args, kwargs)
            except Exception as error:
                return failed(error)
            return self._courier.submit(parcel)

    def map(self, fn, *iterables, timeout=None, chunksize=1):
        """One map job; the results come while it runs, in the order of the arguments."""
        if chunksize < 1:
            raise ValueError("chunksize must be >= 1.")
        end = None if timeout is None else time.monotonic() + timeout
        with self._lock:
            self._check_open()
            pieces = list(self._packer.maps(
                fn, zip(*iterables), chunksize, is_spread=len(iterables) != 1,
                concurrency=self._max_workers))
            future = self._courier.map(pieces, collects=False)
        # The generator is another function, so that the job is sent before its first step.
        return self._results(future, pieces, end)

    def _results(self, future, pieces, end):
        try:
            for (parcel, counts), job in zip(pieces, future.jobs):
                yield from self._piece(future, parcel, counts, job.result(left(end)), end)
        except TimeoutError as error:
            raise concurrent.futures.TimeoutError() from error
        finally:
            future.cancel()  # does nothing to a map that has ended

    def _piece(self, future, parcel, counts, job, end):
        index = 0
        try:
            for item in self._client.items(job, timeout=left(end)):
                if "error" in item:
                    raise errors.failure(job, item["error"], parcel.unpickles)
                # No result is held on to while the caller has it.
                if counts[index] is None:
                    yield parcel.open(item["result"])
                else:
                    values = parcel.open(item["result"])[::-1]
                    while values:
                        yield values.pop()
                index += 1
        except errors.JobCancelled as error:
            if future.cancelled():
                raise concurrent.futures.CancelledError() from error
            raise

    def shutdown(self, wait=True, *, cancel_futures=False):
        with self._lock:
            self._is_shut = True
        if cancel_futures and self._courier.open_futures():
            # What is under way within max_workers counts as begun.
            self._courier.cancel_waiting(on_server=self._max_workers is None)
        if wait:
            self._courier.join()
            self._client.close()
        self._courier.close()

    def abort(self):
        """Cancels all calls and maps, those too that run, and takes no more."""
        with self._lock:
            self._is_shut = True
        self._courier.cancel_all()
        self._courier.close()

    def _check_open(self):
        if self._is_shut:
            raise RuntimeError("cannot schedule new futures after shutdown")

    def _describe(self, name):
        """What the server knows of the function; None if it has none of this name."""
        if name not in self._described:
            try:
                self._described[name] = self._client._run(
                    operations.ask_json("GET", "/v1/functions/" + quote(name, safe="")))
            except errors.Refused as refused:
                if refused.status != 404:
                    raise
                self._described[name] = None
        return self._described[name]


class UnsentFuture(concurrent.futures.Future):
    """Of a call that could not be pickled."""


def failed(error):
    future = UnsentFuture()
    future.set_running_or_notify_cancel()
    future.set_exception(error)
    return future


def left(end):
    return None if end is None else max(0.0, end - time.monotonic())

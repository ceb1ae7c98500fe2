"""`martlet.Pool`: the methods of multiprocessing.Pool, with a Martlet server's workers."""

import multiprocessing
import os
import threading
import weakref

from .courier import KEEP_SECONDS, Courier
from .executor import CALLS_UNDER_WAY, Executor
from .imap import Feed, Results

RUN, CLOSE, TERMINATE = "RUN", "CLOSE", "TERMINATE"


class Pool:
    """Takes the place of multiprocessing.Pool.

    processes is the number of items at once of a map, and of calls under way; the server's slots
    are the bound if it is not given. initializer is run with initargs in each worker before the
    first call of a function, whose globals it shares. maxtasksperchild and context are taken and
    not needed. The other arguments are those of `martlet.Executor`.
    """

    def __init__(self, processes=None, initializer=None, initargs=(), maxtasksperchild=None,
                 context=None, *, url=None, token=None, retry_for=60.0, keep=KEEP_SECONDS,
                 **members):
        if processes is not None and processes < 1:
            raise ValueError("Number of processes must be at least 1")
        if maxtasksperchild is not None and (
                not isinstance(maxtasksperchild, int) or maxtasksperchild <= 0):
            raise ValueError("maxtasksperchild must be a positive int or None")
        # Used for what it knows of functions and packing; the pool has a life of its own.
        executor = Executor(url=url, token=token, initializer=initializer, initargs=initargs,
                            retry_for=retry_for, keep=keep, **members)
        self._packer = executor._packer
        self._client = executor._client
        self._processes = processes
        self._courier = Courier(url, token, processes or CALLS_UNDER_WAY, retry_for)
        self._feeds = weakref.WeakSet()
        self._state = RUN
        self._slots = None
        weakref.finalize(self, self._courier.close)

    # --- One call

    def apply(self, func, args=(), kwds={}):
        return self.apply_async(func, args, kwds).get()

    def apply_async(self, func, args=(), kwds={}, callback=None, error_callback=None):
        self._check_running()
        return AsyncResult(
            lambda: self._courier.submit(self._packer.call(func, tuple(args), dict(kwds))),
            callback, error_callback)

    # --- Maps

    def map(self, func, iterable, chunksize=None):
        return self.map_async(func, iterable, chunksize).get()

    def map_async(self, func, iterable, chunksize=None, callback=None, error_callback=None):
        return self._map(func, ((item,) for item in iterable), chunksize, False,
                         callback, error_callback)

    def starmap(self, func, iterable, chunksize=None):
        return self.starmap_async(func, iterable, chunksize).get()

    def starmap_async(self, func, iterable, chunksize=None, callback=None, error_callback=None):
        return self._map(func, (tuple(item) for item in iterable), chunksize, True,
                         callback, error_callback)

    def _map(self, func, calls, chunksize, is_spread, callback, error_callback):
        self._check_running()

        def send():
            given = list(calls)
            size = chunksize or self._fair_size(len(given))
            pieces = list(self._packer.maps(
                func, given, size, is_spread, concurrency=self._processes))
            return self._courier.map(pieces, collects=True)

        return AsyncResult(send, callback, error_callback, opened=flattened)

    def _fair_size(self, count):
        """Calls an item: few enough that the server can still share them out by their time."""
        if self._slots is None:
            self._slots = self._client.pools()["process"]["slots"]
        return max(1, min(256, count // (16 * (self._processes or self._slots))))

    def imap(self, func, iterable, chunksize=1):
        return self._imap(func, iterable, chunksize, is_ordered=True)

    def imap_unordered(self, func, iterable, chunksize=1):
        return self._imap(func, iterable, chunksize, is_ordered=False)

    def _imap(self, func, iterable, chunksize, is_ordered):
        self._check_running()
        if chunksize < 1:
            raise ValueError("Chunksize must be 1+, not %r" % chunksize)
        if not callable(func) and not isinstance(func, str):
            raise TypeError("%r is not callable" % (func,))

        def send(items):
            pieces = list(self._packer.maps(
                func, [(item,) for item in items], chunksize, False, concurrency=self._processes))
            return self._courier.map(pieces, collects=True)

        feed = Feed(send, iterable, chunksize, is_ordered)
        self._feeds.add(feed)
        return Results(feed)

    # --- Its end

    def close(self):
        """Takes no more calls; those under way are finished."""
        if self._state == RUN:
            self._state = CLOSE

    def terminate(self):
        """Cancels all that is under way."""
        self._state = TERMINATE
        for feed in list(self._feeds):
            feed.stop()
        self._courier.cancel_all()
        self._courier.close()

    def join(self):
        """Waits for the end of all that is under way, after close() or terminate()."""
        if self._state == RUN:
            raise ValueError("Pool is still running")
        for feed in list(self._feeds):
            feed.finish()
        self._courier.join()
        self._courier.close()

    def __enter__(self):
        self._check_running()
        return self

    def __exit__(self, *unused):
        self.terminate()

    def _check_running(self):
        if self._state != RUN:
            raise ValueError("Pool not running")

    def __reduce__(self):
        raise NotImplementedError(
            "pool objects cannot be passed between processes or pickled")

    def __repr__(self):
        return "<%s.%s state=%s pool_size=%s>" % (
            type(self).__module__, type(self).__qualname__, self._state,
            self._processes or os.environ.get("MARTLET_URL") or "server's")


def flattened(pieces):
    """The results of a map as one list; raises the first failure."""
    found = []
    for piece in pieces:
        for outcome in piece.outcomes:
            if isinstance(outcome, BaseException):
                raise outcome
            if piece.are_lists:
                found.extend(outcome)
            else:
                found.append(outcome)
    return found


class AsyncResult:
    """What apply_async and map_async return, as multiprocessing's."""

    def __init__(self, send, callback, error_callback, opened=None):
        self._opened = opened
        self._value = None
        self._error = None
        self._is_ready = threading.Event()
        self._callbacks = callback, error_callback
        try:
            future = send()
        except Exception as error:  # what cannot be pickled, for example: told by get()
            self._finish(None, error)
        else:
            future.add_done_callback(self._take)

    def _take(self, future):
        try:
            value = future.result()
            self._finish(value if self._opened is None else self._opened(value), None)
        except BaseException as error:  # SystemExit of the call too
            self._finish(None, error)

    def _finish(self, value, error):
        self._value, self._error = value, error
        callback, error_callback = self._callbacks
        try:
            if error is None and callback is not None:
                callback(value)
            elif error is not None and error_callback is not None:
                error_callback(error)
        finally:
            self._is_ready.set()
            self._callbacks = None, None

    def ready(self):
        return self._is_ready.is_set()

    def successful(self):
        if not self.ready():
            raise ValueError("%r not ready" % self)
        return self._error is None

    def wait(self, timeout=None):
        self._is_ready.wait(timeout)

    def get(self, timeout=None):
        if not self._is_ready.wait(timeout):
            raise multiprocessing.TimeoutError
        if self._error is not None:
            raise self._error
        return self._value

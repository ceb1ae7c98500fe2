"""`martlet.Pool`: the methods of multiprocessing.Pool, with a Martlet server's workers."""

import collections
import itertools
import multiprocessing
import os
import threading
import weakref

from .courier import KEEP_SECONDS, Courier
from .executor import CALLS_UNDER_WAY, Executor
from .operations import Pace

RUN, CLOSE, TERMINATE = "RUN", "CLOSE", "TERMINATE"
# Items of an imap that are with the server, or whose results nobody has taken, at most.
READ_AHEAD = 8192
# Map jobs of an imap that are under way at once.
WINDOWS = 32


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
        self._feeders = weakref.WeakSet()
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

        feeder = Feeder(send, iterable, chunksize, is_ordered)
        self._feeders.add(feeder)
        return feeder.results

    # --- Its end

    def close(self):
        """Takes no more calls; those under way are finished."""
        if self._state == RUN:
            self._state = CLOSE

    def terminate(self):
        """Cancels all that is under way."""
        self._state = TERMINATE
        for feeder in list(self._feeders):
            feeder.stop()
        self._courier.cancel_all()
        self._courier.close()

    def join(self):
        """Waits for the end of all that is under way, after close() or terminate()."""
        if self._state == RUN:
            raise ValueError("Pool is still running")
        for feeder in list(self._feeders):
            feeder.thread.join()
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
    """The results of a map's pieces as one list; raises the first failure."""
    return list(itertools.chain.from_iterable(values(piece) for piece in pieces))


def values(outcomes):
    for outcome in outcomes.found:
        if isinstance(outcome, BaseException):
            raise outcome
        if outcomes.are_lists:
            yield from outcome
        else:
            yield outcome


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
            self._future = future
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


class Feeder:
    """Reads the items of an imap and sends them as map jobs, whose size follows their time.

    Its thread holds no reference to the results' iterator: when the caller drops that, it stops.
    """

    def __init__(self, send, iterable, chunksize, is_ordered):
        self.send = send
        self.iterable = iterable
        self.chunksize = chunksize
        self.shared = Shared(is_ordered)
        self.results = Results(self.shared)
        self.thread = threading.Thread(
            target=feed, args=(send, iterable, chunksize, self.shared),
            name="martlet-imap", daemon=True)
        # For the pool: it is there as long as the thread or the iterator.
        self.results._feeder = self.thread._feeder = self
        self.thread.start()
        del self.results

    def stop(self):
        self.shared.stop()


class Shared:
    """What an imap's feeder and its iterator share."""

    def __init__(self, is_ordered):
        self.is_ordered = is_ordered
        self.changed = threading.Condition()
        # Futures in the order of their results; of an unordered one only those that have ended.
        self.futures = collections.deque()
        self.under_way = set()
        self.ahead = 0
        self.is_fed = False
        self.is_stopped = False
        self.error = None

    def stop(self):
        with self.changed:
            self.is_stopped = True
            futures = list(self.under_way)
            self.changed.notify_all()
        for future in futures:
            future.cancel()


def feed(send, iterable, chunksize, shared):
    pace, items = Pace(READ_AHEAD // 8), iter(())
    try:
        items = iter(iterable)
        while not shared.is_stopped:
            count = max(1, pace.size // chunksize) * chunksize
            window, error = [], None
            try:
                window.extend(itertools.islice(items, 1))
                for item in itertools.islice(items, count - 1) if window else ():
                    window.append(item)
            except Exception as raised:  # of the caller's iterator: told after the results before it
                error = raised
            if window:
                add(send, window, pace, shared)
            if error is not None:
                raise error
            if len(window) < count:
                break
    except Exception as error:
        shared.error = error
    finally:
        with shared.changed:
            shared.is_fed = True
            shared.changed.notify_all()


def add(send, window, pace, shared):
    with shared.changed:
        shared.changed.wait_for(lambda: shared.is_stopped or (
            len(shared.under_way) < WINDOWS and shared.ahead < READ_AHEAD))
        if shared.is_stopped:
            return
    future = send(window)
    future.window_size = len(window)

    def done(future):
        with shared.changed:
            pace.note(future.window_size)
            shared.under_way.discard(future)
            if not shared.is_ordered:
                shared.futures.append(future)
            shared.changed.notify_all()

    with shared.changed:
        shared.ahead += len(window)
        shared.under_way.add(future)
        if shared.is_ordered:
            shared.futures.append(future)
    future.add_done_callback(done)


class Results:
    """The iterator of an imap; next() takes a timeout, as multiprocessing's."""

    def __init__(self, shared):
        self._shared = shared
        self._outcomes = None

    def __iter__(self):
        return self

    def next(self, timeout=None):
        while True:
            if self._outcomes is not None:
                try:
                    return next(self._outcomes)
                except StopIteration:
                    self._outcomes = None
            self._outcomes = outcomes_of(self._head(timeout))

    __next__ = next

    def _head(self, timeout):
        """The next future, when it has ended."""
        shared = self._shared

        def is_ready():
            if shared.futures:
                return shared.futures[0].done()
            return shared.is_fed and not shared.under_way

        with shared.changed:
            if not shared.changed.wait_for(is_ready, timeout):
                raise multiprocessing.TimeoutError
            if not shared.futures:
                error, shared.error = shared.error, None
                raise error or StopIteration
            future = shared.futures.popleft()
            shared.ahead -= future.window_size
            shared.changed.notify_all()
            return future

    def __del__(self):
        self._shared.stop()


class outcomes_of:
    """Hands out a window's results; one that failed is raised, and the next follow it."""

    def __init__(self, future):
        self.results = iter(())
        self.items = iter([
            (outcome, piece.are_lists) for piece in future.result() for outcome in piece.found])

    def __iter__(self):
        return self

    def __next__(self):
        for result in self.results:
            return result
        for outcome, is_list in self.items:
            if isinstance(outcome, BaseException):
                raise outcome
            if not is_list:
                return outcome
            self.results = iter(outcome)
            return next(self)
        raise StopIteration

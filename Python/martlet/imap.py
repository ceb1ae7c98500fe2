"""The two halves of Pool.imap: a thread that feeds the server, an iterator of what comes back.

    caller's items → Feed.run (a thread) → map jobs of a size that follows their time
                                         → Feed.futures → Results, the caller's iterator
"""

import collections
import itertools
import multiprocessing
import threading

from .operations import Pace

# Items that are with the server, or whose results nobody has taken, at most.
READ_AHEAD = 8192
# Map jobs under way at once.
WINDOWS = 32


class Feed:
    """Reads the items and sends them; it knows nothing of the iterator, which stops it if dropped."""

    def __init__(self, send, items, chunksize, is_ordered):
        self.send = send
        self.items = items
        self.chunksize = chunksize
        self.is_ordered = is_ordered
        # Sent maps in the order of their results; of an unordered imap only those that have ended.
        self.futures = collections.deque()
        self.changed = threading.Condition()
        self.pace = Pace(READ_AHEAD // 8)
        self.under_way = set()
        self.ahead = 0
        self.is_bounded = True
        self.is_over = False
        self.is_stopped = False
        # What the caller's iterable raised; told after the results of the items before it.
        self.error = None
        self.thread = threading.Thread(target=self.run, name="martlet-imap", daemon=True)
        self.thread.start()

    def stop(self):
        """Cancels what is under way and sends nothing more."""
        with self.changed:
            self.is_stopped = True
            futures = list(self.under_way)
            self.changed.notify_all()
        for future in futures:
            future.cancel()

    def finish(self):
        """Waits until all is sent, also if nobody takes the results before that."""
        with self.changed:
            self.is_bounded = False
            self.changed.notify_all()
        self.thread.join()

    def run(self):
        try:
            items = iter(self.items)
            while self.error is None and self.has_room():
                wanted = max(1, self.pace.size // self.chunksize) * self.chunksize
                window = self.take(items, wanted)
                if window:
                    self.add(self.send(window), len(window))
                if len(window) < wanted:
                    break
        except Exception as error:
            self.error = error
        finally:
            self.items = None
            with self.changed:
                self.is_over = True
                self.changed.notify_all()

    def take(self, items, count):
        window = []
        try:
            window.extend(itertools.islice(items, count))
        except Exception as error:
            # extend has kept the items before it; a chunk that is not whole is lost with the error,
            # as in multiprocessing.
            self.error = error
            del window[len(window) - len(window) % self.chunksize:]
        return window

    def has_room(self):
        """Waits until more may be sent; False when it is stopped."""
        with self.changed:
            self.changed.wait_for(lambda: self.is_stopped or (
                len(self.under_way) < WINDOWS
                and (self.ahead < READ_AHEAD or not self.is_bounded)))
            return not self.is_stopped

    def add(self, future, count):
        future.item_count = count
        with self.changed:
            self.ahead += count
            self.under_way.add(future)
            if self.is_ordered:
                self.futures.append(future)
        future.add_done_callback(self.ended)
        if self.is_stopped:  # while this was being sent
            future.cancel()

    def ended(self, future):
        with self.changed:
            self.pace.note(future.item_count)
            self.under_way.discard(future)
            if not self.is_ordered:
                self.futures.append(future)
            self.changed.notify_all()

    def next(self, timeout):
        """The pieces of the next map that has ended; StopIteration after the last."""
        with self.changed:
            if not self.changed.wait_for(self.has_news, timeout):
                raise multiprocessing.TimeoutError
            if not self.futures:
                error, self.error = self.error, None
                raise error or StopIteration
            future = self.futures.popleft()
            self.ahead -= future.item_count
            self.changed.notify_all()
        return future.result()

    def has_news(self):
        if self.futures:
            return self.futures[0].done()
        return self.is_over and not self.under_way


class Results:
    """The iterator of an imap; next() takes a timeout, as multiprocessing's does.

    A failed item is raised in its place; the iterator goes on with the next.
    """

    def __init__(self, feed):
        self._feed = feed
        self._outcomes = collections.deque()
        self._results = collections.deque()

    def __iter__(self):
        return self

    def next(self, timeout=None):
        while not self._results:
            while not self._outcomes:
                for piece in self._feed.next(timeout):
                    self._outcomes.extend((piece.are_lists, each) for each in piece.outcomes)
            are_lists, outcome = self._outcomes.popleft()
            if isinstance(outcome, BaseException):
                raise outcome
            self._results.extend(outcome if are_lists else (outcome,))
        return self._results.popleft()

    __next__ = next

    def __del__(self):
        self._feed.stop()

"""Calls of Python functions as submissions: by name and JSON, or as pickles.

A function that the server knows by name travels as its name, its arguments and results as JSON.
Every other one travels as a pickle (cloudpickle's, if it is installed, so that lambdas and the
functions of a script can go too) to `martlet.call`, which a server offers with --allow-pickle. What
is large, or belongs to every item of a map, is not put into the submissions: it is a blob that is
sent ahead, once (see pickled.py).
"""

import base64
import functools
import itertools
import pickle
import sys

from . import functions, operations
from .operations import Blob

# Bytes from which the buffer of an array is a blob, as large as joblib's threshold.
BUFFER_BYTES = 1 << 20
# Bytes of a pickle that may stand in each submission, and of those in all submissions of a map.
INLINE_BYTES = 16 << 10
INLINE_MAP_BYTES = 64 << 10
# Bytes of the arguments of one call that may stand in its submission.
INLINE_CALL_BYTES = 16 << 20


def dumps(value, buffers):
    """The pickle; large buffers are left out of it and put into the list."""
    def keep(buffer):
        with buffer.raw() as raw:
            if raw.nbytes < BUFFER_BYTES:
                return True  # stays in the pickle
        buffers.append(buffer)
        return False

    dump = pickle.dumps if is_plain(value) else pickler().dumps
    return dump(value, protocol=5, buffer_callback=keep)


PLAIN = (int, float, str, bytes, bool, type(None), complex)


def is_plain(value, depth=3):
    """Whether the C pickler does as well as cloudpickle's, which is ten times slower."""
    if isinstance(value, PLAIN):
        return type(value) in PLAIN
    if depth and type(value) in (tuple, list) and len(value) <= 16:
        return all(is_plain(each, depth - 1) for each in value)
    if depth and type(value) is dict and len(value) <= 16:
        return all(is_plain(each, depth - 1) for each in itertools.chain(*value.items()))
    return False


@functools.lru_cache(1)
def pickler():
    try:
        import cloudpickle
        return cloudpickle
    except ImportError:
        return pickle


def text(data):
    return base64.b64encode(data).decode("ascii")


class Parcel:
    """One submission, made ready: its body, what must be sent ahead, how to read the result."""

    __slots__ = ("body", "blobs", "open", "unpickles")

    def __init__(self, body, blobs, open, unpickles):
        self.body = body
        self.blobs = blobs
        self.open = open
        self.unpickles = unpickles


def identity(value):
    return value


def opened(result):
    return pickle.loads(base64.b64decode(result))


class Packer:
    """Makes parcels of calls.

    `described` tells what the server knows of a function by its name: a dict, or None.
    `members` are those of every submission, such as queue and priority.
    """

    def __init__(self, described, members, initializer=None, initargs=()):
        self.described = described
        self.members = members
        self.initializer = initializer
        self.initargs = initargs
        if initializer is not None and not callable(initializer):
            raise TypeError("initializer must be a callable")

    def call(self, function, args, kwargs):
        name = self.name(function)
        if name is not None:
            try:
                given = self.arguments(name, args, kwargs)
                body = operations.encode(operations.submission(
                    name, dict(self.members, args=given)))
                return Parcel(body, (), identity, False)
            except (TypeError, ValueError):
                if isinstance(function, str):
                    raise
        target, is_async, blobs = self.pickled_function(function, INLINE_BYTES)
        buffers = []
        data = dumps((args, kwargs), buffers)
        given = [target, self.stand_in(data, blobs), False, self.sent_ahead(buffers, blobs)]
        return self.pickled_parcel(is_async, dict(args=given), blobs)

    def maps(self, function, calls, size, is_spread, **members):
        """Parcels of a map of the function over `calls`, with the calls that each item has.

        `calls` are tuples of positional arguments. `size` of them make up one item, which is run
        and fails as a whole, and whose result is a list. A function that goes by its name has one
        call an item, whatever the size, and results that are no lists: there the count is None.
        """
        members = dict(self.members, on_error="continue", **members)
        name = self.name(function)
        if name is not None:
            calls = list(calls)
            try:
                items = [operations._encode(call if is_spread else call[0]) for call in calls]
            except (TypeError, ValueError):
                if isinstance(function, str):
                    raise
            else:
                made = operations.submission(name, dict(members, spread=is_spread))
                return self.cut(made, [(item, None, ()) for item in items], identity, False)
        return self.pickled_maps(function, calls, size, members)

    def pickled_maps(self, function, calls, size, members):
        groups = list(grouped(calls, size))
        limit = min(INLINE_BYTES, INLINE_MAP_BYTES // max(1, len(groups)))
        target, is_async, shared = self.pickled_function(function, limit)
        target, items = operations._encode(target), []
        for group in groups:
            buffers, blobs = [], list(shared)
            data = dumps(group, buffers)
            given = operations._encode(self.stand_in(data, blobs, operations.MAP_BYTES // 4))
            names = self.sent_ahead(buffers, blobs)
            tail = "," + operations._encode(names) if names else ""
            items.append(("[%s,%s,true%s]" % (target, given, tail), len(group), blobs))
        made = operations.submission(
            "martlet.call_async" if is_async else "martlet.call", dict(members, spread=True))
        return self.cut(made, items, opened, True)

    @staticmethod
    def cut(submission, items, open, unpickles):
        """Yields parcels of at most MAP_BYTES or little more, and how many calls each item has."""
        head = operations._encode(submission)[:-1] + ',"map":['
        first = 0
        while first < len(items):
            size, blobs, end = 0, {}, first
            while end < len(items) and size < operations.MAP_BYTES:
                item, _, ahead = items[end]
                size += len(item) + 1
                blobs.update((blob.digest, blob) for blob in ahead)
                end += 1
            texts = ",".join(item for item, _, _ in items[first:end])
            body = (head + texts + "]}").encode("utf-8", "backslashreplace")
            yield (Parcel(body, list(blobs.values()), open, unpickles),
                   [count for _, count, _ in items[first:end]])
            first = end

    def pickled_parcel(self, is_async, work, blobs):
        body = operations.encode(operations.submission(
            "martlet.call_async" if is_async else "martlet.call", dict(self.members, **work)))
        return Parcel(body, blobs, opened, True)

    def name(self, function):
        """The function's name on the server; None if it must be pickled."""
        if isinstance(function, str):
            return function
        if not callable(function):
            raise TypeError("%r is neither a function nor the name of one" % (function,))
        for marked in functions.registered:
            if marked.target is function and self.described(marked.name) is not None:
                return marked.name
        return None

    def arguments(self, name, args, kwargs):
        if not kwargs:
            return list(args)
        if not args:
            return kwargs
        known = (self.described(name) or {}).get("parameters", {}).get("x-positional", [])
        if len(args) > len(known):
            raise TypeError("%s: give all arguments by position or all by name" % name)
        return {**dict(zip(known, args)), **kwargs}

    def pickled_function(self, function, limit):
        """What names the function in a call, whether it is a coroutine function, and its blobs."""
        packet = (function, self.initializer, self.initargs)
        data = b"%d.%d\n" % sys.version_info[:2] + pickler().dumps(packet, protocol=5)
        blobs = []
        return (self.stand_in(data, blobs, limit), functions.is_coroutine_function(function), blobs)

    @staticmethod
    def stand_in(data, blobs, limit=INLINE_CALL_BYTES):
        if len(data) <= limit:
            return text(data)
        blobs.append(Blob(data))
        return "sha256:" + blobs[-1].digest

    @staticmethod
    def sent_ahead(buffers, blobs):
        made = [Blob(buffer.raw()) for buffer in buffers]
        blobs.extend(made)
        return [blob.digest for blob in made]


def grouped(calls, size):
    calls = iter(calls)
    while True:
        group = list(itertools.islice(calls, size))
        if not group:
            return
        yield group

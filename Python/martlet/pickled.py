"""The functions that run what Python clients send as pickles: martlet.call and its kin.

A server offers them only with --allow-pickle, since a pickle is code. What is large or sent often,
such as the function of a map or an array, is a blob, which each worker that needs it maps into
memory: private pages, which become its own when written.
"""

import base64
import collections
import pickle
import sys
import threading

from . import blobs, functions

# Unpickled functions that a worker keeps.
CACHED_FUNCTIONS = 64
# Bytes of a pickled exception; a larger one travels as its message and traceback alone.
EXCEPTION_BYTES = 2 << 20
DIGEST = "sha256:"


def offer():
    """The registrations of this module's functions."""
    calls = Calls()
    made = []
    for target, name, pools in [
            (calls.call, "martlet.call", ["process", "thread"]),
            (calls.call_async, "martlet.call_async", ["async"])]:
        made.append(functions.Registration(
            name, target, pools[0], pools, None, None, None, None))
    return made


class Calls:
    """Runs pickled calls; the functions stay unpickled for the calls after."""

    def __init__(self):
        self.functions = collections.OrderedDict()
        self.lock = threading.RLock()

    def call(self, function, arguments, many=False, buffers=()):
        """Runs a call that a Python client has pickled; needs --allow-pickle.

        `function` and `arguments` are base64, or name a blob by "sha256:" and its digest. With
        `many`, the arguments are a list of argument tuples and the result is a list.
        """
        try:
            target, given = self.load(function, arguments, buffers)
            if many:
                return packed([target(*each) for each in given])
            positional, named = given
            return packed(target(*positional, **named))
        except (functions.Cancelled, blobs.BlobMissing):
            raise
        except BaseException as error:
            raise functions.Raised(error, pickled_exception(error)) from None

    async def call_async(self, function, arguments, many=False, buffers=()):
        """Runs a call of a coroutine function that a Python client has pickled."""
        import asyncio
        try:
            target, given = self.load(function, arguments, buffers)
            if many:
                return packed(list(await asyncio.gather(*(target(*each) for each in given))))
            positional, named = given
            return packed(await target(*positional, **named))
        except (asyncio.CancelledError, blobs.BlobMissing):
            raise
        except BaseException as error:
            raise functions.Raised(error, pickled_exception(error)) from None

    def load(self, function, arguments, buffers):
        target = self.function(function)
        return target, pickle.loads(
            self.bytes(arguments), buffers=[blobs.mapped(name) for name in buffers])

    def function(self, text):
        with self.lock:
            target = self.functions.get(text)
            if target is None:
                target = self.functions[text] = unpacked_function(self.bytes(text))
                if len(self.functions) > CACHED_FUNCTIONS:
                    self.functions.popitem(last=False)
            else:
                self.functions.move_to_end(text)
            return target

    def bytes(self, text):
        if text.startswith(DIGEST):
            return blobs.mapped(text[len(DIGEST):])
        return base64.b64decode(text)


def unpacked_function(data):
    """The function of a packet: a line with the client's Python, then the pickle.

    A pool's initializer travels with its function and is run once for it in each worker.
    """
    data = bytes(data)
    version, _, content = data.partition(b"\n")
    own = b"%d.%d" % sys.version_info[:2]
    if version != own and b"cloudpickle" in content:
        raise RuntimeError(
            "the function was pickled by Python %s and cannot run on %s; start the server with"
            " --python python%s" % (version.decode(), own.decode(), version.decode()))
    try:
        target, initializer, arguments = pickle.loads(content)
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "%s: the server's Python (%s) must be able to import what the function needs"
            % (error, sys.executable), name=error.name) from None
    if initializer is not None:
        initializer(*arguments)
    return target


def packed(value):
    try:
        data = pickle.dumps(value, protocol=5)
    except Exception:  # of a class that only the client's program has, for example
        try:
            import cloudpickle
        except ImportError:
            cloudpickle = None
        if cloudpickle is None:
            raise
        data = cloudpickle.dumps(value, protocol=5)
    return base64.b64encode(data).decode("ascii")


def pickled_exception(error):
    """The exception in base64; None if it cannot be pickled or is too large."""
    try:
        text = packed(error)
        pickle.loads(base64.b64decode(text))  # some can be written but not read
    except Exception:
        return None
    return text if len(text) <= EXCEPTION_BYTES else None

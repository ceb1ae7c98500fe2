"""The functions that run what Python clients send as pickles: martlet.call and its kin.

A server offers them only with --allow-pickle, since a pickle is code. What is large or sent often,
such as the function of a map or an array, is kept once in a folder, named by its SHA-256, and is
mapped into memory by each worker that needs it: private pages, which become its own when written.
"""

import base64
import collections
import hashlib
import mmap
import os
import pickle
import sys
import threading

from . import functions

# Bytes that the folder may hold; past it, what was not used for longest is removed.
FOLDER_BYTES = 8 << 30
# Unpickled functions that a worker keeps.
CACHED_FUNCTIONS = 64
# Bytes of a pickled exception; a larger one travels as its message and traceback alone.
EXCEPTION_BYTES = 2 << 20
DIGEST = "sha256:"


class BlobMissing(LookupError):
    """A blob that a call refers to is not in the folder (any more): the client sends it again."""


def offer(folder):
    """The registrations of this module's functions, which keep their blobs in `folder`."""
    os.makedirs(folder, mode=0o700, exist_ok=True)
    calls = Calls(Blobs(folder))
    made = []
    for target, name, pools in [
            (calls.call, "martlet.call", ["process", "thread"]),
            (calls.call_async, "martlet.call_async", ["async"]),
            (calls.blobs.keep, "martlet.keep", ["thread", "process"])]:
        made.append(functions.Registration(
            name, target, pools[0], pools, None, None, None, None))
    return made


class Calls:
    """Runs pickled calls; the functions stay unpickled for the calls after."""

    def __init__(self, blobs):
        self.blobs = blobs
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
        except (functions.Cancelled, BlobMissing):
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
        except (asyncio.CancelledError, BlobMissing):
            raise
        except BaseException as error:
            raise functions.Raised(error, pickled_exception(error)) from None

    def load(self, function, arguments, buffers):
        target = self.function(function)
        return target, pickle.loads(
            self.bytes(arguments), buffers=[self.blobs.mapped(name) for name in buffers])

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
            return self.blobs.mapped(text[len(DIGEST):])
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


class Blobs:
    """Bytes kept by their SHA-256 in a folder that all workers share."""

    def __init__(self, folder):
        self.folder = folder

    def path(self, digest):
        if len(digest) != 64 or not digest.isalnum():
            raise ValueError("a blob is named by its SHA-256 in 64 hexadecimal digits")
        return os.path.join(self.folder, digest)

    def mapped(self, digest):
        """The bytes of a blob, mapped; a change to them is seen by this call alone."""
        try:
            with open(self.path(digest), "rb") as file:
                os.utime(file.fileno())  # in use: the last to be removed
                return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
        except FileNotFoundError:
            raise BlobMissing("blob %s is not here; send it again" % digest) from None

    def keep(self, digest, data="", offset=0, size=None):
        """Keeps a part of a blob, in base64; returns whether the whole blob is there now.

        Without data it only tells. The parts come in their order, one after the other.
        """
        path = self.path(digest)
        try:
            os.utime(path)
            return True
        except FileNotFoundError:
            if size is None:
                return False
        part, piece = path + ".part", base64.b64decode(data)
        file = os.open(part, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            os.pwrite(file, piece, offset)
            if offset + len(piece) < size:
                return False
            os.truncate(file, size)
            with mmap.mmap(file, size, access=mmap.ACCESS_READ) as whole:
                if hashlib.sha256(whole).hexdigest() != digest:
                    os.unlink(part)
                    raise ValueError("the parts of blob %s do not make it up" % digest)
            os.rename(part, path)
        finally:
            os.close(file)
        self.prune()
        return True

    def prune(self):
        found = []
        with os.scandir(self.folder) as entries:
            for entry in entries:
                status = entry.stat()
                found.append((status.st_mtime, status.st_size, entry.path))
        excess = sum(size for _, size, _ in found) - FOLDER_BYTES
        for _, size, path in sorted(found):
            if excess <= 0:
                return
            try:
                os.unlink(path)
            except FileNotFoundError:
                continue  # another worker was quicker
            excess -= size

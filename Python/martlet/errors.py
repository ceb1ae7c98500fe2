"""What can go wrong between a program and its server, as exceptions."""

import base64
import pickle


class MartletError(Exception):
    """The root of this package's exceptions."""


class Unreachable(MartletError, ConnectionError):
    """The server could not be reached, or its connection was lost, for longer than was allowed."""


class ConnectionLost(MartletError, ConnectionError):
    """A connection ended or stood still before its answer was complete."""


class Refused(MartletError):
    """The server's answer to a request was a problem (RFC 9457)."""

    def __init__(self, status, document):
        self.status = status
        # The last word of the problem's type, such as "unknown-function".
        self.code = document.get("type", "").rpartition(":")[2]
        self.title = document.get("title", "")
        self.detail = document.get("detail", "")
        # The JSON Pointer of the submission's member that is wrong, else None.
        self.pointer = document.get("pointer")
        self.document = document
        place = " (at %s)" % self.pointer if self.pointer else ""
        super().__init__("%d %s: %s%s" % (status, self.title, self.detail, place))

    def __reduce__(self):
        return type(self), (self.status, self.document)


class JobFailed(MartletError):
    """A job, or an item of a map, has failed; the members of its error are attributes."""

    def __init__(self, job, error):
        self.job = job
        self.error = error
        # exception, timeout, signal, out_of_memory, exit, lost, limit, cancelled or unavailable.
        self.reason = error.get("reason", "exception")
        self.type = error.get("type", "")
        self.message = error.get("message", "")
        self.traceback = error.get("traceback")
        self.index = error.get("index")
        self.signal = error.get("signal")
        self.exit_status = error.get("exit_status")
        place = "" if self.index is None else "item %d of " % self.index
        super().__init__("%sjob %s: %s: %s" % (place, job, self.type, self.message))

    def __reduce__(self):
        return type(self), (self.job, self.error)


class JobCancelled(JobFailed):
    """The job was cancelled before it had a result."""


class RemoteTraceback(Exception):
    """The traceback of a worker, as the cause of an exception that it sent."""

    def __init__(self, text):
        super().__init__(text)
        self.text = text

    def __str__(self):
        return '\n"""\n%s"""' % self.text


def failure(job, error, unpickle=False):
    """The exception for a failure of a job.

    With `unpickle` it is the one that the function raised, if the server has it.
    """
    made = None
    if unpickle and error.get("pickle"):
        try:
            made = pickle.loads(base64.b64decode(error["pickle"]))
        except Exception:
            made = None  # of a class that this program cannot import: JobFailed tells of it
    if not isinstance(made, BaseException):
        kind = JobCancelled if error.get("reason") == "cancelled" else JobFailed
        made = kind(job, error)
    if error.get("traceback"):
        made.__cause__ = RemoteTraceback(error["traceback"])
    return made

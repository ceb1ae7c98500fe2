"""What is asked of the server and how its answers are understood, without I/O.

Each operation is a generator. It yields steps, which a client carries out: a `Request` (the client
sends back the Answer, or throws what went wrong), `Read` (the next bytes of a streamed answer, b""
at its end), `PULL` (the next item of the caller's iterable, `END` after the last) and `Item(value)`,
which is handed to the caller. `Client` carries them out on sockets, `AsyncClient` on asyncio.
"""

import collections
import datetime
import hashlib
import json
import random
import time
import uuid
from urllib.parse import quote, urlencode

from . import errors, functions
from .wire import Request

PULL, END = object(), object()
# Seconds of one long poll; a wait for longer asks again, so that a dead connection is noticed.
POLL_SECONDS = 30.0
# Bytes of items in one map job; more items are sent as several jobs.
MAP_BYTES = 16 << 20


class Item:
    __slots__ = ("value",)

    def __init__(self, value):
        self.value = value


class Read:
    """The next bytes of the answer, within some seconds; ConnectionLost after them."""

    __slots__ = ("seconds",)

    def __init__(self, seconds):
        self.seconds = seconds


class Patience:
    """When to ask again after a failure: after 0.05 s, then twice as long each time, 2 s at most.

    It ends `seconds` after the first failure in a row.
    """

    def __init__(self, seconds):
        self.seconds = seconds
        self.end = None
        self.delay = 0.05

    def wait(self, at_least=None):
        """Seconds to wait before the next try; None to give up."""
        now = time.monotonic()
        if self.end is None:
            self.end = now + self.seconds
        delay = max(self.delay * random.uniform(0.75, 1), at_least or 0)
        self.delay = min(2.0, self.delay * 2)
        return delay if now + delay <= self.end else None


# Answers of a server, or of a proxy before it, that is full or not there for a moment.
PASSING_STATUSES = (429, 502, 503, 504)


def passes(answer):
    """Whether the same request may fare better in a moment."""
    if answer.status == 409:  # an earlier try of ours is still being stored
        return answer.problem().code == "idempotency-key-in-use"
    return answer.status in PASSING_STATUSES


_encode = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode


def encode(value):
    return _encode(value).encode("utf-8", "backslashreplace")


def submission(function, members):
    """The JSON members of a submission; None stands for "not given"."""
    made = {"function": function}
    for name, value in members.items():
        if value is None:
            continue
        if name == "retry" and isinstance(value, int):
            value = {"max_attempts": value}
        elif isinstance(value, datetime.timedelta):
            value = value.total_seconds()
        elif isinstance(value, datetime.datetime):
            value = value.astimezone(datetime.timezone.utc).isoformat().replace("+00:00", "Z")
        elif name in ("map", "tags") and not isinstance(value, (list, tuple)):
            value = list(value)
        made[name] = value
    return made


def path(job, *more):
    return "/".join(("/v1/jobs", quote(job, safe=""), *more))


def ask(request, *statuses):
    """The answer, if its status is among these; else raises Refused."""
    answer = yield request
    if answer.status not in (statuses or (200,)):
        raise answer.problem()
    return answer


def ask_json(method, address, *statuses, repeatable=True):
    return (yield from ask(Request(method, address, repeatable=repeatable), *statuses)).json()


# --- Submitting ------------------------------------------------------------------------------

def submit(body, key=None, wait=None):
    """The document of the new job; with `wait`, at its end if that comes within these seconds."""
    headers = [("Idempotency-Key", key or uuid.uuid4().hex), *nested()]
    if wait is not None:
        headers.append(("Prefer", "wait=%.3f" % wait))
    request = Request("POST", "/v1/jobs", body, headers, wait=wait or 0)
    return (yield from ask(request, 200, 202)).json()


def nested():
    """The header field of a submission that a job makes: it may wait for the new one."""
    return () if functions.lend_slots is functions.Nothing else (("Martlet-Nested", "1"),)


def submit_many(submissions):
    headers = [("Idempotency-Key", uuid.uuid4().hex), *nested()]
    request = Request("POST", "/v1/jobs/batch", encode(submissions), headers)
    return [job["id"] for job in (yield from ask(request, 202)).json()["jobs"]]


def complete(body, key, seconds=None):
    """Submits and waits for the end; the ended job's document, result included.

    Raises TimeoutError after `seconds`; the job runs on.
    """
    deadline = Deadline(seconds)
    document = yield from submit(body, key, wait=deadline.poll())
    while not ended(document):
        deadline.check(document["id"])
        document = yield from look(document["id"], deadline.poll())
    return document


def retry(job, items):
    # Not repeatable: the first one may have been carried out, and the job have ended again.
    query = "" if items is None else "?items=" + quote(items)
    return (yield from ask_json("POST", path(job, "retry") + query, 202, repeatable=False))


# --- Blobs -----------------------------------------------------------------------------------

class Blob:
    """Bytes that are sent to the server ahead of the calls that name them."""

    def __init__(self, data):
        self.data = memoryview(data).cast("B")
        self.digest = hashlib.sha256(self.data).hexdigest()


def blob_path(digest):
    return "/v1/blobs/" + quote(digest, safe="")


def put_blob(blob):
    """Sends a blob, unless the server has it; returns its digest."""
    place = blob_path(blob.digest)
    held = yield Request("HEAD", place)
    if held.status != 200:
        yield from ask(Request("PUT", place, blob.data), 201, 204)
    return blob.digest


# --- Looking ---------------------------------------------------------------------------------

class Deadline:
    def __init__(self, seconds):
        self.end = None if seconds is None else time.monotonic() + max(0, seconds)

    def poll(self):
        """Seconds for the next long poll."""
        if self.end is None:
            return POLL_SECONDS
        return min(POLL_SECONDS, max(0.0, self.end - time.monotonic()))

    def check(self, job):
        if self.end is not None and time.monotonic() >= self.end:
            raise TimeoutError("job %s has not ended in time" % job)


def ended(document):
    return document["state"] in ("succeeded", "failed", "cancelled")


def look(job, wait=0):
    query = "?wait=%.3f" % wait if wait else ""
    return (yield from ask(Request("GET", path(job) + query, wait=wait))).json()


def wait(job, seconds):
    deadline = Deadline(seconds)
    while True:
        document = yield from look(job, deadline.poll())
        if ended(document):
            return document
        deadline.check(job)


def result(job, seconds, unpickle=False):
    deadline = Deadline(seconds)
    while True:
        poll = deadline.poll()
        query = "?wait=%.3f" % poll if poll else ""
        answer = yield Request("GET", path(job, "result") + query, wait=poll)
        if answer.status == 200:
            return answer.json()
        if answer.status != 202:
            problem = answer.problem()
            if answer.status == 409 and problem.code in ("job-failed", "job-cancelled"):
                raise job_failure(job, problem.document.get("error"), problem.code, unpickle)
            raise problem
        deadline.check(job)


def job_failure(job, error, state, unpickle=False):
    """The exception for a job that has ended without a result."""
    if state.endswith("cancelled"):
        error = dict(error or {"type": "Cancelled", "message": "the job was cancelled"},
                     reason="cancelled")
    return errors.failure(job, error or {"type": state, "message": "no reason was kept"}, unpickle)


def listed(query):
    """Jobs, newest first, page by page."""
    limit, query = query.pop("limit", None), {k: v for k, v in query.items() if v is not None}
    while limit is None or limit > 0:
        query["limit"] = 1000 if limit is None else min(1000, limit)
        page = yield from ask_json("GET", "/v1/jobs?" + urlencode(query))
        for document in page["jobs"]:
            yield Item(document)
        if limit is not None:
            limit -= len(page["jobs"])
        query["cursor"] = page["next_cursor"]
        if query["cursor"] is None:
            return


# --- Items of a map --------------------------------------------------------------------------

def items(job, first=0, seconds=None, order="index"):
    """Hands out the items of a map while it runs, as dicts of index and result or error.

    This is the one place that waits for items: the server sends them as they end, and where its
    answer breaks off or stands still, this asks for the rest.
    """
    if order not in ("index", "completion"):
        raise ValueError('order is "index" or "completion", not %r' % (order,))
    deadline, seen = Deadline(seconds), set()
    while True:
        # In the order of completion the server tells all from the beginning each time.
        query = "?order=completion" if order == "completion" else "?from=%d" % first if first else ""
        try:
            answer = yield Request("GET", path(job, "items") + query, is_streamed=True)
            if answer.status != 200:
                raise answer.problem()
            rest, data = b"", None
            while data != b"":
                data = yield Read(deadline.poll())
                lines = (rest + data).split(b"\n")
                rest = lines.pop()
                for line in lines:
                    item = json.loads(line)
                    if order == "index":
                        first = item["index"] + 1
                    elif item["index"] in seen:
                        continue
                    else:
                        seen.add(item["index"])
                    yield Item(item)
            document = yield from look(job)
            if ended(document):
                break
        except errors.ConnectionLost:
            deadline.check(job)
    if document["state"] != "succeeded":
        raise job_failure(job, document.get("error"), document["state"])


def outcomes(job, unpickle=False):
    """The items of a map that is wanted as a whole: a list of results, failed ones as exceptions.

    Of a map that ran with on_error "continue".
    """
    document = yield from wait(job, None)
    if document["state"] != "succeeded":
        raise job_failure(job, document.get("error"), document["state"])
    if not document["progress"]["failed"]:
        return (yield from result(job, 0))
    answer = yield from ask(Request("GET", path(job, "items")))
    found = []
    for line in answer.body.split(b"\n"):
        if line:
            item = json.loads(line)
            found.append(errors.failure(job, item["error"], unpickle) if "error" in item
                         else item["result"])
    return found


class Pace:
    """How many items to send at once, so that a job of them takes about 0.2 s of the server."""

    SECONDS = 0.2

    def __init__(self, most):
        self.size = 1
        self.most = most
        self.items = self.seconds = 0.0
        self.last = time.monotonic()

    def note(self, count):
        """Learns from a job that has ended; the jobs run beside each other."""
        now = time.monotonic()
        self.items = self.items / 2 + count
        self.seconds = self.seconds / 2 + now - self.last
        self.last = now
        ideal = self.SECONDS * self.items / max(self.seconds, 1e-6)
        self.size = int(max(1, min(ideal, self.size * 4, self.most)))

"""`Client.map` without I/O: one job, whose items are sent while its results are read.

    caller's iterator ── PULL ──► waiting: items without a result ── upload ──► server
                                        ▲ taken out                              │
    caller ◄──── Item ──────────────────┴──── results, in the items' order ◄─────┘

An upload that is cut cannot be resumed, but the items that wait are here: the server cancels the job,
the results that it still has are read, and the others are sent again as a new job. So an item may be
run twice, as any job may when a server ends. A proxy that gathers bodies before it sends them on lets
no job begin; where no sign of one comes, the body is ended, and the rest sent as the next job.
"""

import collections
import json
import time

from . import errors
from .operations import (
    END, POLL_SECONDS, PULL, Item, Patience, Read, ask_json, encode, ended, job_failure, look,
    nested, passes, path, submission)
from .wire import Request

# Bytes of the items under way, whatever their number.
READ_AHEAD_BYTES = 64 << 20
# Seconds for the first sign of the job, when nothing can be done without it.
HINT_SECONDS = 5.0
# Seconds between two looks for results while items can be had at once.
LOOK_SECONDS = 0.01

# Whether `Read` would give something at once.
READY = object()


class Open:
    """Begin an upload, after some seconds; the client sends back the Upload."""

    __slots__ = ("request", "delay")

    def __init__(self, request, delay):
        self.request = request
        self.delay = delay


class Await:
    """The result of a future; None if it does not come within some seconds."""

    __slots__ = ("future", "seconds")

    def __init__(self, future, seconds=None):
        self.future = future
        self.seconds = seconds


class Cut(Exception):
    """The upload broke off; what it said of the reason."""


class StreamedMap:
    """One call of `Client.map`."""

    def __init__(self, function, members, read_ahead, retry_for):
        members = {"on_error": "stop", **members}
        self.stops = members["on_error"] == "stop"
        self.head = encode(submission(function, members)) + b"\n"
        self.read_ahead = max(1, read_ahead)
        self.retry_for = retry_for
        self.patience = Patience(retry_for)
        # Lines of the items whose results were not handed out, oldest first.
        self.waiting = collections.deque()
        self.waiting_bytes = 0
        # Whether the caller's iterator has ended.
        self.is_over = False
        self.takes_hints = True
        # What is under way; the client breaks it off if the iterator is left.
        self.upload = None
        self.job = None
        # The index of the next result within the job, and whether its stream is open.
        self.next = 0
        self.listens = False
        # The beginning of a line of the stream whose end has not come.
        self.rest = b""

    def run(self):
        yield from self._pull()
        delay = 0
        while self.waiting:
            try:
                yield from self._run_job(delay)
                delay = 0
                yield from self._pull()
            except (Cut, errors.ConnectionLost) as error:
                delay = self.patience.wait()
                if delay is None:
                    raise errors.Unreachable("the upload broke off: %s" % error) from error

    def _pull(self):
        """Adds the caller's next item to those that wait, if there is room and one more."""
        if not self.is_over:
            item = yield PULL
            if item is END:
                self.is_over = True
            else:
                line = encode(item) + b"\n"
                self.waiting.append(line)
                self.waiting_bytes += len(line)

    def _has_room(self):
        return len(self.waiting) < self.read_ahead and self.waiting_bytes < READ_AHEAD_BYTES

    # --- One upload

    def _run_job(self, delay):
        """Sends the items that wait and more of them, and hands out results until all are."""
        # Named by Connection, a field goes no further than to the next hop: a proxy that does not
        # know hints is sent none.
        headers = [("Prefer", "hints"), ("Connection", "Prefer"), *nested()]
        request = Request("POST", "/v1/jobs", headers=headers, repeatable=False, is_upload=True)
        self.upload = upload = yield Open(request, delay)
        self.job, self.next, self.listens = None, 0, False
        upload.put(self.head + b"".join(self.waiting))
        is_whole, looked = False, time.monotonic()
        while True:
            if not is_whole and (self.is_over or not (yield from self._goes_on())):
                upload.finish()
                is_whole = True
            elif not is_whole and self._has_room():
                yield from self._pull()
                if not self.is_over:
                    upload.put(self.waiting[-1])
                if time.monotonic() < looked + LOOK_SECONDS:
                    continue
                looked = time.monotonic()
                if not (yield from self._is_ready()):
                    continue
            if not (yield from self._take()):
                return

    def _goes_on(self):
        """Whether more may be sent: false if all that may be is, and no job is in sight."""
        if self._has_room() or self.job is not None:
            return True
        if self.takes_hints:
            self.takes_hints = (
                (yield Await(self.upload.started, HINT_SECONDS)) is not None
                or self.upload.started.done())
        return self.takes_hints

    def _is_ready(self):
        if self.job is None:
            return self.upload.started.done()
        return (yield READY)

    # --- Results

    def _take(self):
        """Hands out what comes next of the results; False when the job has none left."""
        if not self.listens:
            yield from self._listen()
        try:
            data = yield Read(POLL_SECONDS)
        except errors.ConnectionLost:
            self.listens = False
            return True
        if data:
            lines = (self.rest + data).split(b"\n")
            self.rest = lines.pop()
            for item in json.loads(b"[%s]" % b",".join(lines)):  # at once, which is quicker
                yield from self._hand_out(item)
            return True
        self.listens = False
        document = yield from look(self.job)
        return not ended(document) or (yield from self._judge(document))

    def _listen(self):
        if self.job is None:
            self.job = yield Await(self.upload.started)
            if self.job is None:
                yield from self._explain()
        query = "?from=%d" % self.next if self.next else ""
        answer = yield Request("GET", path(self.job, "items") + query, is_streamed=True)
        if answer.status != 200:
            raise answer.problem()
        self.rest, self.listens = b"", True

    def _hand_out(self, item):
        if item["index"] != self.next:
            return  # those between them have no results
        if "error" in item and item["error"].get("reason") == "cancelled":
            return  # not the item's own failure: the job's
        failure = errors.failure(self.job, item["error"]) if "error" in item else None
        if failure is not None and self.stops:
            raise failure
        self.next += 1
        self.waiting_bytes -= len(self.waiting.popleft())
        if self.patience.end is not None:
            self.patience = Patience(self.retry_for)
        yield Item(item["result"] if failure is None else failure)

    def _judge(self, document):
        """False when the job has done all that it was sent; else raises."""
        if document["state"] == "succeeded":
            # The answer came before: it is taken so that the upload is over when the map is.
            yield Await(self.upload.answered, POLL_SECONDS)
            return False
        error = document.get("error") or {}
        if error.get("type") == "UploadCut":
            yield from self._explain()
        raise job_failure(self.job, error, document["state"])

    def _explain(self):
        """Raises why the upload was not taken: Cut if it may be in a moment."""
        answer = yield Await(self.upload.answered, POLL_SECONDS)
        if answer is None:
            raise Cut("the server does not answer")
        # 408: the client itself stood still, for whatever reason.
        if passes(answer) or answer.status == 408:
            raise Cut(str(answer.problem()))
        if answer.status >= 400:
            raise answer.problem()
        raise Cut("it was not whole")


def cancel(job):
    """Cancels what is left of a map whose iterator was left."""
    return (yield from ask_json("POST", path(job, "cancel"), 200, 202, 404))

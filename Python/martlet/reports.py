"""What calls say while they run: prints, records of `logging`, progress.

    print, logging ──► Capture, Handler ──► Reports ──► the worker's channel

A call that says nothing pays for a few attributes. The first lines leave at once; when there are
many, those of a moment are sent together, by a thread that only then is started.
"""

import io
import json
import os
import sys
import threading
import time

# Bytes of a line and of all lines of one call; the server bounds them of a job.
LINE_BYTES = 16384
CALL_BYTES = (1 << 20) + 65536
# Seconds between two messages of one call, once it has sent so many: what a call says just before
# it takes its worker down is not to be lost.
PAUSE, PROMPT = 0.05, 200

encode = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode


class Open:
    """What one call has said and was not sent yet."""

    __slots__ = ("lines", "partial", "progress", "size", "sent", "count")

    def __init__(self):
        self.lines, self.partial, self.progress = [], {}, None
        self.size, self.sent, self.count = 0, 0.0, 0


class Reports:
    """Collects what calls say and sends it.

    current  tells number and trace of the call that runs here, None of no call
    send     sends a message of bytes; called with `lock` held
    """

    def __init__(self):
        self.current, self.send, self.lock = lambda: (None, None), None, threading.RLock()
        # The calls that have said something and are not answered; usually none.
        self.open = {}
        self.pid = os.getpid()
        self.due = None

    def add(self, stream, level, text):
        """Takes text that may be a part of a line; false if no call runs here."""
        number = self.current()[0]
        if number is None or os.getpid() != self.pid:
            return False
        with self.lock:
            call = self.open.get(number)
            if call is None:
                call = self.open[number] = Open()
            if call.size > CALL_BYTES:
                return True
            text = call.partial.pop(stream, "") + text
            lines = text.split("\n")
            rest = lines.pop()
            if rest:
                # One more than is kept, so that the cut shows; and of what overwrites itself (a
                # progress bar) only the latest.
                start = rest.rfind("\r", 0, len(rest) - 1) + 1
                call.partial[stream] = rest[start:start + LINE_BYTES + 1]
            for line in lines:
                self.keep(call, stream, level, line)
            if lines:
                self.send_soon(number, call)
        return True

    def keep(self, call, stream, level, line):
        if "\r" in line:
            line = line.rstrip("\r").rpartition("\r")[2]
        if len(line) > LINE_BYTES // 4 and len(line.encode("utf-8", "replace")) > LINE_BYTES:
            cut = line.encode("utf-8", "replace")[:LINE_BYTES].decode("utf-8", "ignore")
            line = cut + " [cut: a line has %d bytes at most]" % LINE_BYTES
        call.lines.append((stream, level, line))
        call.size += len(line) + 1

    def note(self, done, total, message):
        """Takes a call's progress."""
        number = self.current()[0]
        if number is None or os.getpid() != self.pid:
            return
        with self.lock:
            call = self.open.get(number)
            if call is None:
                call = self.open[number] = Open()
            call.progress = (done, total, message)
            self.send_soon(number, call)

    def send_soon(self, number, call):
        if call.count < PROMPT or time.monotonic() - call.sent >= PAUSE:
            call.count += 1
            return self.flush(number, call)
        if self.due is None:
            self.due = threading.Event()
            threading.Thread(target=self.flush_later, name="martlet-reports", daemon=True).start()
        self.due.set()

    def flush_later(self):
        while True:
            self.due.wait()
            time.sleep(PAUSE)
            with self.lock:
                self.due.clear()
                for number, call in list(self.open.items()):
                    self.flush(number, call)

    def flush(self, number, call):
        if call.lines:
            lines, call.lines = call.lines, []
            self.write({"log": number, "lines": lines})
        if call.progress is not None:
            done, total, message = call.progress
            call.progress = None
            self.write({"progress": number, "done": done, "total": total, "message": message})
        call.sent = time.monotonic()

    def write(self, message):
        self.send((encode(message) + "\n").encode("utf-8", "replace"))

    def finish(self, number):
        """Sends the rest of a call that has ended; its answer follows."""
        with self.lock:
            call = self.open.pop(number, None)
            if call is not None:
                for stream, rest in call.partial.items():
                    self.keep(call, stream, "", rest)
                self.flush(number, call)


class Capture(io.TextIOBase):
    """Takes the place of sys.stdout or sys.stderr; outside of calls it hands on to it."""

    def __init__(self, stream, original, reports):
        self.stream, self.original, self.reports = stream, original, reports
        self.buffer = CaptureBytes(self)

    encoding = property(lambda self: "utf-8")
    errors = property(lambda self: "backslashreplace")

    def write(self, text):
        if not isinstance(text, str):
            raise TypeError("write() argument must be str, not " + type(text).__name__)
        if not self.reports.add(self.stream, "", text):
            self.original.write(text)
        return len(text)

    def flush(self):
        try:
            self.original.flush()
        except ValueError:
            pass  # closed by the function; what was captured does not go through it

    def writable(self):
        return True

    def isatty(self):
        return False

    def fileno(self):
        return self.original.fileno()

    def close(self):
        pass  # it belongs to the worker, not to the function


class CaptureBytes(io.RawIOBase):
    """`sys.stdout.buffer` of a capture."""

    def __init__(self, capture):
        self.capture = capture

    def writable(self):
        return True

    def write(self, data):
        data = bytes(data)
        self.capture.write(data.decode("utf-8", "replace"))
        return len(data)

    def fileno(self):
        return self.capture.fileno()

    def close(self):
        pass


def install():
    """Captures this process's prints and records from here on; outside of calls they pass."""
    reports = Reports()
    sys.stdout = Capture("stdout", sys.stdout, reports)
    sys.stderr = Capture("stderr", sys.stderr, reports)
    if "logging" in sys.modules:
        capture_logging(reports)
    else:
        sys.meta_path.insert(0, LoggingImport(reports))
    return reports


class LoggingImport:
    """Captures `logging` when a function imports it, which most do not."""

    def __init__(self, reports):
        self.reports = reports

    def find_spec(self, name, path=None, target=None):
        if name != "logging":
            return None
        import importlib.util
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        run, reports = spec.loader.exec_module, self.reports

        def exec_module(module):
            run(module)
            capture_logging(reports, module)
        spec.loader.exec_module = exec_module
        return spec


def capture_logging(reports, logging=None):
    """Has the root logger tell records of INFO and above with their level."""
    if logging is None:
        import logging

    class Handler(logging.Handler):
        def emit(self, record):
            try:
                text, level = self.format(record), record.levelname.lower()
                if not reports.add("log", level, text + "\n"):
                    sys.stderr.write("%s: %s\n" % (record.levelname, text))
            except Exception:
                self.handleError(record)

    root, handler, configure = logging.getLogger(), Handler(), logging.basicConfig

    def basic_config(**options):
        """As ever; a handler that would print comes to what is captured already."""
        root.removeHandler(handler)
        try:
            configure(**options)
        finally:
            for other in list(root.handlers):
                if type(other) is logging.StreamHandler and isinstance(other.stream, Capture):
                    handler.setFormatter(other.formatter if "format" in options else None)
                    handler.setLevel(other.level)
                    root.removeHandler(other)
            root.addHandler(handler)

    root.addHandler(handler)
    root.setLevel(logging.INFO)
    logging.basicConfig = basic_config

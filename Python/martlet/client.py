"""`martlet.Client`: the HTTP interface as calls, on kept-alive connections, for many threads."""

import concurrent.futures
import os
import select
import socket
import ssl
import threading
import time

from . import functions, maps, operations
from .errors import ConnectionLost, Unreachable
from .operations import END, PULL, Item, Patience, Read
from .wire import Address, AnswerReader, Request

# Connections that are kept when nobody uses them.
IDLE_CONNECTIONS = 8
# Bytes of a large body that are sent at once.
SEND_BYTES = 1 << 20
# Seconds of trying to reach a server that has never answered this client: more likely its URL is
# wrong than it is just being started again.
FIRST_SECONDS = 3.0
# Seconds after which who holds a request without an answer is taken for a server too.
HELD_SECONDS = 0.5
NOTHING = functions.Nothing()


class JobView:
    """A job as its document showed it when it was last asked for."""

    def __init__(self, client, document):
        self._client = client
        self.document = document

    @property
    def id(self):
        return self.document["id"]

    @property
    def state(self):
        return self.document["state"]

    @property
    def has_ended(self):
        return operations.ended(self.document)

    @property
    def progress(self):
        """Items of a map: a dict of total, done and failed; None of a single call."""
        return self.document.get("progress")

    @property
    def error(self):
        """Why it failed, as a dict; None if it did not."""
        return self.document.get("error")

    def __repr__(self):
        return "<%s %s %s %s>" % (
            type(self).__name__, self.id, self.document.get("function"), self.state)


class Job(JobView):
    """A job on the server; its methods ask the server and bring this view up to date."""

    def refresh(self):
        self.document = self._client._run(operations.look(self.id))
        return self

    def wait(self, timeout=None):
        """Waits for the end, whichever; TimeoutError after `timeout` seconds."""
        self.document = self._client._run(operations.wait(self.id, timeout))
        return self

    def result(self, timeout=None):
        """What the function returned; JobFailed, JobCancelled or TimeoutError."""
        return self._client.result(self.id, timeout)

    def items(self, first=0, timeout=None, order="index"):
        return self._client.items(self.id, first, timeout, order)

    def cancel(self):
        self.document = self._client._run(operations.ask_json(
            "POST", operations.path(self.id, "cancel"), 200, 202))
        return self

    def retry(self, items=None):
        """Runs an ended job again; a map that failed, or with "failed", only what has no result."""
        self.document = self._client._run(operations.retry(self.id, items))
        return self

    def delete(self):
        self._client._run(operations.ask(
            Request("DELETE", operations.path(self.id)), 204, 404))


class Client:
    """A server, to be used by any number of threads.

    url        http://HOST:PORT, https://… or unix:/PATH; else MARTLET_URL, else port 8080 here
    token      of a server that wants one; else MARTLET_TOKEN. Of one that speaks TLS, MARTLET_CA is a
               PEM file with the authorities to trust instead of the system's.
    timeout    seconds in which a connection must be made, and in which the server must answer
    retry_for  seconds during which a request that may be repeated is sent again when the server
               cannot be reached, is lost or is full; then Unreachable, or Refused. Submissions
               bear an Idempotency-Key, so that the repeat of one makes no second job.
    """

    def __init__(self, url=None, token=None, *, timeout=30.0, retry_for=60.0):
        self.address = Address(url, token)
        self._secure = secure_context(self.address)
        self.timeout = timeout
        self.retry_for = retry_for
        self._idle = []
        self._lock = threading.Lock()
        self._process = os.getpid()
        self._is_closed = False
        self._has_reached = False

    # --- Jobs

    def submit(self, function, *, args=None, map=None, idempotency_key=None, **members):
        """Submits a job; returns it as soon as it is durable.

        `args` (a list of positional or a dict of named arguments) makes one call, `map` one call
        for each of its items. The other members are those of the HTTP interface: spread, pool,
        concurrency, chunk, on_error, queue, priority, not_before, delay, timeout, keep, tags and
        retry (a number of attempts, or a dict).
        """
        body = operations.encode(operations.submission(
            function, dict(members, args=args, map=map)))
        return Job(self, self._run(operations.submit(body, idempotency_key)))

    def submit_many(self, submissions):
        """Submits dicts of members, all or none; returns the ids in their order.

        When the connection is lost it is repeated with the same Idempotency-Key.
        """
        return self._run(operations.submit_many(
            [operations.submission(each.get("function"), each) for each in submissions]))

    def run(self, function, *, args=None, map=None, wait=None, **members):
        """Submits a job and waits for its result, `wait` seconds at most."""
        return self.submit(function, args=args, map=map, **members).result(wait)

    def map(self, function, items, *, read_ahead=8192, **members):
        """Calls the function for each item; an iterator of the results in the items' order.

        It is one job, whose items are sent while its results come, so that they may be an endless
        iterator: at most `read_ahead` of them, and 64 MiB, are with the server or have results that
        were not taken yet. The iterator is read by the thread that takes the results. At a failed
        item it raises JobFailed; with on_error="continue" it hands out the JobFailed in place of the
        result and goes on. To leave the iterator early cancels what is under way. When the
        connection or the server is lost, items without a result are sent again.
        """
        return self._map(
            maps.StreamedMap(function, members, read_ahead, self.retry_for), iter(items))

    def _map(self, streamed, items):
        is_over = False
        try:
            yield from self._iterate(streamed.run(), items)
            is_over = True
        finally:
            if streamed.upload is not None and not is_over:
                streamed.upload.stop()
                if streamed.job is not None:
                    self._run(maps.cancel(streamed.job))

    def job(self, id):
        return Job(self, self._run(operations.look(id)))

    def wait(self, job, timeout=None):
        return Job(self, self._run(operations.wait(_id(job), timeout)))

    def result(self, job, timeout=None):
        return self._run(operations.result(_id(job), timeout))

    def items(self, job, first=0, timeout=None, order="index"):
        """The items of a map while it runs, as dicts of index and result or error.

        Begins at the index `first`, so that a reader can go on where it was. With the order
        "completion" they come as they end. After `timeout` seconds it raises TimeoutError.
        """
        return self._iterate(operations.items(_id(job), first, timeout, order))

    stream = items

    def cancel(self, job):
        return Job(self, {"id": _id(job)}).cancel()

    def retry(self, job, items=None):
        return Job(self, {"id": _id(job)}).retry(items)

    def delete(self, job):
        Job(self, {"id": _id(job)}).delete()

    def list(self, *, state=None, function=None, queue=None, tag=None, limit=None):
        """Jobs, newest first, as an iterator that reads page after page."""
        query = dict(state=state, function=function, queue=queue, tag=tag, limit=limit)
        return (Job(self, document) for document in self._iterate(operations.listed(query)))

    # --- Blobs

    def put_blob(self, data):
        """Sends bytes, or anything with a buffer such as an array, unless the server has them.

        Returns their SHA-256, by which a function gets them: `martlet.blob(digest)`. The server
        keeps blobs until it wants room for newer ones; those used longest ago go first.
        """
        return self._run(operations.put_blob(operations.Blob(data)))

    def get_blob(self, digest):
        return self._run(operations.ask(Request("GET", operations.blob_path(digest)))).body

    # --- The server

    def functions(self):
        """What can be run, as dicts by name."""
        document = self._run(operations.ask_json("GET", "/v1/functions"))
        return {function["name"]: function for function in document["functions"]}

    def pools(self):
        """Sizes and load, as dicts by name."""
        document = self._run(operations.ask_json("GET", "/v1/pools"))
        return {pool["name"]: pool for pool in document["pools"]}

    def close(self):
        """Closes the connections that nobody uses, and each other one when it is given back."""
        with self._lock:
            idle, self._idle, self._is_closed = self._idle, [], True
        for connection in idle:
            connection.close()

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.close()

    def __del__(self):
        for connection in getattr(self, "_idle", ()):
            connection.close()

    # --- Carrying out operations

    def _run(self, operation):
        """Carries out an operation that hands out no items; returns what it returns."""
        outcome = []
        for _ in self._steps(operation, None, outcome):
            pass
        return outcome[0]

    def _iterate(self, operation, items=None):
        return self._steps(operation, items, [])

    def _steps(self, operation, items, outcome):
        stream = None
        sent, failed = None, None
        try:
            while True:
                step = operation.send(sent) if failed is None else operation.throw(failed)
                sent = failed = None
                if isinstance(step, Item):
                    yield step.value
                elif step is PULL:
                    sent = next(items, END)
                elif step is maps.READY:
                    sent = stream.is_ready()
                else:
                    try:
                        if isinstance(step, Read):
                            sent = stream.read(step.seconds)
                        elif isinstance(step, maps.Await):
                            sent = awaited(step)
                        elif isinstance(step, maps.Open):
                            sent = self._open(step)
                        elif step.is_streamed:
                            sent, stream = self._exchange(step)
                        else:
                            sent, _ = self._exchange(step)
                    except Exception as error:
                        failed = error
        except StopIteration as end:
            outcome.append(end.value)
        finally:
            operation.close()
            if stream is not None:
                stream.close()

    def _open(self, step):
        """Begins an upload, on a connection and in a thread of its own."""
        from . import async_client, uploads  # asyncio is not imported for less

        upload = uploads.Upload(step.request)
        uploads.run_in_thread(upload, async_client.AsyncClient.like(self), step.delay)
        return upload

    def _exchange(self, request):
        """The answer, and the stream of its body if it is streamed."""
        data = request.encoded(self.address)
        patience = None
        while True:
            connection = began = None
            try:
                connection = self._connection()
                began = time.monotonic()
                with functions.lend_slots() if request.may_last else NOTHING:
                    reader = connection.exchange(request, data)
                self._has_reached = True
            except OSError as error:
                if connection is not None:
                    connection.close()
                    if time.monotonic() - began > HELD_SECONDS:
                        self._has_reached = True
                patience = patience or self._patience()
                # Whether the server has acted on a request is not known once there was a
                # connection to send it on.
                is_safe = request.repeatable or connection is None
                delay = patience.wait() if is_safe and is_passing(error) else None
                if delay is None:
                    raise Unreachable("no answer of %s to %s %s: %s" % (
                        self.address.url, request.method, request.path, error)) from error
            else:
                answer = reader.answer
                if request.is_streamed and answer.status == 200:
                    return answer, Stream(self, connection, reader)
                answer.body = reader.take()
                self._give_back(connection, reader)
                if not request.repeatable or not operations.passes(answer):
                    return answer, None
                patience = patience or self._patience()
                delay = patience.wait(at_least=answer.retry_after)
                if delay is None:
                    return answer, None
            time.sleep(delay)

    def _patience(self):
        return Patience(self.retry_for if self._has_reached
                        else min(self.retry_for, FIRST_SECONDS))

    def _connection(self):
        with self._lock:
            if self._process != os.getpid():  # after a fork they are the parent's
                self._idle, self._process = [], os.getpid()
            while self._idle:
                connection = self._idle.pop()
                if connection.is_usable():
                    return connection
                connection.close()
        return Connection(self.address, self.timeout, self._secure)

    def _give_back(self, connection, reader):
        if reader.done and reader.keeps_alive:
            with self._lock:
                if len(self._idle) < IDLE_CONNECTIONS and not self._is_closed:
                    self._idle.append(connection)
                    return
        connection.close()


def secure_context(address):
    """How to speak TLS with a server; None with one that does not. ValueError of wrong authorities."""
    if not address.is_secure:
        return None
    try:
        return ssl.create_default_context(cafile=address.authorities)
    except OSError as error:
        raise ValueError("MARTLET_CA cannot be read: %s: %s" % (
            address.authorities, error.strerror or error)) from None


def is_passing(error):
    """Whether it makes sense to try again after it: a wrong certificate stays wrong."""
    return not isinstance(error, ssl.SSLCertVerificationError)


def awaited(step):
    """The result of a future, or None after the time that the step gives it."""
    try:
        return step.future.result(step.seconds)
    except concurrent.futures.TimeoutError:
        if step.future.done():  # it is the future's own
            raise
        return None


def _id(job):
    return job if isinstance(job, str) else job.id


class Connection:
    """One connection; one request at a time."""

    def __init__(self, address, timeout, secure):
        self.timeout = timeout
        if address.socket_path:
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.settimeout(timeout)
            self.socket.connect(address.socket_path)
        else:
            self.socket = socket.create_connection((address.host, address.port), timeout)
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if secure is not None:
            self.socket = secure.wrap_socket(self.socket, server_hostname=address.host)

    def is_usable(self):
        """False if the server has ended it while it was idle."""
        return not select_readable(self.socket)

    def has_bytes(self):
        """Whether something of the server's is there to be read."""
        is_secure = isinstance(self.socket, ssl.SSLSocket)
        return bool(is_secure and self.socket.pending()) or select_readable(self.socket)

    def exchange(self, request, data):
        """Sends a request; returns the reader when its answer is whole, a streamed one's head."""
        reader, cut = AnswerReader(request.method), None
        self.socket.settimeout(self.timeout + request.wait)
        try:
            self.send(request, data)
        except ConnectionError as error:
            cut = error  # the server may have said why it takes no more of the body
        try:
            while not reader.done and not (request.is_streamed and reader.answer is not None
                                           and reader.answer.status == 200):
                reader.feed(self.receive())
        except OSError as error:
            raise cut or error from None
        if cut is not None:
            reader.keeps_alive = False
        return reader

    def send(self, request, data):
        self.socket.sendall(data)
        if request.is_raw:
            for start in range(0, len(request.body), SEND_BYTES):  # each within the time-out
                self.socket.sendall(request.body[start:start + SEND_BYTES])

    def receive(self):
        try:
            return self.socket.recv(262144)
        except socket.timeout:
            raise ConnectionLost("no answer within %g s" % self.socket.gettimeout()) from None

    def close(self):
        self.socket.close()


def select_readable(sock):
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    return bool(poll.poll(0))


class Stream:
    """The body of an answer while it comes."""

    def __init__(self, client, connection, reader):
        self.client = client
        self.connection = connection
        self.reader = reader

    def read(self, seconds):
        """The next bytes; b"" at the end; ConnectionLost if none come in time."""
        self.connection.socket.settimeout(max(seconds, 0.001))
        while True:
            data = self.reader.take()
            if data or self.reader.done:
                if self.reader.done and not data:
                    self.close()
                return data
            try:
                with functions.lend_slots():
                    self.reader.feed(self.connection.receive())
            except OSError as error:
                self.close()
                if isinstance(error, ConnectionLost):
                    raise
                raise ConnectionLost(str(error)) from error

    def is_ready(self):
        """Whether `read` would return at once."""
        connection = self.connection
        return (connection is None or self.reader.waiting > 0 or self.reader.done
                or connection.has_bytes())

    def close(self):
        connection, self.connection = self.connection, None
        if connection is not None:
            self.client._give_back(connection, self.reader)

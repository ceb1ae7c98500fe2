"""`martlet.AsyncClient`: the same as `martlet.Client`, for asyncio."""

import asyncio
import time

from . import functions, maps, operations
from .client import (
    FIRST_SECONDS, HELD_SECONDS, IDLE_CONNECTIONS, NOTHING, SEND_BYTES, JobView, _id, is_passing, secure_context)
from .errors import ConnectionLost, Unreachable
from .operations import END, PULL, Item, Patience, Read
from .uploads import Upload
from .wire import Address, AnswerReader, Request

# Connections that are open at once at most.
CONNECTIONS = 256
# Bytes of a streamed answer that wait for their reader before the server is held back.
STREAM_BYTES = 1 << 20


class AsyncJob(JobView):
    """A job on the server; its methods ask the server and bring this view up to date."""

    async def refresh(self):
        self.document = await self._client._run(operations.look(self.id))
        return self

    async def wait(self, timeout=None):
        self.document = await self._client._run(operations.wait(self.id, timeout))
        return self

    async def result(self, timeout=None):
        return await self._client.result(self.id, timeout)

    def items(self, first=0, timeout=None, order="index"):
        return self._client.items(self.id, first, timeout, order)

    async def cancel(self):
        self.document = await self._client._run(operations.ask_json(
            "POST", operations.path(self.id, "cancel"), 200, 202))
        return self

    async def retry(self, items=None):
        self.document = await self._client._run(operations.retry(self.id, items))
        return self

    async def delete(self):
        await self._client._run(operations.ask(
            Request("DELETE", operations.path(self.id)), 204, 404))


class AsyncClient:
    """A server, for the tasks of one event loop; see `martlet.Client` for the arguments.

    `connections` bounds how many are open at once; a request past it waits for one.
    """

    def __init__(self, url=None, token=None, *, timeout=30.0, retry_for=60.0,
                 connections=CONNECTIONS):
        address = Address(url, token)
        self._begin(address, secure_context(address), timeout, retry_for, connections)

    def _begin(self, address, secure, timeout, retry_for, connections):
        self.address = address
        self._secure = secure
        self.timeout = timeout
        self.retry_for = retry_for
        self.connections = connections
        self._idle = []
        # Connections that are being closed.
        self._dropped = []
        self._places = None
        self._is_closed = False
        self._has_reached = False
        self._uploads = set()

    @classmethod
    def like(cls, client):
        """One that speaks to the same server as a `Client`, as patiently."""
        twin = cls.__new__(cls)  # the environment may have changed since the client read it
        twin._begin(client.address, client._secure, client.timeout, client.retry_for,
                    CONNECTIONS)
        twin._has_reached = client._has_reached
        return twin

    async def submit(self, function, *, args=None, map=None, idempotency_key=None, **members):
        body = operations.encode(operations.submission(
            function, dict(members, args=args, map=map)))
        return AsyncJob(self, await self._run(operations.submit(body, idempotency_key)))

    async def submit_many(self, submissions):
        return await self._run(operations.submit_many(
            [operations.submission(each.get("function"), each) for each in submissions]))

    async def run(self, function, *, args=None, map=None, wait=None, **members):
        return await (await self.submit(function, args=args, map=map, **members)).result(wait)

    async def map(self, function, items, *, read_ahead=8192, **members):
        """As `Client.map`, for `async for`; the items may come of an asynchronous iterator."""
        streamed = maps.StreamedMap(function, members, read_ahead, self.retry_for)
        is_over = False
        try:
            async for value in self._iterate(streamed.run(), Puller(items)):
                yield value
            is_over = True
        finally:
            if streamed.upload is not None and not is_over:
                streamed.upload.stop()
                if streamed.job is not None:
                    await self._run(maps.cancel(streamed.job))

    async def job(self, id):
        return AsyncJob(self, await self._run(operations.look(id)))

    async def wait(self, job, timeout=None):
        return AsyncJob(self, await self._run(operations.wait(_id(job), timeout)))

    async def result(self, job, timeout=None):
        return await self._run(operations.result(_id(job), timeout))

    def items(self, job, first=0, timeout=None, order="index"):
        return self._iterate(operations.items(_id(job), first, timeout, order))

    stream = items

    async def cancel(self, job):
        return await AsyncJob(self, {"id": _id(job)}).cancel()

    async def retry(self, job, items=None):
        return await AsyncJob(self, {"id": _id(job)}).retry(items)

    async def delete(self, job):
        await AsyncJob(self, {"id": _id(job)}).delete()

    async def list(self, *, state=None, function=None, queue=None, tag=None, limit=None):
        query = dict(state=state, function=function, queue=queue, tag=tag, limit=limit)
        async for document in self._iterate(operations.listed(query)):
            yield AsyncJob(self, document)

    async def put_blob(self, data):
        return await self._run(operations.put_blob(operations.Blob(data)))

    async def get_blob(self, digest):
        answer = await self._run(operations.ask(Request("GET", operations.blob_path(digest))))
        return answer.body

    async def functions(self):
        document = await self._run(operations.ask_json("GET", "/v1/functions"))
        return {function["name"]: function for function in document["functions"]}

    async def pools(self):
        document = await self._run(operations.ask_json("GET", "/v1/pools"))
        return {pool["name"]: pool for pool in document["pools"]}

    async def close(self):
        """Closes the connections that nobody uses, and each other one when it is given back."""
        self._is_closed = True
        for task in self._uploads:
            task.cancel()
        while self._idle:
            self._drop(self._idle.pop())
        while not all(connection.is_lost for connection in self._dropped):
            await asyncio.sleep(0)  # the loop closes the sockets in its next rounds

    async def __aenter__(self):
        return self

    async def __aexit__(self, *unused):
        await self.close()

    # --- Carrying out operations

    async def _run(self, operation):
        outcome = []
        async for _ in self._steps(operation, None, outcome):
            pass
        return outcome[0]

    def _iterate(self, operation, items=None):
        return self._steps(operation, items, [])

    async def _steps(self, operation, items, outcome):
        stream = None
        sent, failed = None, None
        try:
            while True:
                step = operation.send(sent) if failed is None else operation.throw(failed)
                sent = failed = None
                if isinstance(step, Item):
                    yield step.value
                elif step is PULL:
                    sent = await items.next()
                elif step is maps.READY:
                    sent = await stream.is_ready()
                else:
                    try:
                        if isinstance(step, Read):
                            sent = await stream.read(step.seconds)
                        elif isinstance(step, maps.Await):
                            sent = await awaited(step)
                        elif isinstance(step, maps.Open):
                            sent = self._open(step)
                        elif step.is_streamed:
                            sent, stream = await self._exchange(step)
                        else:
                            sent, _ = await self._exchange(step)
                    except Exception as error:
                        failed = error
        except StopIteration as end:
            outcome.append(end.value)
        finally:
            operation.close()
            if stream is not None:
                stream.close()

    def _open(self, step):
        upload = Upload(step.request)
        # Kept, since loops hold their tasks weakly; it ends with the upload.
        task = asyncio.ensure_future(upload.run(self, step.delay))
        self._uploads.add(task)
        task.add_done_callback(self._uploads.discard)
        return upload

    async def _upload(self, upload):
        """Sends an upload on a connection of its own; returns the answer."""
        patience = self._patience()
        while True:
            try:
                connection = await self._connection()
                break
            except (OSError, asyncio.TimeoutError) as error:
                delay = patience.wait() if is_passing(error) else None
                if delay is None:
                    raise Unreachable("cannot reach %s: %s" % (
                        self.address.url, error or "timed out")) from error
                await asyncio.sleep(delay)
        try:
            connection.begin(upload.request, is_streamed=True)
            connection.transport.write(upload.request.encoded(self.address))
            return await upload.exchange(connection)
        finally:
            self._drop(connection)

    def _patience(self):
        return Patience(self.retry_for if self._has_reached
                        else min(self.retry_for, FIRST_SECONDS))

    async def _exchange(self, request):
        data = request.encoded(self.address)
        patience = None
        if self._places is None:
            self._places = asyncio.Semaphore(self.connections)
        while True:
            await self._places.acquire()
            connection, is_kept, began = None, False, None
            try:
                connection = await self._connection()
                began = time.monotonic()
                with functions.lend_slots() if request.may_last else NOTHING:
                    reader = await connection.exchange(
                        request, data, self.timeout + request.wait)
                answer, self._has_reached = reader.answer, True
                if request.is_streamed and answer.status == 200:
                    is_kept = True
                    return answer, Stream(self, connection)
                answer.body = reader.take()
                is_kept = True
                self._give_back(connection)
                if not request.repeatable or not operations.passes(answer):
                    return answer, None
                patience = patience or self._patience()
                delay = patience.wait(at_least=answer.retry_after)
                if delay is None:
                    return answer, None
            except (OSError, asyncio.TimeoutError) as error:
                if connection is not None and time.monotonic() - began > HELD_SECONDS:
                    self._has_reached = True
                patience = patience or self._patience()
                is_safe = request.repeatable or connection is None
                delay = patience.wait() if is_safe and is_passing(error) else None
                if delay is None:
                    raise Unreachable("no answer of %s to %s %s: %s" % (
                        self.address.url, request.method, request.path,
                        error or "timed out")) from error
            finally:
                if not is_kept:  # also when this task is cancelled
                    self._places.release()
                    if connection is not None:
                        self._drop(connection)
            await asyncio.sleep(delay)

    async def _connection(self):
        while self._idle:
            connection = self._idle.pop()
            if not connection.is_lost:
                return connection
            self._drop(connection)
        loop, address = asyncio.get_running_loop(), self.address
        if address.socket_path:
            making = loop.create_unix_connection(Connection, address.socket_path)
        else:
            making = loop.create_connection(
                Connection, address.host, address.port, ssl=self._secure)
        _, connection = await asyncio.wait_for(making, self.timeout)
        return connection

    def _give_back(self, connection):
        self._places.release()
        reader, connection.reader = connection.reader, None
        if (reader.done and reader.keeps_alive and not connection.is_lost
                and not self._is_closed and len(self._idle) < max(IDLE_CONNECTIONS,
                                                                  self.connections // 2)):
            self._idle.append(connection)
        else:
            self._drop(connection)

    def _drop(self, connection):
        connection.close()
        self._dropped = [each for each in self._dropped if not each.is_lost] + [connection]


class Connection(asyncio.Protocol):
    """One connection; one request at a time."""

    def __init__(self):
        self.transport = None
        self.reader = None
        self.waiter = None
        # Whether the transport holds more than it likes, and who waits for that to change.
        self.is_held = False
        self.writer = None
        self.error = None
        self.is_lost = False
        self.is_streamed = False

    async def exchange(self, request, data, seconds):
        self.begin(request, request.is_streamed)
        self.transport.write(data)
        if request.is_raw:
            for start in range(0, len(request.body), SEND_BYTES):
                if self.is_ready() or self.is_lost:
                    break  # refused
                await self.written(seconds)
                self.transport.write(request.body[start:start + SEND_BYTES])
        while not self.is_ready():
            await self.change(seconds)
        return self.reader

    def begin(self, request, is_streamed):
        """Expects the answer to a request; who waits is woken by each part of a streamed one."""
        self.reader, self.is_streamed = AnswerReader(request.method), is_streamed

    async def written(self, seconds):
        """Waits until the server has taken nearly all that was written."""
        if self.is_held:
            self.writer = asyncio.get_running_loop().create_future()
            try:
                await asyncio.wait_for(self.writer, seconds)
            finally:
                self.writer = None

    def pause_writing(self):
        self.is_held = True

    def resume_writing(self):
        self.is_held = False
        if self.writer is not None and not self.writer.done():
            self.writer.set_result(None)

    def is_ready(self):
        answer = self.reader.answer
        return self.reader.done or (
            self.is_streamed and answer is not None and answer.status == 200)

    async def change(self, seconds):
        """Waits for something to come; ConnectionLost after so many seconds or at the end.

        None is for as long as it takes.
        """
        if self.error is not None or self.is_lost:
            raise self.error or ConnectionLost("the server ended the connection")
        loop = asyncio.get_running_loop()
        self.waiter = loop.create_future()
        timer = None if seconds is None else loop.call_later(
            seconds, self.wake, ConnectionLost("no answer within %g s" % seconds))
        try:
            await self.waiter
        finally:
            if timer is not None:
                timer.cancel()
            self.waiter = None

    def wake(self, error=None):
        if self.waiter is not None and not self.waiter.done():
            if error is None:
                self.waiter.set_result(None)
            else:
                self.waiter.set_exception(error)

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        if self.reader is None:  # nothing was asked: the connection is of no use any more
            return self.transport.close()
        try:
            self.reader.feed(data)
        except ConnectionLost as error:
            self.error = error
            return self.wake(error)
        if self.is_streamed and self.reader.waiting > STREAM_BYTES:
            self.transport.pause_reading()
        if self.reader.done or self.is_streamed:
            self.wake()

    def connection_lost(self, error):
        self.is_lost = True
        self.resume_writing()
        if self.reader is not None and not self.reader.done:
            try:
                self.reader.feed(b"")
            except ConnectionLost as lost:
                self.error = lost if error is None else ConnectionLost(str(error))
        self.wake(self.error)

    def close(self):
        if self.transport is not None:
            self.transport.abort() if self.reader is not None else self.transport.close()


class Stream:
    """The body of an answer while it comes."""

    def __init__(self, client, connection):
        self.client = client
        self.connection = connection

    async def read(self, seconds):
        connection = self.connection
        while connection is not None:
            data = connection.reader.take()
            connection.transport.resume_reading()
            if data:
                return data
            if connection.reader.done:
                break
            try:
                with functions.lend_slots():
                    await connection.change(seconds)
            except OSError:
                self.close()
                raise
        self.close()
        return b""

    async def is_ready(self):
        """Whether `read` would return at once."""
        await asyncio.sleep(0)  # the loop takes what has come
        connection = self.connection
        return (connection is None or connection.reader.waiting > 0 or connection.reader.done
                or connection.is_lost)

    def close(self):
        connection, self.connection = self.connection, None
        if connection is not None:
            self.client._give_back(connection)


async def awaited(step):
    """The result of a future of any thread, or None after the time that the step gives it."""
    waiting = asyncio.wrap_future(step.future)
    # Who stops waiting leaves the future as it is, and its exception to others.
    waiting.add_done_callback(lambda future: future.cancelled() or future.exception())
    done, _ = await asyncio.wait([waiting], timeout=step.seconds)
    return waiting.result() if done else None


class Puller:
    """The caller's items, one at a time, of a plain or an asynchronous iterable."""

    def __init__(self, items):
        self.is_async = hasattr(items, "__aiter__")
        self.items = items.__aiter__() if self.is_async else iter(items)

    async def next(self):
        if not self.is_async:
            return next(self.items, END)
        try:
            return await self.items.__anext__()
        except StopAsyncIteration:
            return END

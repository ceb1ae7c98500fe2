"""The body of a submission while its items come; on asyncio, for both clients."""

import asyncio
import concurrent.futures
import threading

from .errors import MartletError

# Seconds of silence after which an empty line is sent: the server gives up a silent client.
QUIET_SECONDS = 5.0
# Bytes of one chunk, and so of what is handed to the socket at once.
CHUNK_BYTES = 1 << 20


class Upload:
    """The lines of a map on their way; its methods may be called by any thread.

    started   future of the job's id, known as soon as the server hints at it; or why there is none
    answered  future of the answer, which comes after the last line; or why there is none

    What was put and is not sent is bounded by who puts: a map knows which items are under way.
    """

    def __init__(self, request):
        self.request = request
        self.started = concurrent.futures.Future()
        self.answered = concurrent.futures.Future()
        self._lock = threading.Lock()
        self._pieces = []
        self._is_complete = False
        self._is_stopped = False
        self._loop = self._news = self._task = None

    def put(self, data):
        with self._lock:
            self._pieces.append(data)
            is_news = len(self._pieces) == 1
        if is_news:
            self._tell(lambda: self._news.set())

    def finish(self):
        self._is_complete = True
        self._tell(lambda: self._news.set())

    def stop(self):
        """Breaks off what is not whole, so that the server cancels its job."""
        self._is_stopped = True
        self._tell(lambda: self._task.cancel())

    def _tell(self, call):
        if self._loop is not None:
            try:
                self._loop.call_soon_threadsafe(call)
            except RuntimeError:
                pass  # its loop has ended, and so has the upload

    async def run(self, client, delay):
        """Sends it on a connection of the client, after some seconds; tells the futures."""
        self._news, self._task = asyncio.Event(), asyncio.current_task()
        self._loop = asyncio.get_running_loop()
        try:
            if not self._is_stopped:
                await asyncio.sleep(delay)
                answer = await client._upload(self)
                # Of an answer that is a problem the one who waits makes an exception.
                self._start(answer.json()["id"] if answer.status in (200, 202) else None)
                self.answered.set_result(answer)
        except Exception as error:
            self._fail(error)
        finally:
            self._fail(MartletError("the upload was stopped"))

    def _start(self, job):
        if not self.started.done():
            self.started.set_result(job)

    def _fail(self, error):
        for future in (self.started, self.answered):
            if not future.done():
                future.set_exception(error)

    async def exchange(self, connection):
        """Sends the body while the server's hint and answer are waited for; returns the answer."""
        sending = asyncio.ensure_future(self._send(connection))
        try:
            while not connection.reader.done:
                await connection.change(None)
                location = connection.reader.hints.get("location")
                if location:
                    self._start(location.rpartition("/")[2])
        finally:
            sending.cancel()
        answer = connection.reader.answer
        answer.body = connection.reader.take()
        return answer

    async def _send(self, connection):
        while not connection.is_lost:
            self._news.clear()
            with self._lock:
                is_complete, pieces, self._pieces = self._is_complete, self._pieces, []
            data = b"".join(pieces)
            for start in range(0, len(data), CHUNK_BYTES):
                connection.transport.write(chunk(data[start:start + CHUNK_BYTES]))
                await connection.written(None)
            if is_complete:
                return connection.transport.write(chunk(b""))
            try:
                await asyncio.wait_for(self._news.wait(), QUIET_SECONDS)
            except asyncio.TimeoutError:
                connection.transport.write(chunk(b"\n"))


def chunk(data):
    """RFC 9112, section 7.1; that of no bytes is the last."""
    return b"%x\r\n%s\r\n" % (len(data), data)


def run_in_thread(upload, client, delay):
    """Runs an upload on a loop of its own, for who has none; `client` is closed with it."""
    async def run():
        try:
            await upload.run(client, delay)
        except asyncio.CancelledError:
            pass  # stopped
        finally:
            await client.close()

    thread = threading.Thread(
        target=lambda: asyncio.run(run()), name="martlet-upload", daemon=True)
    thread.start()
    return thread

"""Carries calls to the server and results back, for Executor, Pool and the joblib backend.

    caller's threads                 the courier's thread: an event loop with an AsyncClient
    submit(parcel) -> CallFuture  →  waiting: deque  →  at most `limit` under way, each one request
                                                        POST /v1/jobs with Prefer: wait, then GET
    map(parcels)   -> MapFuture   →  one POST a parcel, then the wait for each
    future.cancel()               →  POST …/cancel
"""

import asyncio
import atexit
import collections
import concurrent.futures
import threading
import uuid
import weakref

from . import operations
from .async_client import AsyncClient
from .errors import Refused

# Seconds that the results of calls stay on the server, for a client that has lost its connection.
KEEP_SECONDS = 600
# Connections beside those of the calls under way: for maps, cancels and blobs.
SPARE_CONNECTIONS = 64
NO_PICKLES = ("The function must travel as a pickle, and the server takes none: start it with"
              " --allow-pickle, or use a function that the server knows by name.")


class RemoteFuture(concurrent.futures.Future):
    """A future whose cancel() also stops what runs already, on the server.

    It stays "pending" within while it is under way, so that it can be cancelled to its end;
    running() tells of it all the same.
    """

    _cancelling = threading.Lock()

    def __init__(self, courier):
        super().__init__()
        self._courier = courier
        self._has_begun = False

    def running(self):
        return self._has_begun and not self.done()

    def cancel(self):
        with self._cancelling:
            if self.cancelled():
                return True
            if not super().cancel():
                return False
            self.set_running_or_notify_cancel()  # tells those who wait for it
        self._courier.abandon(self)
        return True

    def _settle(self, result=None, error=None):
        try:
            if error is not None:
                self.set_exception(error)
            else:
                self.set_result(result)
        except concurrent.futures.InvalidStateError:
            pass  # cancelled a moment ago: the caller has been told that


class CallFuture(RemoteFuture):
    def __init__(self, courier, parcel):
        super().__init__(courier)
        self._parcel = parcel
        self._key = uuid.uuid4().hex
        self._is_posted = False


class Piece:
    """What one job of a map has come to: results, and exceptions in the places of failed items.

    A result is a list if an item is made up of several calls.
    """

    __slots__ = ("are_lists", "outcomes")

    def __init__(self, are_lists, outcomes):
        self.are_lists = are_lists
        self.outcomes = outcomes


class MapFuture(RemoteFuture):
    """The end of a map: its value is the list of its pieces if it collects them, else None.

    `jobs` are futures of the ids of its jobs.
    """

    def __init__(self, courier, pieces, collects):
        super().__init__(courier)
        self._pieces = pieces
        self._collects = collects
        self.jobs = [concurrent.futures.Future() for _ in pieces]


class Courier:
    def __init__(self, url, token, limit, retry_for=60.0):
        self.limit = limit
        self.client = AsyncClient(
            url, token, retry_for=retry_for, connections=limit + SPARE_CONNECTIONS)
        self._waiting = collections.deque()
        self._under_way = {}
        self._open = set()
        self._changed = threading.Condition()
        self._blobs = {}
        self._loop = None
        # Done when the thread has nothing more to do.
        self._over = None
        self._is_pumping = False
        self._is_closing = False

    # --- Any thread

    def submit(self, parcel):
        future = CallFuture(self, parcel)
        self._add(future)
        self._waiting.append(future)
        if not self._is_pumping:
            self._is_pumping = True
            self._loop.call_soon_threadsafe(self._pump)
        return future

    def map(self, pieces, collects):
        """Sends the parcels of a map; see MapFuture."""
        future = MapFuture(self, pieces, collects)
        self._add(future)
        self._loop.call_soon_threadsafe(self._start, future, self._carry_map)
        return future

    def ask(self, operation):
        """Carries out an operation; returns what it returns."""
        with self._changed:
            self._run_thread()
        return asyncio.run_coroutine_threadsafe(self.client._run(operation), self._loop).result()

    def abandon(self, future):
        with self._changed:
            if self._loop is None or self._loop.is_closed():
                return
            self._loop.call_soon_threadsafe(self._stop, future)

    def open_futures(self):
        with self._changed:
            return list(self._open)

    def cancel_waiting(self, on_server):
        """Cancels the maps and the calls that wait here, or, if so told, on the server."""
        asyncio.run_coroutine_threadsafe(self._cancel_waiting(on_server), self._loop).result()

    def cancel_all(self):
        for future in self.open_futures():
            future.cancel()

    def join(self):
        """Waits until nothing is under way, on the server neither."""
        with self._changed:
            self._changed.wait_for(lambda: not self._open)

    def close(self):
        """Ends the thread as soon as nothing is under way."""
        with self._changed:
            self._is_closing = True
            if self._loop is not None and not self._open and not self._loop.is_closed():
                self._loop.call_soon_threadsafe(self._end)

    def _add(self, future):
        with self._changed:
            if self._is_closing:
                raise RuntimeError("cannot send calls after the end of their pool")
            self._run_thread()
            self._open.add(future)

    def _run_thread(self):
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            self._over = self._loop.create_future()
            threading.Thread(target=self._run, name="martlet-courier", daemon=True).start()
            _couriers.add(self)

    def _run(self):
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._live())
        finally:
            with self._changed:
                self._loop.close()

    # --- The courier's thread

    async def _live(self):
        """At the end the last cancels still reach the server, then the connections are closed."""
        await self._over
        last = asyncio.all_tasks() - {asyncio.current_task()}
        if last:
            _, late = await asyncio.wait(last, timeout=5)
            for task in late:
                task.cancel()
        await self.client.close()

    def _pump(self):
        self._is_pumping = False
        while self._waiting and len(self._under_way) < self.limit:
            future = self._waiting.popleft()
            if not future.done():
                self._start(future, self._carry)

    def _start(self, future, carry):
        future._has_begun = True
        self._under_way[future] = task = self._loop.create_task(carry(future))
        task.add_done_callback(lambda task: self._ended(future, task))

    def _ended(self, future, task):
        self._under_way.pop(future, None)
        if not task.cancelled() and task.exception() is not None:
            future._settle(error=task.exception())
        self._pump()
        self._forget(future)

    def _forget(self, future):
        with self._changed:
            self._open.discard(future)
            if not self._open:
                self._changed.notify_all()
                if self._is_closing:
                    self._end()

    def _end(self):
        if not self._over.done():
            self._over.set_result(None)

    async def _carry(self, future):
        parcel = future._parcel
        for is_last in (False, True):
            await self._send_ahead(parcel.blobs)
            if future.done():
                return
            future._is_posted = True
            document = await self._ask(operations.complete(parcel.body, future._key))
            error = document.get("error") or {}
            if error.get("type") != "BlobMissing" or is_last:
                break
            self._blobs.clear()  # the server has lost them
            future._key = uuid.uuid4().hex
        future._parcel = None
        if document["state"] == "succeeded":
            future._settle(parcel.open(document["result"]))
        else:
            future._settle(error=operations.job_failure(
                document["id"], error, document["state"], parcel.unpickles))

    async def _carry_map(self, future):
        found = []
        try:
            for (parcel, _), posted in zip(future._pieces, future.jobs):
                # A call whose blob is gone is sent again; of a map it would have failed by then.
                self._doubt(parcel.blobs)
                await self._send_ahead(parcel.blobs)
                if future.done():
                    return
                document = await self._ask(operations.submit(parcel.body))
                posted.set_result(document["id"])
                if future.done():  # cancelled while its id was not known
                    await self._cancel(document["id"])
                    return
            for (parcel, counts), posted in zip(future._pieces, future.jobs):
                parcel.body = None  # it is stored; only the outcome is waited for
                if future._collects:
                    outcomes = await self._ask(
                        operations.outcomes(posted.result(), parcel.unpickles))
                    found.append(Piece(counts[0] is not None, [
                        each if isinstance(each, BaseException) else parcel.open(each)
                        for each in outcomes]))
                else:
                    await self._ask(operations.wait(posted.result(), None))
        except Exception as error:
            for posted in future.jobs:
                if not posted.done():
                    posted.set_exception(error)
            raise
        future._settle(found if future._collects else None)

    async def _ask(self, operation):
        try:
            return await self.client._run(operation)
        except Refused as refused:
            if refused.code == "unknown-function" and '"martlet.' in refused.detail:
                raise Refused(refused.status, dict(refused.document, detail=NO_PICKLES)) from None
            raise

    async def _send_ahead(self, blobs):
        """Sends each blob once; who needs one that is on its way waits for it."""
        for blob in blobs:
            sending = self._blobs.get(blob.digest)
            if sending is None:
                sending = self._loop.create_task(self._ask(operations.put_blob(blob)))
                self._blobs[blob.digest] = sending
            try:
                await asyncio.shield(sending)
            except Exception:
                self._blobs.pop(blob.digest, None)  # the next call tries anew
                raise

    def _doubt(self, blobs):
        """Has the server asked anew for blobs that it had, and may have removed since."""
        for blob in blobs:
            sending = self._blobs.get(blob.digest)
            if sending is not None and sending.done():
                del self._blobs[blob.digest]

    def _stop(self, future):
        """Sees to it that what a cancelled future has begun ends on the server too."""
        task = self._under_way.get(future)
        if task is None:
            if not future._has_begun:
                self._forget(future)
        elif isinstance(future, MapFuture):
            self._loop.create_task(self._cancel_jobs(future))
        elif future._is_posted:
            self._loop.create_task(self._cancel_call(future, future._parcel))

    async def _cancel_call(self, future, parcel):
        """The request under way tells nothing before its end; its repeat tells the job's id.

        If the repeat comes first, the job is made here and the request finds it.
        """
        if parcel is None:
            return
        document = await self._ask(operations.submit(parcel.body, future._key))
        await self._cancel(document["id"])

    async def _cancel_jobs(self, future):
        for posted in future.jobs:
            if posted.done() and posted.exception() is None:
                await self._cancel(posted.result())

    async def _cancel(self, job):
        await self._ask(operations.ask_json(
            "POST", operations.path(job, "cancel"), 200, 202, 404))

    async def _cancel_waiting(self, on_server):
        self._pump()
        for future in self.open_futures():
            if not future._has_begun or isinstance(future, MapFuture):
                future.cancel()
        if on_server:
            await self._cancel_queued()

    async def _cancel_queued(self):
        async def cancel_if_queued(future, parcel):
            document = await self._ask(operations.submit(parcel.body, future._key))
            if document["state"] == "queued":
                future.cancel()

        # The latest first: the oldest begin meanwhile.
        await asyncio.gather(*(
            cancel_if_queued(future, future._parcel) for future in reversed(list(self._under_way))
            if isinstance(future, CallFuture) and future._is_posted
            and future._parcel is not None and not future.done()))


_couriers = weakref.WeakSet()


def _finish_all():
    """At the program's end: what was submitted is waited for, as concurrent.futures does."""
    for courier in list(_couriers):
        courier.join()


# Before the threads are ended, if this Python has the place for it.
getattr(threading, "_register_atexit", atexit.register)(_finish_all)

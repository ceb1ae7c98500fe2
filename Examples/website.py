"""A small web site on loopback whose pages take their time, for the demo to scrape."""

import asyncio
import threading


class Website:
    """Answers `/page/N` after `delay` seconds, to any number of clients; use it with `with`."""

    def __init__(self, delay):
        self.delay = delay
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)

    def __enter__(self):
        self.thread.start()
        listening = asyncio.start_server(self.answer, "127.0.0.1", 0, backlog=1024)
        self.server = asyncio.run_coroutine_threadsafe(listening, self.loop).result(10)
        self.address = "http://127.0.0.1:%d" % self.server.sockets[0].getsockname()[1]
        return self

    def __exit__(self, *unused):
        self.loop.call_soon_threadsafe(self.server.close)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(10)

    async def answer(self, reader, writer):
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            path = head.split(b" ")[1].decode()
            await asyncio.sleep(self.delay)
            page = "<html><title>Page %s</title></html>" % path.rpartition("/")[2]
            writer.write(
                ("HTTP/1.0 200 OK\r\nContent-Type: text/html\r\nContent-Length: %d\r\n\r\n%s"
                 % (len(page), page)).encode())
            await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass  # the client is gone; nobody is left to be answered
        finally:
            writer.close()

"""A small web site on a loopback port, for what fetches; standard library only."""

import asyncio
import threading


class Site:
    """Serves `answer(path, headers, body)`, which returns status, headers and body, or a coroutine of them.

    `requests` holds the paths asked for, `most` how many were answered at once.
    """

    def __init__(self, answer, tls=None):
        self.answer = answer
        self.requests = []
        self.connections = self.open = self.most = 0
        self.loop = asyncio.new_event_loop()
        ready = threading.Event()

        async def start():
            self.server = await asyncio.start_server(
                self.serve, "127.0.0.1", 0, backlog=1024, ssl=tls)
            self.port = self.server.sockets[0].getsockname()[1]
            ready.set()

        def run():
            self.loop.run_until_complete(start())
            self.loop.run_forever()

        self.thread = threading.Thread(target=run, daemon=True)
        self.thread.start()
        ready.wait(10)

    def url(self, path="/", host="127.0.0.1"):
        return "http://%s:%d%s" % (host, self.port, path)

    async def serve(self, reader, writer):
        self.connections += 1
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                line, *fields = head.split("\r\n")[:-2]
                headers = {
                    name.lower(): value.strip()
                    for name, value in (field.split(":", 1) for field in fields)}
                body = await reader.readexactly(int(headers.get("content-length", 0)))
                path = line.split(" ")[1]
                self.requests.append(path)
                self.open += 1
                self.most = max(self.most, self.open)
                answer = self.answer(path, headers, body)
                if asyncio.iscoroutine(answer):
                    answer = await answer
                self.open -= 1
                status, more, content = answer
                more = {"Content-Length": len(content), "Content-Type": "text/html", **more}
                lines = "".join("%s: %s\r\n" % item for item in more.items())
                writer.write(("HTTP/1.1 %d X\r\n%s\r\n" % (status, lines)).encode() + content)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        def stop():
            self.server.close()
            for task in asyncio.all_tasks(self.loop):
                task.cancel()
            self.loop.call_soon(self.loop.stop)

        self.loop.call_soon_threadsafe(stop)
        self.thread.join(10)

"""Fetching pages, as a thread does it and as a coroutine does it; standard library only."""

import asyncio
import re
import urllib.request
from urllib.parse import urlsplit

import martlet


def title_of(page: str) -> str:
    found = re.search(r"<title>(.*?)</title>", page)
    return found[1] if found else ""


@martlet.function(pool="thread")
def scrape(url: str) -> str:
    """The title of a page; waits for it in a thread."""
    with urllib.request.urlopen(url, timeout=30) as answer:
        return title_of(answer.read().decode())


@martlet.function
async def scrape_async(url: str) -> str:
    """The title of a page; waits for it as a coroutine, beside thousands of others."""
    place = urlsplit(url)
    reader, writer = await asyncio.open_connection(place.hostname, place.port)
    try:
        request = "GET %s HTTP/1.0\r\nHost: %s\r\n\r\n" % (place.path, place.netloc)
        writer.write(request.encode())
        head, _, page = (await reader.read()).decode().partition("\r\n\r\n")
        if " 200 " not in head.partition("\r\n")[0]:
            raise ValueError(head)
        return title_of(page)
    finally:
        writer.close()

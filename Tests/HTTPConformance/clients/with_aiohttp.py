import asyncio
import sys

import aiohttp


async def main(base):
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(30)) as session:
        async with session.post(
                base + "/v1/jobs", json={"function": "square", "args": [12]},
                expect100=True) as answer:
            assert answer.status == 202, await answer.text()
            place = base + answer.headers["Location"]
        async with session.get(place, params={"wait": "20"}) as answer:
            assert answer.status == 200
        async with session.get(place + "/result") as answer:
            print(await answer.json())


asyncio.run(main(sys.argv[1]))

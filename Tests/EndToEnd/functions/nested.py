"""Functions that submit jobs and wait for them, and functions that take several slots."""
import os
import time

import martlet


@martlet.function
def depth(n):
    """How deep the jobs are below this one."""
    if n == 0:
        return 0
    with martlet.Client() as client:
        return 1 + client.run("depth", args=[n - 1], wait=60)


@martlet.function
def sum_of_map(items):
    """Maps in a job of its own, reading the results as they come."""
    with martlet.Client() as client:
        job = client.submit("py_square", map=items)
        return sum(item["result"] for item in client.items(job, timeout=60))


@martlet.function(pool="thread")
def threaded_depth(n):
    if n == 0:
        return 0
    with martlet.Client() as client:
        return 1 + client.run("threaded_depth", args=[n - 1], wait=60)


@martlet.function
async def later_depth(n):
    if n == 0:
        return 0
    async with martlet.AsyncClient() as client:
        return 1 + await client.run("later_depth", args=[n - 1], wait=60)


@martlet.function
def failing_child():
    with martlet.Client() as client:
        try:
            client.run("even_only", args=[1], wait=60)
        except martlet.JobFailed as error:
            return str(error)


@martlet.function
def wait_for_later(seconds):
    """Waits for a job that has some time to wait itself."""
    with martlet.Client() as client:
        return client.run("py_square", args=[3], delay=seconds, wait=60)


@martlet.function
def interval(seconds):
    """When it ran."""
    began = time.time()
    time.sleep(seconds)
    return [began, time.time()]


@martlet.function(cpus=2)
def wide_interval(seconds):
    """As `interval`, with room for two."""
    return interval(seconds)


@martlet.function(cpus=64)
def as_wide_as_can_be():
    return int(os.environ["OMP_NUM_THREADS"])


@martlet.function
def caps():
    return [os.environ["OMP_NUM_THREADS"], os.environ["MKL_NUM_THREADS"]]


@martlet.function
def environment(name):
    return os.environ.get(name)

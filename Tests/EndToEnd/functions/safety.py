"""What functions can see of the server that runs them."""

import os

import martlet


@martlet.function(pools=["process", "thread"])
def all_variables():
    return dict(os.environ)


@martlet.function(pools=["process", "thread"])
def repeat_in_an_error(text):
    raise ValueError("no good: " + text)


@martlet.function
async def repeat_in_an_error_later(text):
    raise ValueError("no good: " + text)


@martlet.function
def die_with(text):
    os._exit(len(text) % 7 + 3)

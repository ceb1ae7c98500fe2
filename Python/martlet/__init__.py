"""Functions for a Martlet server, and the client that calls them.

On the server's side, mark functions with `@martlet.function`. On the client's, `Client` and
`AsyncClient` speak the HTTP interface; `Executor`, `Pool` and `martlet.joblib_backend` take the
places of concurrent.futures, multiprocessing.Pool and joblib's own backends.
"""

from .functions import Cancelled, Permanent, Retry, function, progress, traceparent

__version__ = "0.1.0"

# Read when first asked for, so that a worker does not pay for the client.
_ELSEWHERE = {
    "Client": "client", "Job": "client", "AsyncClient": "async_client", "AsyncJob": "async_client",
    "Executor": "executor", "Pool": "pool", "MartletError": "errors", "Refused": "errors",
    "Unreachable": "errors", "JobFailed": "errors", "JobCancelled": "errors",
    "RemoteTraceback": "errors", "blob": "blobs", "BlobMissing": "blobs",
}

__all__ = ["Cancelled", "Permanent", "Retry", "function", "progress", "traceparent", *_ELSEWHERE]


def __getattr__(name):
    if name in _ELSEWHERE:
        from importlib import import_module
        value = getattr(import_module("." + _ELSEWHERE[name], __name__), name)
        globals()[name] = value
        return value
    raise AttributeError("module %r has no attribute %r" % (__name__, name))

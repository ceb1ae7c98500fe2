"""The joblib backend "martlet": import this module, then joblib.parallel_config("martlet").

Options of the configuration: url, token, pool, queue, priority, retry_for and tags, as of
`martlet.Executor`. The server must run with --allow-pickle and a Python that has joblib and what
the functions import.
"""

import pickle

from joblib.parallel import (
    AutoBatchingMixin, ParallelBackendBase, SequentialBackend, register_parallel_backend)

from .client import Client
from .executor import Executor, UnsentFuture

try:
    from joblib._parallel_backends import FallbackToBackend
except ImportError:  # a joblib that has moved it
    FallbackToBackend = None

# Options of joblib's own backends, which it gives to every backend.
JOBLIBS_OWN = ("max_nbytes", "temp_folder", "mmap_mode", "prefer", "require", "verbose", "context",
               "inner_max_num_threads")


class MartletBackend(AutoBatchingMixin, ParallelBackendBase):
    supports_retrieve_callback = True
    supports_inner_max_num_threads = False
    default_n_jobs = -1

    def __init__(self, nesting_level=None, inner_max_num_threads=None, **options):
        super().__init__(nesting_level=nesting_level)
        self._options = options
        self._executor = None
        self._slots = None

    def effective_n_jobs(self, n_jobs):
        """The number of jobs at once; a negative one counts from the slots of the server's pool."""
        if n_jobs == 0:
            raise ValueError("n_jobs == 0 in Parallel has no meaning")
        if n_jobs is None:
            return 1
        return n_jobs if n_jobs > 0 else max(1, self._pool_slots() + 1 + n_jobs)

    def _pool_slots(self):
        if self._slots is None:
            options = self._options
            with Client(options.get("url"), options.get("token")) as client:
                self._slots = client.pools()[options.get("pool") or "process"]["slots"]
        return self._slots

    def configure(self, n_jobs=1, parallel=None, **options):
        n_jobs = self.effective_n_jobs(n_jobs)
        if n_jobs == 1 and FallbackToBackend is not None:
            raise FallbackToBackend(SequentialBackend(nesting_level=self.nesting_level))
        self.parallel = parallel
        own = {name: value for name, value in options.items() if name not in JOBLIBS_OWN}
        self._executor = Executor(n_jobs, **{**self._options, **own})
        return n_jobs

    def submit(self, func, callback=None):
        future = self._executor.submit(call, func)
        if callback is not None:
            future.add_done_callback(callback)
        return future

    apply_async = submit  # its name before joblib 1.5

    def retrieve_result_callback(self, future):
        if isinstance(future, UnsentFuture):
            raise pickle.PicklingError(
                "Could not pickle the task to send to the workers.") from future.exception()
        return future.result()

    def terminate(self):
        if self._executor is not None:
            self._executor.shutdown(wait=False)
            self._executor = None
        self.reset_batch_stats()

    def abort_everything(self, ensure_ready=True):
        """Cancels what is under way, on the server too."""
        if self._executor is not None:
            self._executor.abort()
            self._executor = None
        if ensure_ready:
            self.configure(n_jobs=self.parallel.n_jobs, parallel=self.parallel,
                           **getattr(self.parallel, "_backend_kwargs", {}))


def call(batch):
    """Runs a batch in the worker; the batch differs each time, this function never."""
    return batch()


register_parallel_backend("martlet", MartletBackend)

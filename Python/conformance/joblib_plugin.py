"""A pytest plugin that runs joblib's own test_parallel.py on a Martlet server.

    python -m pytest -p joblib_plugin --pyargs joblib.test.test_parallel

Martlet's backend takes the name "loky", so that every case for loky, the default, runs over HTTP.
"""

import os
import sys

import pytest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tests"))
import support  # noqa: E402
import joblib.parallel  # noqa: E402
from martlet.joblib_backend import MartletBackend  # noqa: E402

CLASS = "it asks for the class LokyBackend by name"
NUMPY_MEMMAP = "it asks for numpy.memmap; here arrays are mapped, but are plain ones"
MANAGER = "its workers talk to a multiprocessing.Manager, which only its own child processes may"
THREADS = "the server, not the caller, caps the threads of its workers"
NESTED = "it wants a warning that loky cannot be nested there; Martlet can"
ONE_CALL = "it wants an error of loky's, which can run one call at a time"
SKIPPED = {
    "test_backend_context_manager[parallel_backend-loky]": CLASS,
    "test_backend_context_manager[parallel_config-loky]": CLASS,
    "test_backend_hinting_and_constraints": CLASS,
    "test_nested_parallelism_limit[parallel_backend-loky]": CLASS,
    "test_nested_parallelism_limit[parallel_config-loky]": CLASS,
    "test_auto_memmap_on_arrays_from_generator[loky]": NUMPY_MEMMAP,
    "test_memmapping_leaks[loky]": NUMPY_MEMMAP,
    "test_initializer_context": MANAGER,
    "test_initializer_parallel": MANAGER,
    "test_initializer_reused": MANAGER,
    "test_dispatch_multiprocessing[loky]": MANAGER,
    "test_initializer_not_reused": MANAGER,
    "test_threadpool_limitation_in_child_loky": THREADS,
    "test_threadpool_limitation_in_child_context": THREADS,
    "test_threadpool_limitation_in_child_override": THREADS,
    "test_error_capture[loky]": "it looks at loky's private executor",
    "test_nested_backend_in_sequential": "loky runs one job at once if it is not told; Martlet all",
    "test_nested_parallel_warnings[loky-multiprocessing-True]": NESTED,
    "test_nested_parallel_warnings[multiprocessing-loky-True]": NESTED,
    "test_nested_parallel_warnings[threading-loky-True]": NESTED,
    "test_multiple_generator_call_separated_gc[generator-generator-loky-True]": ONE_CALL,
    "test_multiple_generator_call_separated_gc[generator-generator_unordered-loky-True]": ONE_CALL,
    "test_multiple_generator_call_separated_gc[generator_unordered-generator-loky-True]": ONE_CALL,
    "test_multiple_generator_call_separated_gc[generator_unordered-generator_unordered-loky-True]": ONE_CALL,
}


def pytest_configure(config):
    os.environ["PYTHONPATH"] = os.path.dirname(support.TESTS)
    config.martlet = support.Server(support.BINARY, None, processes=joblib.cpu_count(), more=[
        "--allow-pickle", "--python", sys.executable])
    os.environ["MARTLET_URL"] = support.url(config.martlet)
    del joblib.parallel.BACKENDS["martlet"]
    joblib.parallel.BACKENDS["loky"] = MartletBackend


def pytest_unconfigure(config):
    config.martlet.__exit__()


def pytest_collection_modifyitems(items):
    for item in items:
        reason = SKIPPED.get(item.name) or SKIPPED.get(item.originalname)
        if reason:
            item.add_marker(pytest.mark.skip(reason=reason))

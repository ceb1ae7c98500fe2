"""Runs CPython's own tests of concurrent.futures and multiprocessing.Pool on a Martlet server.

    python cpython.py SUITE [unittest's options]

SUITE is the folder that holds CPython's package `test` (Debian: libpython3.11-testsuite). A test that
is about processes of its own or about an executor's insides is skipped, with its reason.
"""

import os
import sys
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "tests"))
import support  # noqa: E402
import martlet  # noqa: E402

SCRIPT = "its program imports the executor's class from concurrent.futures by name"
INSIDES = "it looks at the private attributes of CPython's own class"
SKIPPED = {
    "ShutdownTest.test_interpreter_shutdown": SCRIPT,
    "ShutdownTest.test_submit_after_interpreter_shutdown": SCRIPT,
    "ShutdownTest.test_hang_gh83386": SCRIPT,
    "PoolTest.test_resource_warning": INSIDES,
    "PoolTest.test_make_pool": INSIDES,
    "PoolTest.test_traceback": "it asks for multiprocessing's own class of remote traceback;"
                               " martlet.RemoteTraceback is tested by the package",
}


def start(suite):
    """A server whose workers can import the suite; so can this process."""
    package = os.path.join(suite, "test", "__init__.py")
    if not os.path.exists(package):  # Debian has it, and test.support, beside the interpreter
        with open(package, "w") as file:
            file.write("import os\n__path__.append(os.path.join(os.path.dirname(os.__file__), 'test'))\n")
    os.environ["PYTHONPATH"] = os.pathsep.join([suite, os.path.dirname(support.TESTS)])
    sys.path.insert(0, suite)
    return support.Server(support.BINARY, None, processes=5, more=[
        "--allow-pickle", "--python", sys.executable])


def classes():
    """CPython's mixins, each with Martlet's class in the place of its own."""
    from test import _test_multiprocessing as pools
    from test import test_concurrent_futures as futures

    class Mixin(futures.ExecutorMixin):
        executor_type = martlet.Executor

    class PoolMixin:
        TYPE = "processes"
        Pool = staticmethod(martlet.Pool)

    def made(name, *bases):
        return type(name, bases, {})

    return [
        made("ExecutorTest", Mixin, futures.ExecutorTest, futures.BaseTestCase),
        made("WaitTest", Mixin, futures.WaitTests, futures.BaseTestCase),
        made("AsCompletedTest", Mixin, futures.AsCompletedTests, futures.BaseTestCase),
        made("ShutdownTest", Mixin, futures.ExecutorShutdownTest, futures.BaseTestCase),
        made("PoolTest", PoolMixin, pools._TestPool, unittest.TestCase),
    ]


def suite_of(kinds):
    suite = unittest.TestSuite()
    for kind in kinds:
        for name in unittest.defaultTestLoader.getTestCaseNames(kind):
            reason = SKIPPED.get("%s.%s" % (kind.__name__, name))
            if reason:
                setattr(kind, name, unittest.skip(reason)(getattr(kind, name)))
            suite.addTest(kind(name))
    return suite


def main():
    folder = os.path.abspath(sys.argv[1])
    with start(folder) as server:
        os.environ["MARTLET_URL"] = support.url(server)
        result = unittest.TextTestRunner(verbosity=2).run(suite_of(classes()))
    sys.exit(not result.wasSuccessful())


if __name__ == "__main__":
    main()

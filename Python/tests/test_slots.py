"""What a worker does about the slots of its calls, without a server."""

import os
import sys
import threading
import types
import unittest
from unittest import mock

import support  # noqa: F401  (puts the package on the path)
import martlet
from martlet import functions, slots


class ThreadCapsTests(unittest.TestCase):
    def set(self, sizes, threads="2", installed=True):
        """The sizes that threadpoolctl was told, and what the environment says at the end."""
        told = []
        module = types.ModuleType("threadpoolctl")
        module.threadpool_limits = told.append
        environment = {} if threads is None else {"OMP_NUM_THREADS": threads}
        with mock.patch.dict(os.environ, environment), \
                mock.patch.dict(sys.modules, threadpoolctl=module if installed else None):
            if threads is None:
                os.environ.pop("OMP_NUM_THREADS", None)
            caps = slots.ThreadCaps()
            for cpus in sizes:
                caps.set(cpus)
            return told, os.environ.get("OMP_NUM_THREADS"), os.environ.get("MKL_NUM_THREADS")

    def test_libraries_are_told_when_the_number_changes(self):
        self.assertEqual(self.set([1, 3, 3, 1]), ([6, 2], "2", "2"))

    def test_without_threadpoolctl_the_environment_says_it(self):
        self.assertEqual(self.set([4], installed=False), ([], "8", "8"))

    def test_what_the_operator_has_set_otherwise_stays(self):
        self.assertEqual(self.set([4], threads="4,2")[:2], ([], "4,2"))
        self.assertEqual(self.set([4], threads=None)[:2], ([], None))


class WaitsTests(unittest.TestCase):
    def setUp(self):
        self.sent, self.current = [], (7, None)
        self.waits = slots.Waits(lambda: self.current, self.sent.append, threading.RLock())

    def test_threads_of_one_call_lend_its_slots_once(self):
        with self.waits.lend():
            with self.waits.lend():
                self.assertEqual(self.sent, [b'{"wait":7}\n'])
        self.assertEqual(self.sent, [b'{"wait":7}\n', b'{"go_on":7}\n'])
        self.assertEqual((self.waits.threads, self.waits.unanswered), ({}, 1))

    def test_a_wait_that_fails_ends(self):
        with self.assertRaises(OSError):
            with self.waits.lend():
                raise OSError
        self.assertEqual(self.sent[-1], b'{"go_on":7}\n')

    def test_nothing_is_lent_where_no_call_runs(self):
        self.current = (None, None)
        with self.waits.lend():
            pass
        self.waits.pid += 1  # in a child process of a call
        self.current = (7, None)
        with self.waits.lend():
            pass
        self.assertEqual(self.sent, [])


class OptionTests(unittest.TestCase):
    def test_slots_are_a_whole_number(self):
        marked = martlet.function(name="wide", cpus=2)(len)
        self.assertIs(marked, len)
        self.assertEqual(functions.registered.pop().cpus, 2)
        for wrong, error in ((0, ValueError), (1.5, TypeError), (True, TypeError), ("2", TypeError)):
            with self.assertRaisesRegex(error, "wide: cpus must be"):
                martlet.function(name="wide", cpus=wrong)(len)

    def test_tags_are_texts_that_a_job_can_bear(self):
        good = ["a", "ä" * 50, "with space", "x" * 100]
        martlet.function(name="marked", tags=good)(len)
        self.assertEqual(functions.registered.pop().tags, good)
        for wrong in ("a\0b", "\n", "\x7f", "", "ä" * 51, "caf\udce9"):
            with self.assertRaisesRegex(ValueError, "marked: a tag is .* not ") as raised:
                martlet.function(name="marked", tags=["good", wrong])(len)
            self.assertIn(repr(wrong), str(raised.exception))
        with self.assertRaisesRegex(ValueError, "marked: at most 32 tags, not 33"):
            martlet.function(name="marked", tags=["a"] * 33)(len)


if __name__ == "__main__":
    unittest.main()

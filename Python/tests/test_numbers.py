"""Numbers of other libraries where a function tells one: `Retry(after=…)` and `progress`."""

import datetime
import decimal
import fractions
import unittest
from unittest import mock

import support  # noqa: F401 (makes the package importable)
import martlet
import numpy
from martlet import functions


class RetryTests(unittest.TestCase):
    def test_seconds_are_a_number_of_any_library_or_a_timedelta(self):
        for after, seconds in [
                (5, 5), (0.5, 0.5), (-3, 0), (-0.5, 0), (numpy.int64(5), 5),
                (numpy.float32(0.5), 0.5), (numpy.array(7), 7), (decimal.Decimal("1.5"), 1.5),
                (fractions.Fraction(1, 2), 0.5), (datetime.timedelta(minutes=1), 60),
                (numpy.uint8(9), 9)]:
            with self.subTest(after=after):
                retry = martlet.Retry("later", after=after)
                self.assertEqual((retry.after, type(retry.after)), (seconds, float))
        self.assertIsNone(martlet.Retry("later").after)

    def test_what_is_no_number_of_seconds_is_refused(self):
        for after, error in [
                (True, TypeError), ("5", TypeError), (b"5", TypeError), (1j, TypeError),
                ([5], TypeError), (numpy.array([1, 2]), TypeError), (object(), TypeError),
                (float("nan"), ValueError), (float("inf"), ValueError), (10 ** 400, ValueError),
                (float("-inf"), ValueError), (numpy.float64("nan"), ValueError),
                (decimal.Decimal("sNaN"), ValueError), (decimal.Decimal("1e400"), ValueError),
                (fractions.Fraction(10 ** 400), ValueError)]:
            with self.subTest(after=after), self.assertRaisesRegex(error, "martlet.Retry: after"):
                martlet.Retry("later", after=after)


class ProgressTests(unittest.TestCase):
    def test_numbers_of_any_library_are_told_as_plain_ones(self):
        told = []
        with mock.patch.object(functions, "report_progress", lambda *what: told.append(what)):
            martlet.progress(numpy.int64(3), numpy.float32(4.5), "x")
            martlet.progress(decimal.Decimal("1.5"))
            martlet.progress(2, total=None)
        self.assertEqual(told, [(3, 4.5, "x"), (1.5, None, None), (2, None, None)])
        self.assertEqual([type(done) for done, _, _ in told], [int, float, int])

    def test_what_is_no_number_is_refused(self):
        for done, total, error in [
                (None, None, TypeError), ("1", None, TypeError), (True, None, TypeError),
                (1, "2", TypeError), (-1, None, ValueError), (1, float("nan"), ValueError),
                (decimal.Decimal("sNaN"), None, ValueError), (1e15, None, ValueError)]:
            with self.subTest(done=done, total=total):
                with self.assertRaisesRegex(error, "martlet.progress: "):
                    martlet.progress(done, total)


if __name__ == "__main__":
    unittest.main()

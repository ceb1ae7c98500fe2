"""The joblib backend, with joblib's own Parallel and with scikit-learn."""

import multiprocessing
import os
import tempfile
import time
import unittest
import warnings

import joblib
import numpy
from joblib import Parallel, delayed, parallel_config

import support
import martlet
import martlet.joblib_backend  # noqa: F401  (registers the backend)


def setUpModule():
    global server, client
    server = support.start("--allow-pickle")
    client = martlet.Client(support.url(server))


def tearDownModule():
    client.close()
    server.__exit__()


def backend(**options):
    return parallel_config("martlet", url=support.url(server), **options)


def pid_of(_):
    return os.getpid()


def fail_at_three(x):
    if x == 3:
        raise KeyError(x)
    return x


class ParallelTests(unittest.TestCase):
    def test_it_runs_on_the_servers_workers(self):
        with backend(n_jobs=2):
            self.assertEqual(Parallel()(delayed(pow)(x, 2) for x in range(50)),
                             [x * x for x in range(50)])
            pids = set(Parallel()(delayed(pid_of)(x) for x in range(50)))
            self.assertEqual(Parallel()([]), [])
        self.assertNotIn(os.getpid(), pids)
        self.assertLessEqual(len(pids), 2)

    def test_n_jobs_counts_the_servers_slots(self):
        with backend():
            self.assertEqual([joblib.effective_n_jobs(n) for n in (-1, -2, -9, 1, 3, None)],
                             [2, 1, 1, 1, 3, 1])
            with self.assertRaises(ValueError):
                Parallel(n_jobs=0)(delayed(abs)(1) for _ in range(2))
            self.assertEqual(Parallel(n_jobs=-1)(delayed(abs)(-x) for x in range(5)),
                             list(range(5)))
        with backend(n_jobs=1):
            self.assertEqual(set(Parallel()(delayed(pid_of)(x) for x in range(3))), {os.getpid()})

    def test_n_jobs_bounds_what_runs_at_once(self):
        with support.start("--allow-pickle", processes=4) as own, \
                tempfile.TemporaryDirectory() as folder:
            def count(n):
                name = os.path.join(folder, "%d-%d" % (os.getpid(), n))
                os.mkdir(name)
                time.sleep(0.05)
                seen = len(os.listdir(folder))
                os.rmdir(name)
                return seen
            with parallel_config("martlet", url=support.url(own)):
                most = max(Parallel(n_jobs=2, batch_size=1)(delayed(count)(n) for n in range(16)))
        self.assertLessEqual(most, 2)

    def test_generators(self):
        with backend(n_jobs=2):
            ordered = Parallel(return_as="generator")(delayed(pow)(x, 2) for x in range(30))
            self.assertEqual(list(ordered), [x * x for x in range(30)])
            start = time.monotonic()
            unordered = Parallel(return_as="generator_unordered", batch_size=1)(
                delayed(lambda s: time.sleep(s) or s)(s) for s in (3, 0, 0.1))
            self.assertEqual([next(unordered), next(unordered)], [0, 0.1])
            self.assertLess(time.monotonic() - start, 2.9)
            self.assertEqual(list(unordered), [3])

    def test_an_exception_ends_it_and_stops_the_rest(self):
        with backend(n_jobs=2, tags=["aborted"]):
            start = time.monotonic()
            with self.assertRaises(KeyError) as raised:
                Parallel(batch_size=1)(
                    [delayed(time.sleep)(60), delayed(fail_at_three)(3)]
                    + [delayed(time.sleep)(60)] * 4)
            self.assertLess(time.monotonic() - start, 30)
            self.assertIn("in fail_at_three", str(raised.exception.__cause__))
        support.until(lambda: all(job.has_ended for job in client.list(tag="aborted")))
        self.assertIn("cancelled", {job.state for job in client.list(tag="aborted")})

    def test_a_timeout(self):
        with backend(n_jobs=2, tags=["late"]):
            with self.assertRaises((TimeoutError, multiprocessing.TimeoutError)):
                Parallel(timeout=0.3)(delayed(time.sleep)(60) for _ in range(2))
        support.until(lambda: all(job.has_ended for job in client.list(tag="late")))

    def test_a_dropped_generator_stops_the_rest(self):
        with backend(n_jobs=2, tags=["dropped"]), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            results = Parallel(return_as="generator", batch_size=1)(
                delayed(time.sleep)(s) for s in [0, 60, 60, 60])
            next(results)
            results.close()
        support.until(lambda: all(job.has_ended for job in client.list(tag="dropped")))

    def test_a_context_is_used_again_after_an_error(self):
        with backend(n_jobs=2), Parallel() as parallel:
            for _ in range(3):
                self.assertEqual(parallel(delayed(abs)(-x) for x in range(4)), [0, 1, 2, 3])
                with self.assertRaises(KeyError):
                    parallel(delayed(fail_at_three)(x) for x in range(5))

    def test_small_calls_are_batched(self):
        with backend(n_jobs=2, tags=["batched"]):
            Parallel()(delayed(abs)(x) for x in range(3000))
        self.assertLess(len(list(client.list(tag="batched"))), 600)

    def test_a_call_inside_a_call(self):
        def outer(x):
            return sum(Parallel(n_jobs=2)(delayed(pow)(y, 2) for y in range(x)))
        with backend(n_jobs=2):
            self.assertEqual(Parallel()(delayed(outer)(x) for x in range(6)),
                             [0, 0, 1, 5, 14, 30])

    def test_large_arrays_are_sent_once(self):
        array = numpy.random.default_rng(1).random((600, 600))
        folder = os.path.join(server.data, "blobs")
        before = len(os.listdir(folder))
        with backend(n_jobs=2):
            sums = Parallel(batch_size=1)(delayed(numpy.sum)(array[:, :]) for _ in range(8))
        self.assertEqual(sums, [array.sum()] * 8)
        self.assertEqual(len(os.listdir(folder)) - before, 1)

    def test_a_dead_worker_is_told(self):
        with backend(n_jobs=2):
            with self.assertRaises(martlet.JobFailed) as raised:
                Parallel()(delayed(os._exit)(3) for _ in range(2))
            self.assertEqual(raised.exception.exit_status, 3)


class ScikitLearnTests(unittest.TestCase):
    def test_a_grid_search_equals_the_local_one(self):
        from sklearn.datasets import load_digits
        from sklearn.model_selection import GridSearchCV
        from sklearn.svm import SVC
        X, y = load_digits(return_X_y=True)
        X, y = X[:600], y[:600]

        def search(n_jobs):
            grid = {"C": [0.1, 1, 10], "gamma": [0.001, 0.01]}
            return GridSearchCV(SVC(), grid, cv=3, n_jobs=n_jobs).fit(X, y)

        local = search(1)
        with backend(n_jobs=-1, tags=["grid"]):
            remote = search(-1)
        self.assertEqual(remote.best_params_, local.best_params_)
        numpy.testing.assert_array_equal(
            remote.cv_results_["mean_test_score"], local.cv_results_["mean_test_score"])
        self.assertTrue((remote.predict(X) == local.predict(X)).all())
        self.assertGreater(len(list(client.list(tag="grid", state="succeeded"))), 1)

    def test_a_cross_validation_equals_the_local_one(self):
        from sklearn.datasets import load_breast_cancer
        from sklearn.ensemble import RandomForestClassifier
        from sklearn.model_selection import cross_val_score
        X, y = load_breast_cancer(return_X_y=True)

        def score(n_jobs):
            model = RandomForestClassifier(n_estimators=20, random_state=0)
            return cross_val_score(model, X, y, cv=5, n_jobs=n_jobs)

        local = score(1)
        with backend(tags=["cross"]):
            remote = score(-1)
        numpy.testing.assert_array_equal(remote, local)
        self.assertGreater(len(list(client.list(tag="cross", state="succeeded"))), 1)


if __name__ == "__main__":
    unittest.main()

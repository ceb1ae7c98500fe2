"""What limits hold where each worker has a cgroup; `make cgroup-test` runs it on a kernel of its own."""

import ctypes
import errno
import os
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "EndToEnd"))
from service import BINARY, ROOT, Server, ServiceTestCase, alive  # noqa: E402

TREE = "/sys/fs/cgroup"
FUNCTIONS = ROOT + "/Tests/Cgroup/functions"
MEBIBYTE = 1 << 20
# Of the calls that are held to one.
LIMIT = 150 * MEBIBYTE
WITHOUT = "limits hold for each process alone, without cgroups"


class Branch:
    """A cgroup that is handed out to a server, as a service manager does."""

    count = 0

    def __init__(self, owner=None, kind=""):
        Branch.count += 1
        self.path = "%s/test-%d%s" % (TREE, Branch.count, kind)
        os.mkdir(self.path)
        if owner is not None:
            for name in ("", "cgroup.procs", "cgroup.subtree_control", "cgroup.threads"):
                os.chown(os.path.join(self.path, name), owner, owner)

    def launcher(self, folder, before="", leaf="."):
        """A program that joins the branch, or a leaf of it, and goes on as the server."""
        path = folder + "/martlet"
        with open(path, "w") as file:
            file.write("#!/bin/sh\necho $$ > %s/%s/cgroup.procs\nexec %s %s \"$@\"\n"
                       % (self.path, leaf, before, os.path.join(ROOT, BINARY)))
        os.chmod(path, 0o755)
        return path

    def below(self):
        """The names of the cgroups in it."""
        return sorted(name for name in os.listdir(self.path)
                      if os.path.isdir(os.path.join(self.path, name)))

    def workers(self):
        return [name for name in self.below() if name.startswith("martlet-worker-")]

    def read(self, name):
        with open(os.path.join(self.path, name)) as file:
            return file.read().strip()

    def write(self, name, text):
        with open(os.path.join(self.path, name), "w") as file:
            file.write(str(text))

    def cgroup_of(self, pid):
        with open("/proc/%d/cgroup" % pid) as file:
            return file.read().strip().removeprefix("0::" + self.path.removeprefix(TREE) + "/")

    def remove(self):
        self.write("cgroup.kill", 1)
        for name in [*self.below(), "."]:
            os.rmdir(os.path.abspath(os.path.join(self.path, name)))


class PatientServer(Server):
    """One that starts on an emulated processor; ready when it knows its functions."""

    START_SECONDS = 120

    def start(self):
        super().start()
        deadline = time.monotonic() + 60
        while self.call("GET", "/v1/functions/work")[0] != 200 and time.monotonic() < deadline:
            time.sleep(0.1)

    def wait(self, job, seconds=120):
        return super().wait(job, seconds)

    def result(self, job, seconds=120):
        return super().result(job, seconds)


class PatientTestCase(ServiceTestCase):
    def until(self, condition, seconds=120):
        super().until(condition, seconds)


class BranchTestCase(PatientTestCase):
    before = ""
    owner = None
    more = ("--worker-cgroups", "on")

    @classmethod
    def setUpClass(cls):
        cls.branch = Branch(cls.owner)
        cls.addClassCleanup(cls.branch.remove)
        cls.outside = cls.enterClassContext(tempfile.TemporaryDirectory())
        os.chmod(cls.outside, 0o777)
        cls.serve()

    @classmethod
    def serve(cls):
        cls.server = PatientServer(cls.branch.launcher(cls.outside, cls.before), FUNCTIONS,
                            data=cls.outside + "/data", more=cls.more)
        cls.addClassCleanup(cls.server.__exit__)

    def outcome(self, function, *arguments, **more):
        """The result of a call, or the reason of its failure."""
        document = self.server.wait(
            self.server.submit(function=function, args=list(arguments), **more))
        return document["error"]["reason"] if "error" in document else document["result"]

    def error(self, function, *arguments, **more):
        document = self.server.wait(self.server.submit(
            function=function, args=list(arguments), retry={"max_attempts": 1}, **more))
        self.assertEqual(document["state"], "failed", document)
        return document["error"]


class MemoryTests(BranchTestCase):
    def test_what_children_hold_together_is_the_calls(self):
        self.assertEqual(self.outcome("hold_in_children", 2, 40, max_memory_bytes=LIMIT)[1],
                         ["held"] * 2)
        beside = self.server.submit(function="work", args=[4])
        self.await_state(beside, "running")
        error = self.error("hold_in_children", 3, 80, max_memory_bytes=LIMIT)
        self.assertEqual((error["reason"], error["type"], error["signal"]),
                         ("out_of_memory", "OutOfMemory", signal.SIGKILL))
        self.assertIn("max_memory_bytes of %d" % LIMIT, error["message"])
        self.assertGreater(error["max_memory_bytes"], LIMIT - 10 * MEBIBYTE)
        # The neighbour has not noticed.
        neighbour = self.server.result(beside)
        self.assertNotEqual(neighbour, error["worker"])
        self.assertTrue(alive(neighbour))
        self.assertFalse(alive(error["worker"]))

    def test_what_it_holds_itself_is_a_memory_error_and_its_worker_lives(self):
        error = self.error("hold_itself", 250, max_memory_bytes=LIMIT)
        self.assertEqual((error["reason"], error["type"]), ("out_of_memory", "MemoryError"))
        self.assertTrue(alive(error["worker"]))

    def test_shared_memory_counts(self):
        self.assertIsInstance(
            self.outcome("hold_in_shared_memory", 50, max_memory_bytes=LIMIT), int)
        error = self.error("hold_in_shared_memory", 250, max_memory_bytes=LIMIT)
        self.assertEqual((error["reason"], error["type"]), ("out_of_memory", "OutOfMemory"))

    def test_the_limit_is_the_calls_alone(self):
        for _ in range(3):
            self.outcome("work", 0, max_memory_bytes=LIMIT)
            self.assertEqual(self.outcome("hold_in_children", 3, 80)[1], ["held"] * 3)
        # Short calls with and without one, in lines of their own.
        jobs = [self.server.submit(function="work", args=[0],
                                   **({"max_memory_bytes": LIMIT} if number % 3 else {}))
                for number in range(60)]
        for job in jobs:
            self.assertIsInstance(self.server.result(job), int)

    def test_a_worker_that_others_have_filled_is_replaced_not_the_call_blamed(self):
        kept = [self.server.submit(function="keep", args=[200, 2]) for _ in range(2)]
        full = {self.server.result(job) for job in kept}
        self.assertEqual(len(full), 2)
        worker = self.outcome("work", 0, max_memory_bytes=LIMIT)
        self.assertIsInstance(worker, int)
        self.assertNotIn(worker, full)
        # The one whose place it has, and no other.
        self.until(lambda: sum(map(alive, full)) < 2)
        self.assertEqual(sum(map(alive, full)), 1)

    def test_an_item_that_wants_too_much_fails_alone(self):
        job = self.server.submit(
            function="hold_in_children", map=[[1, 10], [3, 80], [2, 20]], spread=True, chunk=1,
            on_error="continue", max_memory_bytes=LIMIT)
        self.server.wait(job)
        self.assertEqual([result and result[1] for result in self.server.result(job)],
                         [["held"], None, ["held"] * 2])

    def test_a_command_is_held_with_its_children(self):
        self.assertEqual(self.outcome("hold_command", 1, 30, max_memory_bytes=LIMIT), ["held"])
        for count, megabytes in ((0, 250), (2, 80)):
            error = self.error("hold_command", count, megabytes, max_memory_bytes=LIMIT)
            self.assertEqual((error["reason"], error["type"]), ("out_of_memory", "OutOfMemory"))

    def test_one_that_somebody_else_kills_is_not_out_of_memory(self):
        for _ in range(2):
            self.error("hold_in_children", 3, 80, max_memory_bytes=LIMIT)
            self.assertEqual(self.error("be_killed")["reason"], "signal")

    def test_a_want_of_the_whole_server_is_told_and_outlived(self):
        self.branch.write("memory.max", 400 * MEBIBYTE)
        try:
            error = self.error("keep", 700)
            self.assertEqual((error["reason"], error["type"]), ("out_of_memory", "OutOfMemory"))
            self.assertIn("memory had run out", error["message"])
        finally:
            self.branch.write("memory.max", "max")
        self.assertIsInstance(self.outcome("work", 0), int)


class PlaceTests(BranchTestCase):
    def test_each_worker_has_one_of_its_own_and_the_server_another(self):
        self.assertIn("limits hold for all that a worker starts", self.server.said())
        self.assertEqual(self.branch.cgroup_of(self.server.process.pid), "martlet-server")
        jobs = [self.server.submit(function="work", args=[2]) for _ in range(2)]
        workers = {self.server.result(job) for job in jobs}
        places = {self.branch.cgroup_of(worker) for worker in workers}
        self.assertEqual(len(places), 2)
        self.assertLessEqual(places, set(self.branch.workers()))
        self.assertEqual(self.branch.read("martlet-server/cgroup.subtree_control"), "")

    def test_nothing_is_left_of_one_that_has_ended(self):
        self.outcome("work", 0)
        before = len(self.branch.workers())
        for _ in range(3):
            self.error("be_killed")
            self.outcome("hold_command", 1, 5, max_memory_bytes=LIMIT)
        self.until(lambda: len(self.branch.workers()) == before)

    def test_a_cancel_ends_also_what_made_a_session_of_its_own(self):
        path = self.outside + "/cancelled"
        job = self.server.submit(function="leave_a_daemon", args=[path, 60])
        self.until(lambda: os.path.exists(path))
        with open(path) as file:
            left = int(file.read())
        self.assertTrue(alive(left))
        self.server.call("POST", "/v1/jobs/%s/cancel" % job)
        self.await_state(job, "cancelled")
        self.assertFalse(alive(left))


class ProcessTests(BranchTestCase):
    more = ("--worker-cgroups", "on", "--worker-processes", "20")

    def test_each_worker_may_have_so_many_also_roots(self):
        beside = self.server.submit(function="work", args=[1])
        started = self.outcome("start_many", 60)
        self.assertGreater(started, 10)
        self.assertLess(started, 20)
        self.assertIsInstance(self.server.result(beside), int)
        self.assertEqual(self.outcome("hold_command", 1, 5), ["held"])


class GivenTests(BranchTestCase):
    """As a user to whom the branch was given, and without clone3: as in a container of Docker's, whose
    filter refuses what it cannot look into."""

    owner = 65532
    before = "setpriv --reuid 65532 --regid 65532 --clear-groups --no-new-privs %s %s" % (
        sys.executable, os.path.abspath(__file__))

    def test_it_holds_all_the_same(self):
        self.assertEqual(self.branch.cgroup_of(self.server.process.pid), "martlet-server")
        worker = self.outcome("work", 0)
        self.assertIn(self.branch.cgroup_of(worker), self.branch.workers())
        for function in ("hold_in_children", "hold_command"):
            self.assertIn("held", str(self.outcome(function, 1, 30, max_memory_bytes=LIMIT)))
            error = self.error(function, 3, 80, max_memory_bytes=LIMIT)
            self.assertEqual((error["reason"], error["type"]), ("out_of_memory", "OutOfMemory"))


def go_on_without_clone3(program):
    """Goes on as a program for which there is no such call (seccomp(2))."""
    clone3, allow, refuse = 435, 0x7fff0000, 0x00050000 | errno.ENOSYS
    lines = [(0x20, 0, 0, 0), (0x15, 0, 1, clone3), (0x06, 0, 0, refuse), (0x06, 0, 0, allow)]
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *line) for line in lines))
    rules = struct.pack("HxxxxxxP", len(lines), ctypes.addressof(code))
    if ctypes.CDLL(None, use_errno=True).prctl(22, 2, rules, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl")
    os.execv(program[0], program)


class StartTests(PatientTestCase):
    @classmethod
    def setUpClass(cls):
        pass  # each test has servers of its own

    def setUp(self):
        self.branch = Branch()
        self.addCleanup(self.branch.remove)
        self.outside = self.enterContext(tempfile.TemporaryDirectory())
        os.chmod(self.outside, 0o777)

    def serve(self, *more, before=""):
        launcher = self.branch.launcher(self.outside, before)
        self.server = self.enterContext(PatientServer(launcher, FUNCTIONS, more=more))
        return self.server

    def refused(self, *more, **how):
        """What a server says that must have cgroups, and cannot."""
        ran = subprocess.run(
            [self.branch.launcher(self.outside, **how), "serve", "--worker-cgroups", "on",
             "--listen", "127.0.0.1:0", "--data", self.outside + "/refused", *more],
            capture_output=True, text=True, timeout=120)
        self.assertEqual(ran.returncode, 1, ran)
        return ran.stderr

    def test_what_a_killed_server_leaves_the_next_one_ends(self):
        server = self.serve()
        path = self.outside + "/left"
        server.submit(function="leave_a_daemon", args=[path, 60], retry={"max_attempts": 1})
        self.until(lambda: os.path.exists(path))
        with open(path) as file:
            left = int(file.read())
        server.kill()
        self.assertTrue(alive(left))
        # Who starts it anew was moved to the server's own, as in a container.
        self.branch.launcher(self.outside, leaf="martlet-server")
        inode = os.stat(self.branch.path + "/" + self.branch.cgroup_of(left)).st_ino
        server.start()
        self.assertFalse(alive(left))
        self.assertNotIn(inode, [os.stat(self.branch.path + "/" + name).st_ino
                                 for name in self.branch.workers()])
        self.assertIsInstance(server.run(function="work", args=[0]), int)

    def test_a_stopped_server_leaves_all_as_it_was(self):
        for more in ((), ("--worker-cgroups", "off")):
            server = self.serve(*more)
            server.run(function="work", args=[0])
            self.assertEqual(bool(self.branch.workers()), not more)
            self.assertEqual(server.stop(), 0)
            self.assertEqual((self.branch.below(), self.branch.read("cgroup.subtree_control")),
                             ([], ""))

    def test_a_refused_start_leaves_all_as_it_was(self):
        taken = self.enterContext(socket.create_server(("127.0.0.1", 0)))
        address = "127.0.0.1:%d" % taken.getsockname()[1]
        said = self.refused("--functions", FUNCTIONS, "--listen", address)
        self.assertIn("limits hold for all that a worker starts", said)
        self.assertIn("Address already in use", said)
        self.assertEqual((self.branch.below(), self.branch.read("cgroup.subtree_control")), ([], ""))

    def test_others_in_its_cgroup_are_let_alone(self):
        other = subprocess.Popen(["sleep", "1000"])
        self.addCleanup(other.wait)
        self.addCleanup(other.kill)
        self.branch.write("cgroup.procs", other.pid)
        self.assertIn("other processes are in " + self.branch.path, self.refused())
        server = self.serve()
        self.assertIn(WITHOUT, server.said())
        self.assertIsInstance(server.run(function="work", args=[0]), int)
        self.assertEqual(self.branch.below(), [])
        self.assertIn(str(other.pid), self.branch.read("cgroup.procs").split())

    def test_a_unit_of_systemds_must_hand_it_out(self):
        self.branch = Branch(kind=".service")
        self.addCleanup(self.branch.remove)
        self.assertIn("the unit wants Delegate=memory pids", self.refused())
        os.setxattr(self.branch.path, "user.delegate", b"1")
        self.serve("--worker-cgroups", "on")

    def test_two_servers_do_not_share_one(self):
        first = self.serve()
        self.assertIn("another server has " + self.branch.path,
                      self.refused(leaf="martlet-server"))
        self.assertIsInstance(first.run(function="work", args=[0]), int)

    def test_in_a_container_the_first_process_moves_along(self):
        # A shell, which waits for the server, is the first process in the root of a cgroup namespace.
        server = self.serve(
            "--worker-cgroups", "on",
            before="unshare --cgroup --mount sh -c"
                   " 'umount %s; mount -t cgroup2 cgroup2 %s; \"$@\"; exit $?' sh" % (TREE, TREE))
        worker = server.run(function="work", args=[0])
        self.assertIn(self.branch.cgroup_of(worker), self.branch.workers())
        self.assertEqual(self.branch.cgroup_of(server.process.pid), "martlet-server")
        # What the shell was sent it does not pass on.
        with open("/proc/%d/task/%d/children" % ((server.process.pid,) * 2)) as file:
            os.kill(int(file.read()), signal.SIGTERM)
        self.assertEqual(server.process.wait(60), 0)
        self.assertEqual(self.branch.below(), [])

    def test_a_tree_that_cannot_be_written_is_done_without(self):
        before = "unshare --mount sh -c 'mount -o remount,bind,ro %s; exec \"$@\"' sh" % TREE
        self.assertIn("Read-only file system", self.refused(before=before))
        server = self.serve(before=before)
        self.assertIn(WITHOUT, server.said())
        self.assertEqual(server.run(function="hold_itself", args=[5])[1], 5)

    @unittest.skipUnless(os.path.exists("/usr/bin/bwrap"), "there is no bubblewrap")
    def test_the_sandbox_is_in_it(self):
        server = self.serve("--sandbox", "--worker-cgroups", "on")
        document = server.wait(server.submit(
            function="hold_in_children", args=[3, 80], max_memory_bytes=LIMIT,
            retry={"max_attempts": 1}))
        self.assertEqual((document["error"]["reason"], document["error"].get("signal")),
                         ("out_of_memory", signal.SIGKILL), document)
        self.assertEqual(server.run(function="hold_itself", args=[5])[1], 5)


if __name__ == "__main__":
    go_on_without_clone3(sys.argv[1:])

"""Faults at random moments, and after each the promises that must hold.

    python3 faults.py        SEED=1 MINUTES=1.5 by default; `make faults SEED=7 MINUTES=20`

A client submits jobs all the time and keeps what was answered 202. A fault strikes; then every
acknowledged job must end as it should, none that succeeded may run again, every failure must be
blamed on what caused it, and no process, descriptor or file may be left. The same seed gives the
same faults in the same order; the machine's own timing stays its own.
"""

import os
import sys
import tempfile
import time

tempfile.gettempdir()  # of this process, before the server is given another
from cancels import Cancels  # noqa: E402
from machine import Broken, check, descriptors, is_alive, memory, until  # noqa: E402
from process_faults import ProcessFaults  # noqa: E402
from storage_faults import StorageFaults  # noqa: E402

# Bytes that the server may have grown by from the first round to the last.
GROWTH = 64 << 20


class Suite(Cancels, ProcessFaults, StorageFaults):
    def run(self, seconds):
        end = time.monotonic() + seconds
        self.warm_up()
        self.cancels()
        faults = sorted(name for name in dir(self) if name.startswith("fault_"))
        level = None
        while level is None or time.monotonic() < end:
            order = faults[:]
            self.random.shuffle(order)
            for name in order:
                try:
                    getattr(self, name)()
                    self.settle()
                    self.tidy()
                except Broken as error:
                    raise Broken("after %s: %s\n%s" % (name, error, self.server.said()[-3000:]))
                self.counts[name.replace("_", " ")] += 1
            level = level or memory(self.server.process.pid)
        self.end(level)

    def end(self, level):
        grown = memory(self.server.process.pid) - level
        check(grown < GROWTH, "memory has grown by", grown)
        self.counts["MiB that memory has grown by"] = grown >> 20
        below = self.workers()
        check(self.server.stop() == 0, "the server did not end well")
        check(not any(map(is_alive, below)), "a worker outlived the server")
        self.counts["acknowledged jobs lost"] = len(self.acknowledged) - len(self.succeeded)
        self.counts["jobs run again after their success"] = 0  # `settle` has looked
        self.verify()


def main():
    seed = int(os.environ.get("SEED") or 1)
    minutes = float(os.environ.get("MINUTES") or 1.5)
    print("seed %d, %g minutes" % (seed, minutes), flush=True)
    suite = Suite(seed)
    try:
        suite.run(minutes * 60)
    except Broken as error:
        print("BROKEN with seed %d: %s" % (seed, error))
        return 1
    finally:
        if suite.server.process.poll() is None:
            suite.server.kill()
        suite.folder.cleanup()
    for name, count in sorted(suite.counts.items()):
        print("%6d  %s" % (count, name))
    return 0


if __name__ == "__main__":
    sys.exit(main())

import Glibc
import Jobs
import Testing

@testable import Pools

@Suite struct CgroupTests {
    private static let mounts = """
        22 27 0:21 / /proc rw,nosuid shared:12 - proc proc rw
        31 23 0:27 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate

        """

    @Test(arguments: [
        ("0::/system.slice/martlet.service\n", "/sys/fs/cgroup/system.slice/martlet.service"),
        ("9:memory:/a\n0::/b\n", "/sys/fs/cgroup/b"),
        ("0::/\n", "/sys/fs/cgroup"),
        ("0::/martlet-server\n", "/sys/fs/cgroup"),
        ("0::/a/martlet-server\n", "/sys/fs/cgroup/a"),
        ("0::/a-martlet-server\n", "/sys/fs/cgroup/a-martlet-server"),
    ])
    func `the folder of the cgroup is found below the mount`(text: String, folder: String) {
        let membership = CgroupFolder.membership(in: text)
        #expect(membership.flatMap { CgroupFolder.path(of: $0, mounts: Self.mounts) } == folder)
    }

    @Test func `a mount that shows a part of the tree holds that part alone`() {
        let mounts = "31 23 0:27 /pod/one /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"
        #expect(CgroupFolder.path(of: "/pod/one", mounts: mounts) == "/sys/fs/cgroup")
        #expect(CgroupFolder.path(of: "/pod/one/a", mounts: mounts) == "/sys/fs/cgroup/a")
        #expect(CgroupFolder.path(of: "/pod/oneself", mounts: mounts) == nil)
        #expect(CgroupFolder.path(of: "/", mounts: mounts) == nil)
    }

    @Test func `without version 2 there is none`() {
        #expect(CgroupFolder.membership(in: "4:memory:/a\n") == nil)
        #expect(
            CgroupFolder.path(of: "/", mounts: "25 23 0:30 / /c rw - cgroup c rw,memory\n") == nil)
    }

    @Test(arguments: [
        (Cgroup.MemoryVerdict.enough, Failure.Reason.signal), (.boundReached, .outOfMemory),
        (.shortage, .outOfMemory),
    ])
    func `a kill is blamed on memory where its own cgroup says so`(
        verdict: Cgroup.MemoryVerdict, reason: Failure.Reason,
    ) {
        var end = ProcessEnd(status: SIGKILL, usage: rusage())
        end.note(verdict, peakBytes: 5 << 30)
        let failure = end.failure(within: CallLimits(memoryBytes: 77), KernelKills())
        #expect(failure.reason == reason)
        #expect(failure.hasEndedWorker)
        #expect(failure.message.contains("max_memory_bytes of 77") == (verdict == .boundReached))
        #expect((failure.maxMemoryBytes == 5 << 30) == (reason == .outOfMemory))
    }

    @Test func `a process that gave up because its child was killed has run out of memory`() {
        var end = ProcessEnd(status: 1 << 8, usage: rusage())
        end.note(.boundReached, peakBytes: nil)
        let failure = end.failure(within: CallLimits(memoryBytes: 77), KernelKills())
        #expect(failure.reason == .outOfMemory)
        #expect(failure.hasEndedWorker)
    }
}

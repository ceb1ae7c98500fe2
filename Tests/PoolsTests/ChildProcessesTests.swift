import Foundation
import Glibc
import Testing
import Threads

@testable import Pools

extension RuntimePoolTests {
    @Suite struct ChildProcessesTests {
        private let folder =
            FileManager.default.temporaryDirectory.path
            + "/martlet-\(UUID().uuidString)"

        private func makeFolder(_ name: String) throws {
            try FileManager.default.createDirectory(
                atPath: "\(folder)/\(name)", withIntermediateDirectories: true)
        }

        private func isThere(_ name: String = "") -> Bool { access("\(folder)/\(name)", F_OK) == 0 }

        /// A plain folder can be removed no more than a cgroup while there is something in it.
        @Test func `a cgroup in which something is still ending is removed when that has ended`()
            async throws
        {
            try makeFolder("busy")
            try Data().write(to: URL(fileURLWithPath: folder + "/busy/still"))
            let (children, starts) = (ChildProcesses(), ThreadExecutor(name: "spawner", threads: 1))
            let worker = try spawnWorker(
                WorkerLaunch(arguments: ["/bin/true"], environment: [:]), children
            ).get()
            children.add(worker.pid, isSandboxed: false, cgroup: Cgroup(path: folder))
            #expect(children.reap(worker.pid).status == 0)
            for fd in [worker.channel, worker.output, worker.error] { close(fd) }
            for _ in 0..<3 {
                await withCheckedContinuation { continuation in
                    starts.execute {
                        children.sweep(on: starts)
                        continuation.resume()
                    }
                }
                #expect(isThere("busy/still"))
            }
            unlink(folder + "/busy/still")
            try await until { !isThere() }
            starts.stop()
        }

        @Test func `cgroups that were made in one go before it`() throws {
            try makeFolder("a/b/c")
            try makeFolder("a/d")
            #expect(Cgroup(path: folder).removeIfEmpty())
            #expect(!isThere())
            // One that is gone is no reason to wait.
            #expect(Cgroup(path: folder).removeIfEmpty())
        }
    }
}

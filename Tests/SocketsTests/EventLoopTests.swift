import Foundation
import Sockets
import Testing
import Threads

@Suite struct EventLoopTests {
    /// How many CPUs the calling thread may use, or the one that `place` names below `/proc`.
    private static func cpus(_ place: String = "thread-self") -> Int {
        let status = (try? String(contentsOfFile: "/proc/\(place)/status", encoding: .utf8)) ?? ""
        let mask = status.split(separator: "\n").first { $0.hasPrefix("Cpus_allowed:") } ?? ""
        // Hexadecimal digits, and commas between every eight.
        let digits = mask.split(separator: "\t").last ?? ""
        return digits.reduce(0) { $0 + ($1.hexDigitValue ?? 0).nonzeroBitCount }
    }

    private static var cpusOfProcess: Int { cpus("self") }

    private func cpus(of loop: EventLoop) async -> Int {
        await withUnsafeContinuation { continuation in
            loop.execute { continuation.resume(returning: Self.cpus()) }
        }
    }

    @Test func `loops for all CPUs are each kept on one`() async throws {
        let loops = try EventLoop.group("test", count: Self.cpusOfProcess, areApart: true)
        defer { for loop in loops { loop.stop() } }
        for loop in loops { #expect(await cpus(of: loop) == 1) }
    }

    @Test(arguments: [(0, false), (1, true)])
    func `other loops run anywhere`(more: Int, areApart: Bool) async throws {
        let all = Self.cpusOfProcess
        let loops = try EventLoop.group("test", count: all + more, areApart: areApart)
        defer { for loop in loops { loop.stop() } }
        for loop in loops { #expect(await cpus(of: loop) == all) }
    }

    @Test func `a thread that such a loop starts runs anywhere`() async throws {
        let loop = try EventLoop(name: "test", onCPU: 0)
        defer { loop.stop() }
        #expect(await cpus(of: loop) == 1)
        let found = await withUnsafeContinuation { continuation in
            loop.execute {
                startThread("test-thread") { continuation.resume(returning: Self.cpus()) }
            }
        }
        #expect(found == Self.cpusOfProcess)
    }
}

import Foundation
import Glibc
import Testing

@testable import WebServer

@Suite final class AccessLogTests {
    private let path = FileManager.default.temporaryDirectory.path + "/\(UUID().uuidString).log"

    deinit { unlink(path) }

    private func text(_ path: String) throws -> String {
        try String(contentsOfFile: path, encoding: .utf8)
    }

    @Test func `lines stand in their order in the file at the end`() async throws {
        let log = try AccessLog(path: path)
        for number in 1...3 { log.write(Array("line \(number)\n".utf8)) }
        await log.finish()
        #expect(try text(path) == "line 1\nline 2\nline 3\n")
        #expect(log.dropped == 0)
    }

    @Test func `a pipe that nobody reads holds up nobody, and lines without room are counted`()
        async throws
    {
        #expect(mkfifo(path, 0o600) == 0)
        // Both ends: that of a pipe nobody has open could not be opened.
        let pipe = open(path, O_RDWR)
        defer { close(pipe) }
        let log = try AccessLog(path: path)
        let line = [UInt8](repeating: UInt8(ascii: "x"), count: 1023) + [UInt8(ascii: "\n")]
        let written = 3 * AccessLog.room / line.count
        for _ in 0..<written { log.write(line) }  // in this thread, which returns
        #expect(log.dropped > 0)
        let kept = written - log.dropped
        log.flush()
        var received: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65536)
        while received.count < kept * line.count {
            let count = read(pipe, &buffer, buffer.count)
            try #require(count > 0)
            received += buffer[..<count]
        }
        await log.finish()
        #expect(received.count == kept * line.count)
        #expect(received.count { $0 == UInt8(ascii: "\n") } == kept)
    }

    @Test func `lines that a full disk refuses are counted`() async throws {
        let log = try AccessLog(path: "/dev/full")
        for _ in 0..<5 { log.write(Array("line\n".utf8)) }
        await log.finish()
        #expect(log.dropped == 5)
    }

    @Test func `after a move lines go on in a new file`() async throws {
        let log = try AccessLog(path: path)
        let old = path + ".1"
        defer { unlink(old) }
        log.write(Array("before\n".utf8))
        #expect(rename(path, old) == 0)
        let failure = await withCheckedContinuation { told in
            log.reopen { told.resume(returning: $0) }
        }
        #expect(failure == nil)
        log.write(Array("after\n".utf8))
        await log.finish()
        #expect(try text(old) == "before\n")
        #expect(try text(path) == "after\n")
    }
}

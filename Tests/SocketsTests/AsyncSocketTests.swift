import Glibc
import Sockets
import Testing

@Suite struct AsyncSocketTests {
    /// Runs `body` on a loop with two connected sockets.
    private func withPair(
        _ body: @escaping @Sendable (AsyncSocket, AsyncSocket) async throws -> Void,
    ) async throws {
        let loop = try EventLoop(name: "test-sockets")
        let task = Task(executorPreference: loop) {
            var ends: [Int32] = [0, 0]
            let type = Int32(SOCK_STREAM.rawValue | SOCK_NONBLOCK.rawValue)
            #expect(socketpair(AF_UNIX, type, 0, &ends) == 0)
            let one = AsyncSocket(ends[0], on: loop)
            let other = AsyncSocket(ends[1], on: loop)
            try await body(one, other)
            one.close()
            other.close()
        }
        try await task.value
        loop.stop()
    }

    @Test func `what is written is read, however much`() async throws {
        try await withPair { one, other in
            let all = [UInt8](repeating: 7, count: 1 << 20)
            var sent = 0
            var received = 0
            let room = UnsafeMutableRawBufferPointer.allocate(byteCount: 65536, alignment: 1)
            defer { room.deallocate() }
            while received < all.count {
                if sent < all.count { sent += try one.writeNow(all[sent...]) }
                if sent > received { received += try await other.read(into: room) }
                if sent == received, sent < all.count { await one.untilWritable() }
            }
            #expect(sent == all.count)
        }
    }

    @Test func `a read that waits can be ended`() async throws {
        try await withPair { one, _ in
            one.loop.execute { one.expireRead() }
            let room = UnsafeMutableRawBufferPointer.allocate(byteCount: 16, alignment: 1)
            defer { room.deallocate() }
            await #expect(throws: SocketError.timedOut) { try await one.read(into: room) }
        }
    }

    @Test func `the end of the other side is read as such`() async throws {
        try await withPair { one, other in
            other.close()
            let room = UnsafeMutableRawBufferPointer.allocate(byteCount: 16, alignment: 1)
            defer { room.deallocate() }
            let count = try await one.read(into: room)
            #expect(count == 0)
        }
    }
}

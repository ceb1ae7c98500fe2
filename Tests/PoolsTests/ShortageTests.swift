import Glibc
import Sockets
import Testing

@testable import Pools

extension RuntimePoolTests {
    /// Starts of workers that fail.
    @Suite struct ShortageTests {
        @Test(arguments: [EMFILE, ENFILE, EAGAIN])
        func `a call waits for its worker while descriptors or processes are short`(code: Int32)
            async throws
        {
            let shortage = SocketError.system("pipe2", code)
            let setup = try FleetUnderTest(
                size: 1, failing: [SocketError](repeating: shortage, count: 6))
            #expect(try await setup.begin().value.worker > 0)
            await setup.stop()
        }

        @Test func `a call fails whose worker cannot be started`() async throws {
            let refusal = SocketError.system("start python3", ENOENT)
            let setup = try FleetUnderTest(
                size: 1, failing: [SocketError](repeating: refusal, count: 6))
            await #expect(throws: FleetUnderTest.NoResult.self) { try await setup.begin().value }
            await setup.stop()
        }

        @Test func `a call does not wait for ever for descriptors or processes`() async throws {
            let shortage = SocketError.system("start python3", EAGAIN)
            let setup = try FleetUnderTest(
                size: 1, failing: [SocketError](repeating: shortage, count: 1000),
                patience: .milliseconds(500))
            await #expect(throws: FleetUnderTest.NoResult.self) { try await setup.begin().value }
            await setup.stop()
        }

        @Test func `a call that waits so can be cancelled`() async throws {
            let shortage = SocketError.system("pipe2", EMFILE)
            let setup = try FleetUnderTest(
                size: 1, failing: [SocketError](repeating: shortage, count: 1000))
            let call = setup.begin()
            call.cancel()
            await #expect(throws: FleetUnderTest.NoResult.self) { try await call.value }
            await setup.stop()
        }
    }
}

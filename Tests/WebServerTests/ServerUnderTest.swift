import Glibc
import HTTPWire
import Sockets
import WebServer

/// A server on a free port of the loopback, stopped by `stop()`.
final class ServerUnderTest: Sendable {
    let server: HTTPServer
    let port: Int
    private let loop: EventLoop

    init(
        _ routes: [Route], change: (inout HTTPServerConfiguration) -> Void = { _ in },
    ) throws {
        loop = try EventLoop(name: "test-http")
        var configuration = HTTPServerConfiguration { status, detail in
            HTTPResponse(status, type: "text/plain", Array(detail.utf8))
        }
        change(&configuration)
        server = try HTTPServer(
            listen: [.internet(host: "127.0.0.1", port: 0)], loops: [loop],
            router: Router(routes), configuration: configuration)
        server.open()
        guard case .internet(_, let port) = server.addresses[0] else {
            preconditionFailure("not the address that was asked for")
        }
        self.port = port
    }

    /// Stops it; requests under way are given up after a while.
    func stop(within patience: Duration = .seconds(2)) async {
        let end = ContinuousClock.now + patience
        await server.stop(whenOver: { ContinuousClock.now >= end })
        loop.stop()
    }

    /// Waits until a counter has reached a number; false after a minute.
    func reaches(_ counter: HTTPServerStatistics.Counter, _ number: Int) async -> Bool {
        await holds { self.server.statistics[counter] >= number }
    }

    /// Waits until a condition holds; the deadline is for a loaded machine.
    ///
    /// The thread is another's meanwhile: there are as many as processors, and clients block some.
    func holds(_ condition: () -> Bool) async -> Bool {
        let end = ContinuousClock.now + .seconds(60)
        while !condition() {
            if ContinuousClock.now > end { return false }
            try? await Task.sleep(for: .milliseconds(1))
        }
        return true
    }
}

/// A blocking connection to a server, for wire tests; a minute without a byte ends a read.
final class RawClient {
    private let fd: Int32

    init(port: Int, receiveBuffer: Int32? = nil) {
        fd = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        if var size = receiveBuffer {
            setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, socklen_t(MemoryLayout<Int32>.size))
        }
        var timeout = timeval(tv_sec: 60, tv_usec: 0)
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, socklen_t(MemoryLayout<timeval>.size))
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = in_port_t(port).bigEndian
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        let size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let result = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { connect(fd, $0, size) }
        }
        precondition(result == 0, "cannot connect")
    }

    deinit { close(fd) }

    func send(_ text: String) {
        let bytes = Array(text.utf8)
        var sent = 0
        while sent < bytes.count {
            let count = bytes.withUnsafeBytes {
                Glibc.send(
                    fd, $0.baseAddress.map { $0 + sent }, bytes.count - sent, Int32(MSG_NOSIGNAL))
            }
            if count <= 0 { return }
            sent += count
        }
    }

    func endSending() { shutdown(fd, Int32(SHUT_WR)) }

    /// Reads until `isEnough` or the end of the connection; what it holds then.
    func receive(until isEnough: (String) -> Bool = { _ in false }) -> String {
        var all: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65536)
        while true {
            let count = recv(fd, &buffer, buffer.count, 0)
            if count <= 0 { break }
            all += buffer[..<count]
            if isEnough(String(decoding: all, as: UTF8.self)) { break }
        }
        return String(decoding: all, as: UTF8.self)
    }

    /// Sends and reads to the end of the connection.
    func exchange(_ text: String) -> String {
        send(text)
        return receive()
    }
}

extension String {
    /// How often a text occurs.
    func count(of text: String) -> Int {
        var count = 0
        var rest = self[...]
        while let found = rest.firstRange(of: text) {
            count += 1
            rest = rest[found.upperBound...]
        }
        return count
    }
}

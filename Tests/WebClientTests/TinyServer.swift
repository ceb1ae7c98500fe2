import Glibc
import Synchronization
import Testing

/// A web server on a free loopback port: a thread a connection, answers written by the test.
final class TinyServer: Sendable {
    let port: Int
    private let listener: Int32
    private let answer: @Sendable (Exchange) -> Void
    private let state = Mutex(State())

    private struct State {
        var connections = 0
        var open = 0
        var mostOpen = 0
        var requests: [String] = []
    }

    /// One request and the way to answer it.
    struct Exchange {
        let fd: Int32
        /// The head and what came of the body with it.
        let text: String
        let server: TinyServer

        var path: String {
            text.split(separator: " ").dropFirst().first.map(String.init) ?? ""
        }

        func send(_ text: String) {
            var bytes = Array(text.utf8)[...]
            while !bytes.isEmpty {
                let count = bytes.withUnsafeBytes {
                    Glibc.send(fd, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
                }
                guard count > 0 else { return }
                bytes = bytes.dropFirst(count)
            }
        }

        func reply(_ status: Int, _ headers: [String] = [], _ body: String = "") {
            let lines = headers.map { "\($0)\r\n" }.joined()
            let length = "Content-Length: \(body.utf8.count)\r\n"
            send("HTTP/1.1 \(status) X\r\n\(length)\(lines)\r\n\(body)")
        }

        /// Returns when the client has closed the connection.
        func waitForClose() {
            var byte: UInt8 = 0
            while recv(fd, &byte, 1, 0) > 0 {}
        }
    }

    init(_ answer: @escaping @Sendable (Exchange) -> Void) throws {
        self.answer = answer
        listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let fd = listener
        let bound = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(fd, $0, size) == 0 && listen(fd, 512) == 0 && getsockname(fd, $0, &size) == 0
            }
        }
        try #require(bound)
        port = Int(UInt16(bigEndian: address.sin_port))
        thread { server in
            while true {
                let connection = accept(server.listener, nil, nil)
                guard connection >= 0 else { return }
                server.thread { $0.serve(connection) }
            }
        }
    }

    func url(_ path: String, host: String = "127.0.0.1") -> String {
        "http://\(host):\(port)\(path)"
    }

    /// Accepted so far.
    var connections: Int { state.withLock { $0.connections } }
    /// The most requests that were under way at once.
    var mostOpen: Int { state.withLock { $0.mostOpen } }
    /// Heads in the order of their coming.
    var requests: [String] { state.withLock { $0.requests } }

    func stop() { shutdown(listener, Int32(SHUT_RDWR)) }

    private func serve(_ fd: Int32) {
        defer { close(fd) }
        state.withLock { $0.connections += 1 }
        while let text = readHead(fd) {
            state.withLock {
                $0.requests.append(text)
                $0.open += 1
                $0.mostOpen = max($0.mostOpen, $0.open)
            }
            answer(Exchange(fd: fd, text: text, server: self))
            state.withLock { $0.open -= 1 }
        }
    }

    private func readHead(_ fd: Int32) -> String? {
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 65536)
        while true {
            let count = recv(fd, &chunk, chunk.count, 0)
            guard count > 0 else { return nil }
            bytes += chunk[..<count]
            let text = String(decoding: bytes, as: UTF8.self)
            if text.contains("\r\n\r\n") { return text }
        }
    }

    private func thread(_ body: @escaping @Sendable (TinyServer) -> Void) {
        let start = Unmanaged.passRetained(Start { body(self) })
        var thread = pthread_t()
        pthread_create(
            &thread, nil,
            { raw in
                if let raw { Unmanaged<Start>.fromOpaque(raw).takeRetainedValue().body() }
                return nil
            }, start.toOpaque())
        pthread_detach(thread)
    }

    private final class Start {
        let body: @Sendable () -> Void
        init(_ body: @escaping @Sendable () -> Void) { self.body = body }
    }
}

func shutdownBoth(_ fd: Int32) { shutdown(fd, Int32(SHUT_RDWR)) }

func sendAll(_ fd: Int32, _ bytes: UnsafeRawBufferPointer) -> Int {
    send(fd, bytes.baseAddress, bytes.count, Int32(MSG_NOSIGNAL))
}

import Glibc
package import Jobs
package import RawJSON

/// The process that runs native functions for the process pool: `martlet worker`.
///
/// Speaks the worker protocol on its descriptor, one call at a time, until the server closes it.
package struct NativeWorker {
    private let fd: Int32
    private let functions: [String: NativeFunction]

    package init(fd: Int32, functions: [NativeFunction]) {
        self.fd = fd
        self.functions = Dictionary(
            functions.map { ($0.function.name, $0) }, uniquingKeysWith: { first, _ in first })
    }

    /// Runs until the end of the stream.
    package func run() async {
        _ = fcntl(fd, F_SETFD, FD_CLOEXEC)
        send("{\"hello\":{\"protocol\":1,\"runtime\":\"native\",\"functions\":[],\"broken\":[]}}\n")
        var pending: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 256 << 10)
        while true {
            let count = read(fd, &chunk, chunk.count)
            guard count > 0 else { return }
            pending += chunk[..<count]
            while let end = pending.firstIndex(of: UInt8(ascii: "\n")) {
                let line = pending[..<end]
                await handle(RawJSON(trusted: line))
                pending.removeSubrange(...end)
            }
        }
    }

    private func handle(_ message: RawJSON) async {
        guard let number = message.member("call")?.int else { return }
        let start = ContinuousClock.now
        let name = message.member("function")?.string ?? ""
        var answer = JSONWriter()
        answer.beginObject()
        answer.member("call", number)
        guard let function = functions[name] else {
            answer.member("seconds", 0.0)
            answer.key("error")
            Failure(.unavailable, type: "LookupError", message: "no native function \(name)")
                .write(to: &answer)
            return finish(answer)
        }
        if let items = message.member("map") {
            let chunk = await NativeChunk.run(
                function, items, spread: message.member("spread")?.bool ?? false,
                onError: message.member("on_error")?.string == "continue" ? .continue : .stop)
            answer.member("seconds", seconds(since: start))
            answer.key("results")
            answer.append(raw: [UInt8(ascii: "[")] + chunk.results + [UInt8(ascii: "]")])
            if !chunk.failures.isEmpty { write(chunk.failures, to: &answer) }
        } else {
            let outcome = await function.run(message.member("args") ?? .emptyArray)
            answer.member("seconds", seconds(since: start))
            switch outcome {
            case .success(let result): answer.member("result", result)
            case .failure(let failure):
                answer.key("error")
                failure.write(to: &answer)
            }
        }
        finish(answer)
    }

    private func write(_ failures: [Failure], to answer: inout JSONWriter) {
        answer.key("errors")
        answer.beginObject()
        for failure in failures {
            answer.key(named: String(failure.index ?? 0))
            failure.write(to: &answer)
        }
        answer.endObject()
    }

    private func finish(_ answer: consuming JSONWriter) {
        answer.endObject()
        send(answer.line())
    }

    private func seconds(since start: ContinuousClock.Instant) -> Double {
        let (seconds, attoseconds) = (ContinuousClock.now - start).components
        return Double(seconds) + Double(attoseconds) * 1e-18
    }

    private func send(_ text: String) { send(Array(text.utf8)) }

    private func send(_ bytes: [UInt8]) {
        var sent = 0
        while sent < bytes.count {
            let count = bytes.withUnsafeBytes {
                Glibc.send(
                    fd, $0.baseAddress.map { $0 + sent }, $0.count - sent, Int32(MSG_NOSIGNAL))
            }
            // The server is gone: nobody waits for the answer.
            if count <= 0 { exit(0) }
            sent += count
        }
    }
}

/// Runs a chunk of a map's items through a native function.
package enum NativeChunk {
    /// - Returns: results with commas between, of how many items, and the failed ones by index.
    package static func run(
        _ function: NativeFunction, _ items: RawJSON, spread: Bool, onError: OnError,
    ) async -> (results: [UInt8], count: Int, failures: [Failure]) {
        var results: [UInt8] = []
        var failures: [Failure] = []
        var count = 0
        for item in items.elements() {
            switch await outcome(of: function, item, spread: spread) {
            case .success(let result):
                if count > 0 { results.append(UInt8(ascii: ",")) }
                results += result.bytes
            case .failure(var failure):
                failure.index = count
                failures.append(failure)
                if onError == .stop || failure.reason == .cancelled {
                    return (results, count, failures)
                }
                if count > 0 { results.append(UInt8(ascii: ",")) }
                results += "null".utf8
            }
            count += 1
        }
        return (results, count, failures)
    }

    @inline(__always)
    private static func outcome(
        of function: NativeFunction, _ item: RawJSON, spread: Bool,
    ) async -> Result<RawJSON, Failure> {
        if spread { return await function.run(item) }
        if let outcome = function.runDirectly(item: item) { return outcome }
        return await function.run(item: item)
    }
}

import Jobs
import RawJSON
import Sockets

/// A call on its way through a pool, with whoever waits for its outcome.
final class CallTicket {
    let call: Call
    /// Its name in the messages of the worker that has it.
    var number = 0
    private var continuation: UnsafeContinuation<CallOutcome, Never>?
    private var early: CallOutcome?
    var timer: LoopTimer?
    /// Set when the call is being stopped: what its end will be called.
    var stopping: Failure?
    /// Whether the call may keep its worker for longer than others should wait.
    var isLong = true
    /// Whether it waits for another job, and has lent its slots.
    var isWaiting = false
    /// Whether it went on past the grace period, though it was to stop.
    private(set) var isDeaf = false
    /// Whether its slot has gone to another worker or thread before its end.
    var hasMoved = false
    /// Stops a call that runs in or under this server rather than in a fleet.
    private var halt: (() -> Void)?

    init(_ call: Call) { self.call = call }

    /// Says how the call is stopped; does so at once if it is to be already.
    func stopped(by halt: @escaping () -> Void) {
        self.halt = halt
        if stopping != nil { halt() }
    }

    /// Stops the call, whose end will be called `failure`.
    func stop(as failure: Failure) {
        stopping = stopping ?? failure
        halt?()
    }

    /// How long a call that cannot be killed may go on when it is to stop.
    static let grace = Duration.seconds(3)

    /// Says, in the job's log too, that the call goes on past the grace period, and what follows.
    func paysNoHeed(_ consequence: String) {
        isDeaf = true
        stopping?.message += " It paid no heed to that."
        guard let source = call.source else { return }
        let line = "The call was asked to stop and goes on. \(consequence)"
        source.reporter.log([LogLine(.log, level: "warning", line)], of: source.job)
    }

    /// Suspends until `finish`.
    func outcome() async -> CallOutcome {
        await withUnsafeContinuation { continuation in
            if let early {
                continuation.resume(returning: early)
            } else {
                self.continuation = continuation
            }
        }
    }

    func finish(_ outcome: CallOutcome) {
        timer?.cancel()
        timer = nil
        if let waiting = continuation {
            continuation = nil
            waiting.resume(returning: outcome)
        } else {
            early = outcome
        }
    }

    func fail(_ failure: Failure) { finish(CallOutcome(.failure(failure))) }

    /// The message that gives the call to a worker, newline included.
    func line(number: Int) -> [UInt8] {
        var writer = JSONWriter(capacity: 128)
        writer.beginObject()
        writer.member("call", number)
        writer.member("function", call.function.name)
        if call.cpus > 1 { writer.member("cpus", call.cpus) }
        if let trace = call.source?.traceparent { writer.member("trace", trace) }
        if !call.limits.isEmpty {
            writer.key("limits")
            writer.beginObject()
            call.limits.writeMembers(to: &writer)
            writer.endObject()
        }
        switch call.payload {
        case .arguments(let arguments): writer.member("args", arguments.compacted())
        case .items(let items, _, let spread, let onError):
            writer.key("map")
            let list = RawJSON(trusted: ([0x5b] + items + [0x5d])[...])
            writer.append(raw: list.compacted().bytes)
            if spread { writer.member("spread", true) }
            if onError == .continue { writer.member("on_error", onError.rawValue) }
        }
        writer.endObject()
        return writer.line()
    }
}

extension CallOutcome {
    /// The outcome, a failure with the worker's process id.
    func blaming(_ worker: Int32) -> CallOutcome {
        guard case .failure(var failure) = value else { return self }
        failure.worker = Int(worker)
        return CallOutcome(.failure(failure), seconds: seconds)
    }

    /// Reads a worker's answer.
    init(answer members: [(name: String, value: RawJSON)]) {
        var seconds = 0.0
        var results: RawJSON?
        var failures: [Failure] = []
        for (name, value) in members {
            switch name {
            case "seconds": seconds = value.double ?? 0
            case "result":
                self.init(.result(value), seconds: seconds)
                return
            case "error":
                self.init(.failure(Failure(worker: value)), seconds: seconds)
                return
            case "results": results = value
            case "errors":
                failures = value.members().map { index, error in
                    var failure = Failure(worker: error)
                    failure.index = Int(index)
                    return failure
                }
            default: break
            }
        }
        guard let results else {
            self.init(
                .failure(
                    Failure(
                        .exception, type: "ProtocolError",
                        message: "The worker answered without a result.")))
            return
        }
        let body = results.bytes.dropFirst().dropLast()
        self.init(
            .items(results: body, count: results.elementCount, failures: failures),
            seconds: seconds)
    }
}

extension CallOutcome {
    /// Of a call whose worker answered with what is no JSON, or nested too deeply.
    init(unreadable error: RawJSONError) {
        let message =
            switch error.reason {
            case .tooDeep: "The result is nested too deeply; 62 levels are always taken."
            default: "The worker's answer is not JSON: \(error)."
            }
        self.init(.failure(Failure(.exception, type: "UnreadableResult", message: message)))
    }
}

extension CallOutcome.Value {
    /// Whether a function of this server says that it gave up because it was asked to.
    var wasStopped: Bool {
        switch self {
        case .result: false
        case .failure(let failure): failure.reason == .cancelled
        case .items(_, _, let failures): failures.contains { $0.reason == .cancelled }
        }
    }
}

extension Failure {
    static func timeout(_ seconds: Double) -> Failure {
        Failure(
            .timeout, type: "Timeout",
            message: "The call ran longer than its timeout of \(seconds) s.")
    }

    static func tooManyWaits(_ limit: Int) -> Failure {
        Failure(
            .limit, type: "TooManyWaits",
            message: "\(limit) calls of the pool wait for other jobs already, which is the most.")
    }

    static let lost = Failure(.lost, type: "Lost", message: "The server stopped during the call.")

    /// Reads the `error` of a worker's answer.
    init(worker error: RawJSON) {
        let code = error.member("code")?.string ?? error.member("reason")?.string
        self.init(
            code.flatMap(Reason.init) ?? .exception,
            type: error.member("type")?.string ?? "Error",
            message: error.member("message")?.string ?? "",
            traceback: error.member("traceback")?.string,
            pickle: error.member("pickle")?.string)
        isPermanent = error.member("permanent")?.bool ?? false
        retryAfter = error.member("retry_after")?.double
        maxMemoryBytes = error.member("max_memory_bytes")?.int
        cpuSeconds = error.member("cpu_seconds")?.double
    }
}

package import RawJSON

/// Why an attempt or an item did not succeed.
package struct Failure: Error, Sendable, Equatable {
    /// The coded reason, for programs.
    package enum Reason: String, Sendable, CaseIterable {
        /// The function raised an exception, threw an error or refused its arguments.
        case exception
        /// It ran longer than its timeout.
        case timeout
        /// A signal ended its process.
        case signal
        /// It wanted more memory than it may have, or than there is.
        case outOfMemory = "out_of_memory"
        /// Its process ended with a status other than 0.
        case exit
        /// The server stopped while it ran; the job waits for its next start.
        case lost
        /// A limit of its own was passed: the size of its result, or CPU time.
        case limit
        /// Somebody cancelled it.
        case cancelled
        /// The function is not there (any more).
        case unavailable
    }

    package var reason: Reason
    /// The exception's class, or a name such as `SIGKILL`.
    package var type: String
    /// For people.
    package var message: String
    /// Where it happened, as the runtime formats it.
    package var traceback: String?
    /// Number of the signal that ended the process.
    package var signal: Int?
    package var exitStatus: Int?
    /// Which item of a map it was.
    package var index: Int?
    /// Another attempt would fail as well: the function says so, or the job has ended as many
    /// workers as it may.
    package var isPermanent = false
    /// Seconds after which the function wants to be tried again, if it is.
    package var retryAfter: Double?
    /// The most memory that the process that ran it ever had, in bytes.
    package var maxMemoryBytes: Int?
    /// CPU time of the call; of a process that ended, of its whole life.
    package var cpuSeconds: Double?
    /// Process id of the worker that ran it.
    package var worker: Int?
    /// The exception itself, pickled, in base64: of a call of `martlet.call`, for the Python client.
    package var pickle: String?

    package init(
        _ reason: Reason, type: String, message: String, traceback: String? = nil,
        signal: Int? = nil, exitStatus: Int? = nil, index: Int? = nil,
        pickle: String? = nil,
    ) {
        self.reason = reason
        self.type = type
        self.message = message
        self.traceback = traceback
        self.signal = signal
        self.exitStatus = exitStatus
        self.index = index
        self.pickle = pickle
    }

    /// Of a job that somebody cancelled.
    package static let cancelled = Failure(
        .cancelled, type: "Cancelled", message: "The job was cancelled.")

    /// Whether the process that ran it ended with it, not by the server's will.
    package var hasEndedWorker: Bool {
        switch reason {
        case .signal, .exit: true
        case .outOfMemory: signal != nil || exitStatus != nil
        case .exception, .timeout, .lost, .limit, .cancelled, .unavailable: false
        }
    }

    /// Members in the order of the API; those that are nil are left out.
    package func write(to writer: inout JSONWriter) {
        writer.beginObject()
        writer.member("reason", reason.rawValue)
        writer.member("type", type)
        writer.member("message", message)
        if let index { writer.member("index", index) }
        if let signal { writer.member("signal", signal) }
        if let exitStatus { writer.member("exit_status", exitStatus) }
        if isPermanent { writer.member("permanent", true) }
        if let retryAfter { writer.member("retry_after", retryAfter) }
        if let maxMemoryBytes { writer.member("max_memory_bytes", maxMemoryBytes) }
        if let cpuSeconds { writer.member("cpu_seconds", cpuSeconds) }
        if let worker { writer.member("worker", worker) }
        if let traceback { writer.member("traceback", traceback) }
        if let pickle { writer.member("pickle", pickle) }
        writer.endObject()
    }

    package var json: RawJSON {
        var writer = JSONWriter()
        write(to: &writer)
        return RawJSON(trusted: writer.bytes[...])
    }

    /// Reads what `write(to:)` has written; nil when a needed member is missing.
    package init?(json: RawJSON) {
        guard let reason = json.member("reason")?.string.flatMap(Reason.init),
            let type = json.member("type")?.string,
            let message = json.member("message")?.string
        else { return nil }
        self.init(
            reason, type: type, message: message, traceback: json.member("traceback")?.string,
            signal: json.member("signal")?.int, exitStatus: json.member("exit_status")?.int,
            index: json.member("index")?.int, pickle: json.member("pickle")?.string)
        isPermanent = json.member("permanent")?.bool ?? false
        retryAfter = json.member("retry_after")?.double
        maxMemoryBytes = json.member("max_memory_bytes")?.int
        cpuSeconds = json.member("cpu_seconds")?.double
        worker = json.member("worker")?.int
    }
}

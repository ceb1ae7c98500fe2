import Jobs
import RawJSON

/// What a worker says of a call that still runs.
enum WorkerReport {
    case log(call: Int, [LogLine])
    case progress(call: Int, JobProgress)

    /// Reads a message; nil when it is another one.
    init?(_ members: [(name: String, value: RawJSON)]) {
        guard let first = members.first, let call = first.value.int else { return nil }
        func member(_ name: String) -> RawJSON? { members.first { $0.name == name }?.value }
        switch first.name {
        case "log":
            self = .log(
                call: call, (member("lines")?.elements() ?? []).compactMap(LogLine.init(message:)))
        case "progress":
            guard let done = member("done")?.double else { return nil }
            self = .progress(
                call: call,
                JobProgress(
                    done: done, total: member("total")?.double, running: 1,
                    message: member("message")?.string))
        default: return nil
        }
    }

    var call: Int {
        switch self {
        case .log(let call, _), .progress(let call, _): call
        }
    }

    func tell(_ source: CallSource) {
        switch self {
        case .log(_, let lines): source.reporter.log(lines, of: source.job)
        case .progress(_, let progress): source.reporter.progress(progress, of: source.job)
        }
    }
}

extension LogLine {
    /// Reads `[stream, level, line]`; nil when it is malformed.
    fileprivate init?(message: RawJSON) {
        let parts = message.elements()
        guard parts.count == 3, let stream = parts[0].string.flatMap(Stream.init(rawValue:)),
            let level = parts[1].string, let text = parts[2].string
        else { return nil }
        self.init(stream, level: level.isEmpty ? nil : level, text)
    }
}

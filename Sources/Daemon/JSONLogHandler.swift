import Glibc
import Jobs
import Logging
import RawJSON

/// Writes each entry of the server's log as a line of JSON to the standard error.
struct JSONLogHandler: LogHandler {
    var logLevel = Logger.Level.info
    var metadata: Logger.Metadata = [:]

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        var writer = JSONWriter()
        writer.beginObject()
        writer.member("at", Timestamp.now().description)
        writer.member("level", event.level.rawValue)
        writer.member("message", event.message.description)
        let all = metadata.merging(event.metadata ?? [:]) { $1 }
        for (name, value) in all.sorted(by: { $0.key < $1.key }) {
            writer.key(named: name)
            writer.value(value.description)
        }
        writer.endObject()
        let line = writer.line()
        // Nobody could be told that the log cannot be written.
        _ = line.withUnsafeBytes { write(2, $0.baseAddress, $0.count) }
    }
}

/// How the server's log is written.
enum LogFormat: String, CaseIterable {
    case text
    case json

    var logger: Logger {
        switch self {
        case .text: Logger(label: "martlet") { StreamLogHandler.standardError(label: $0) }
        case .json: Logger(label: "martlet") { _ in JSONLogHandler() }
        }
    }
}

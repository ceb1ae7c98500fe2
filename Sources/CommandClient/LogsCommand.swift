import ArgumentParser
import RawJSON
import Synchronization

struct LogsCommand: ClientCommand {
    static let configuration = CommandConfiguration(
        commandName: "logs", abstract: "Prints what a job has printed and logged.",
        discussion: "On a terminal control characters are replaced; a pipe gets all bytes.")

    @Argument(help: "The job.")
    var id: String

    @Flag(name: .shortAndLong, help: "Go on with what it prints until it ends.")
    var follow = false

    @Option(name: [.customShort("n"), .long], help: "Only the last so many lines.")
    var tail: Int?

    @OptionGroup(title: "Server")
    var server: ServerOptions

    func validate() throws {
        if let tail, !(0...1_000_000).contains(tail) {
            throw ValidationError("--tail must be 0 to 1000000")
        }
    }

    func run(_ api: ServerAPI) async throws {
        let lines = LogLines(server.json ? .json : Terminal.isOutput ? .printable : .raw)
        var path = "/v1/jobs/\(escaped(id))/logs?follow=\(follow ? 1 : 0)"
        if let tail { path += "&tail=\(tail)" }
        try await api.stream(path) { lines.take($0) }
    }
}

/// Writes lines as they are complete, whatever the pieces they come in.
private final class LogLines: Sendable {
    enum Form {
        case raw
        case printable
        /// Each line as a string of JSON.
        case json
    }

    private let form: Form
    private let rest = Mutex<[UInt8]>([])

    init(_ form: Form) { self.form = form }

    func take(_ piece: UnsafeRawBufferPointer) {
        rest.withLock { rest in
            rest += piece
            guard let end = rest.lastIndex(of: UInt8(ascii: "\n")) else { return }
            let lines = rest[...end]
            switch form {
            case .raw: Terminal.write(lines)
            case .printable:
                Terminal.write(Terminal.printable(String(decoding: lines, as: UTF8.self)).utf8)
            case .json: Terminal.write(Self.json(lines))
            }
            rest.removeSubrange(...end)
        }
    }

    private static func json(_ lines: ArraySlice<UInt8>) -> [UInt8] {
        lines.dropLast().split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
            .flatMap { line in
                var writer = JSONWriter()
                writer.value(String(decoding: line, as: UTF8.self))
                return writer.line()
            }
    }
}

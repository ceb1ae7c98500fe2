import ArgumentParser
import Glibc
import RawJSON
import Synchronization

struct MapCommand: ClientCommand {
    static let configuration = CommandConfiguration(
        commandName: "map",
        abstract: "Calls a function for each item; prints the results in order.",
        discussion: """
            Items are lines of JSON (NDJSON) or one JSON array. Results come out one a line while \
            the job runs, null for an item that failed; with a terminal there is a progress bar.
            """)

    @Argument(help: "What to call.")
    var function: String

    @Argument(help: "File of items; - for stdin.")
    var file = "-"

    @Flag(help: "Each line is a string, not JSON.")
    var lines = false

    @Flag(help: "Each line is an item, even if there is but one line and it is an array.")
    var ndjson = false

    @Flag(help: "Each item is a list of arguments.")
    var spread = false

    @Option(help: "Items at once; -1 for all slots of the pool, -2 for all but one.")
    var concurrency: Int?

    @Option(help: "Items given to a worker at once, or auto.")
    var chunk: String?

    @Flag(name: .customLong("continue"), help: "Go on after an item has failed.")
    var goesOn = false

    @Flag(help: "Print the job's id and do not wait.")
    var noWait = false

    @Flag(help: "Print {\"index\":…,\"result\":…} or {\"index\":…,\"error\":…} instead of results.")
    var items = false

    @OptionGroup(title: "Job")
    var job: JobOptions

    @OptionGroup(title: "Server")
    var server: ServerOptions

    func validate() throws {
        if let chunk, chunk != "auto", Int(chunk) == nil {
            throw ValidationError("--chunk takes a number or auto, not \"\(chunk)\"")
        }
    }

    func run(_ api: ServerAPI) async throws {
        let answer = try await api.call(
            "POST", "/v1/jobs", body: try submission(), headers: job.headers)
        let submitted = JobView(answer.json)
        if noWait { return Terminal.say(server.json ? answer.json.line : submitted.id) }
        let bar = ProgressBar()
        let ended = try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await follow(submitted.id, api, bar) }
            defer { group.cancelAll() }
            try await printItems(of: submitted.id, api, bar)
            return try await api.wait(submitted.id, seconds: nil)
        }
        bar.end()
        if server.json { Terminal.say(ended.json.line) }
        if let failure = ended.failure { throw failure }
    }

    private func submission() throws(ClientFailure) -> [UInt8] {
        let items = try readItems()
        var writer = JSONWriter(capacity: items.bytes.count + 512)
        writer.beginObject()
        writer.member("function", function)
        writer.member("map", items)
        if spread { writer.member("spread", true) }
        if let concurrency { writer.member("concurrency", concurrency) }
        if let chunk {
            if let count = Int(chunk) {
                writer.member("chunk", count)
            } else {
                writer.member("chunk", chunk)
            }
        }
        if goesOn { writer.member("on_error", "continue") }
        job.write(to: &writer)
        writer.endObject()
        return writer.bytes
    }

    // MARK: Items in

    private func readItems() throws(ClientFailure) -> RawJSON {
        let bytes = try InputFile.read(file)
        if !lines, !ndjson, let whole = try? RawJSON(validating: bytes), whole.kind == .array {
            return whole
        }
        var writer = JSONWriter(capacity: bytes.count + 64)
        writer.beginArray()
        for (index, line) in bytes.split(separator: UInt8(ascii: "\n")).enumerated() {
            let line = line.last == 0x0d ? line.dropLast() : line
            if lines {
                writer.value(String(decoding: line, as: UTF8.self))
            } else if !line.allSatisfy({ $0 == 0x20 || $0 == 0x09 }) {
                writer.append(raw: try Self.read(line, number: index + 1).bytes)
            }
        }
        writer.endArray()
        return RawJSON(trusted: writer.bytes[...])
    }

    private static func read(
        _ line: ArraySlice<UInt8>, number: Int,
    ) throws(ClientFailure) -> RawJSON {
        do throws(RawJSONError) {
            return try RawJSON(validating: line)
        } catch {
            throw ClientFailure(
                .refused, "line \(number) is not JSON: \(error); --lines takes lines as strings")
        }
    }

    // MARK: Results out

    /// Prints the items as they end, taking up a broken stream where it broke.
    private func printItems(
        of id: String, _ api: ServerAPI, _ bar: ProgressBar,
    ) async throws(ClientFailure) {
        let printer = ItemPrinter(bar: bar, isWhole: items, isSilent: server.json)
        var tries = 0
        while true {
            do throws(ClientFailure) {
                let path = "/v1/jobs/\(escaped(id))/items?from=\(printer.next)"
                try await api.stream(path) { printer.take($0) }
                return
            } catch {
                printer.forgetPart()
                tries += 1
                guard error.status == .unreachable, tries < 5 else { throw error }
                try? await Task.sleep(for: .seconds(1))
            }
        }
    }

    /// Keeps the bar up to date until it is cancelled.
    private func follow(_ id: String, _ api: ServerAPI, _ bar: ProgressBar) async throws {
        guard Terminal.isError else { return }
        while !Task.isCancelled {
            if let progress = try await api.job(id).progress {
                bar.show(done: progress.done, total: progress.total, failed: progress.failed)
            }
            try await Task.sleep(for: .milliseconds(200))
        }
    }
}

/// Turns the stream of items into lines of results.
private final class ItemPrinter: Sendable {
    private let bar: ProgressBar
    private let isWhole: Bool
    private let isSilent: Bool
    private let state = Mutex((part: [UInt8](), next: 0))

    /// - Parameters:
    ///   - bar: above which it prints.
    ///   - isWhole: whether the server's lines are printed as they are.
    ///   - isSilent: whether nothing is printed.
    init(bar: ProgressBar, isWhole: Bool, isSilent: Bool) {
        self.bar = bar
        self.isWhole = isWhole
        self.isSilent = isSilent
    }

    /// Index of the item that comes next.
    var next: Int { state.withLock { $0.next } }

    /// Drops the beginning of a line whose end never came.
    func forgetPart() { state.withLock { $0.part = [] } }

    func take(_ piece: UnsafeRawBufferPointer) {
        let lines = state.withLock { state -> [UInt8] in
            state.part += piece
            var lines: [UInt8] = []
            var start = 0
            while let end = state.part[start...].firstIndex(of: UInt8(ascii: "\n")) {
                let line = RawJSON(trusted: state.part[start..<end])
                start = end + 1
                state.next = (line.member("index")?.int ?? state.next) + 1
                lines += isWhole ? line.bytes : (line.member("result") ?? .null).bytes
                lines.append(UInt8(ascii: "\n"))
            }
            state.part.removeSubrange(..<start)
            return lines
        }
        if !isSilent, !lines.isEmpty { bar.print(lines) }
    }
}

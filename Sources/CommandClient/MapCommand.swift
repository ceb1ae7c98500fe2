import ArgumentParser
import RawJSON
import Threads
import WebClient

struct MapCommand: ClientCommand {
    static let configuration = CommandConfiguration(
        commandName: "map",
        abstract: "Calls a function for each item; prints the results in order.",
        discussion: """
            Items are lines of JSON (NDJSON), or one JSON array. Lines are sent as they are read, \
            and run while more of them come; an array is read to its end first. Results come out \
            one a line while the job runs, null for an item that failed; with a terminal there is \
            a progress bar.
            """)

    @Argument(help: "What to call.")
    var function: String

    @Argument(help: "File of items; - for stdin.")
    var file = "-"

    @Flag(help: "Each line is a string, not JSON.")
    var lines = false

    @Flag(help: "Each line is an item, even if the first is an array and no other has come.")
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
        var input = try InputLines(file)
        let bar = ProgressBar()
        let ended =
            if let items = try wholeItems(&input) {
                try await submit(items, api, bar)
            } else {
                try await upload(input, api, bar)
            }
        bar.end()
        Interrupt.tell(of: nil)
        guard let ended else { return }
        if server.json { Terminal.say(ended.json.line) }
        if let failure = ended.failure { throw failure }
    }

    // MARK: Items in

    /// The items if they must be known before the first of them runs; nil when they may be lines.
    private func wholeItems(_ input: inout InputLines) throws(ClientFailure) -> RawJSON? {
        // What is compared with other jobs is compared whole.
        if job.unique || job.cache != nil {
            return try MapItems(areStrings: lines).array(of: try input.all(), areLines: ndjson)
        }
        guard !lines, !ndjson, let bytes = try input.allIfArray() else { return nil }
        return try MapItems(areStrings: false).array(of: bytes, areLines: false)
    }

    /// Submits items that are known; returns the job at its end, nil when nobody waits for it.
    private func submit(
        _ items: RawJSON, _ api: ServerAPI, _ bar: ProgressBar,
    ) async throws -> JobView? {
        let answer = try await api.call(
            "POST", "/v1/jobs", body: head(with: items), headers: job.headers)
        let submitted = JobView(answer.json)
        if noWait {
            Terminal.say(server.json ? answer.json.line : submitted.id)
            return nil
        }
        Interrupt.tell(of: submitted.id)
        return try await watch(submitted.id, api, bar)
    }

    /// Sends items as they are read, and prints results meanwhile.
    private func upload(
        _ input: InputLines, _ api: ServerAPI, _ bar: ProgressBar,
    ) async throws -> JobView? {
        let body = WebUpload()
        let feed = ItemFeed(body, input, MapItems(areStrings: lines))
        // A loop of its own: results that wait for a slow reader hold up no item.
        let uploader = try server.connect()
        let (ids, started) = AsyncStream.makeStream(of: String.self)
        let threads = ThreadExecutor(name: "input", threads: 1)
        defer { threads.stop() }
        _ = await body.put(head(with: nil) + [UInt8(ascii: "\n")])
        return try await withThrowingTaskGroup(of: JobView?.self) { group in
            group.addTask(executorPreference: threads) {
                try await feed.run()
                return nil
            }
            group.addTask {
                defer { started.finish() }
                let answer = try await uploader.upload(body, headers: job.headers) {
                    started.yield($0)
                }
                let id = JobView(answer.json).id
                started.yield(id)
                if noWait {
                    Terminal.say(server.json ? answer.json.line : id)
                } else {
                    Interrupt.tell(of: id)  // before all items are there, its end is the job's
                }
                return nil
            }
            group.addTask {
                for await id in ids where !noWait { return try await watch(id, api, bar) }
                return nil
            }
            for try await ended in group {
                guard let ended else { continue }
                group.cancelAll()  // it may have ended before its items have
                return ended
            }
            return nil
        }
    }

    /// The submission, or the first line of an upload.
    private func head(with items: RawJSON?) -> [UInt8] {
        var writer = JSONWriter(capacity: (items?.bytes.count ?? 0) + 512)
        writer.beginObject()
        writer.member("function", function)
        if let items { writer.member("map", items) }
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

    // MARK: Results out

    /// Prints what comes of a job; returns it at its end.
    private func watch(
        _ id: String, _ api: ServerAPI, _ bar: ProgressBar,
    ) async throws -> JobView {
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await follow(id, api, bar) }
            defer { group.cancelAll() }
            try await printItems(of: id, api, bar)
            return try await api.wait(id, seconds: nil)
        }
    }

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

package import RawJSON

extension JobSubmission {
    /// Reads a submission, strictly: every member known, of the right type and in its range.
    ///
    /// - Parameters:
    ///   - document: a JSON text; must be an object.
    ///   - pointer: where the document stands in the request, for messages.
    /// - Throws: the first mistake found, with its JSON Pointer.
    package init(
        parsing document: RawJSON, at pointer: JSONPointer = JSONPointer(),
    ) throws(SubmissionError) {
        guard case .object = document.kind else {
            throw SubmissionError(
                .invalidMember, at: pointer, "A submission is a JSON object with a \"function\".")
        }
        self.init(function: "", work: .call(arguments: .emptyArray), document: document)
        var reader = SubmissionReader(pointer: pointer)
        for (name, value) in document.rawMembers {
            guard let member = SubmissionMember(sent: name) else {
                throw unknown(name.string ?? "", among: SubmissionMember.names, at: pointer)
            }
            try reader.read(member, value, into: &self)
        }
        try reader.finish(&self)
    }

    /// Reads the first line of an upload: a submission without its `map`, whose items follow.
    ///
    /// - Throws: the first mistake found, with its JSON Pointer.
    package init(uploadHead document: RawJSON) throws(SubmissionError) {
        guard case .object = document.kind else {
            throw SubmissionError(
                .invalidMember, at: JSONPointer(),
                "The first line is a JSON object with a \"function\"; items follow, one a line.")
        }
        if document.member("map") != nil {
            throw SubmissionError(
                .conflictingMembers, at: JSONPointer().appending("map"),
                "The items follow the first line, one a line; leave \"map\" out.")
        }
        if document.member("args") != nil {
            throw SubmissionError(
                .conflictingMembers, at: JSONPointer().appending("args"),
                "The lines that follow are the items, each the argument of a call; leave "
                    + "\"args\" out, or send one call as application/json.")
        }
        for member in ["unique", "cache"] where document.member(member) != nil {
            throw SubmissionError(
                .conflictingMembers, at: JSONPointer().appending(member),
                "\"\(member)\" compares all items, and runs begin before all have come; leave it "
                    + "out, or send the items in \"map\" as application/json.")
        }
        guard document.bytes.count > 2 else {
            throw SubmissionError(
                .missingMember, at: JSONPointer(),
                "The member \"function\" is missing: the name of the function to run.")
        }
        let map = Array("{\"map\":[],".utf8)
        try self.init(parsing: RawJSON(trusted: map + document.bytes.dropFirst()))
        itemsFollow = true
    }
}

/// Reads the members of one submission.
private struct SubmissionReader {
    let pointer: JSONPointer
    private var seen = SubmissionMembers()
    private var items: RawJSON?
    private var spread = false

    init(pointer: JSONPointer) { self.pointer = pointer }

    mutating func read(
        _ member: SubmissionMember, _ value: RawJSON, into submission: inout JobSubmission,
    ) throws(SubmissionError) {
        guard seen.insert(member) else {
            throw SubmissionError(
                .duplicateMember, at: pointer.appending(member.name),
                "The member \"\(member.name)\" is there twice; send it once.")
        }
        switch member {
        case .function: submission.function = try text(value, member.name, 1...200)
        case .args: submission.work = .call(arguments: try arguments(value))
        case .map: items = try itemArray(value)
        case .spread: spread = try bool(value, member.name)
        case .pool: submission.pool = try choice(value, member.name)
        case .concurrency: submission.concurrency = try concurrency(value)
        case .cpus: submission.cpus = try integer(value, member.name, 1...1_000_000)
        case .chunk: submission.chunk = try chunkSize(value)
        case .onError: submission.onError = try choice(value, member.name)
        case .queue: submission.queue = try queueName(value)
        case .priority: submission.priority = try integer(value, member.name, -1000...1000)
        case .notBefore: submission.notBefore = try time(value, member.name)
        case .delay: submission.delay = try seconds(value, member.name, atLeast: 0)
        case .timeout: submission.timeout = try seconds(value, member.name, atLeast: 0.001)
        case .retry: submission.retry = try retryPolicy(value)
        case .keep: submission.keep = try seconds(value, member.name, atLeast: 0)
        case .tags: submission.tags = try JobTags.read(value, at: pointer.appending(member.name))
        case .unique: submission.isUnique = try bool(value, member.name)
        case .cache: submission.cache = try seconds(value, member.name, atLeast: 0)
        case .maxMemoryBytes:
            submission.limits.memoryBytes = try integer(value, member.name, 1 << 20...1 << 50)
        case .maxCPUSeconds:
            submission.limits.cpuSeconds = try integer(value, member.name, 1...1_000_000_000)
        case .maxOutputBytes:
            submission.limits.outputBytes = try integer(value, member.name, 1...1 << 40)
        }
    }

    func finish(_ submission: inout JobSubmission) throws(SubmissionError) {
        guard seen.contains(.function) else {
            throw SubmissionError(
                .missingMember, at: pointer,
                "The member \"function\" is missing: the name of the function to run.")
        }
        if let items {
            guard !seen.contains(.args) else {
                throw conflict("args", "map", "one call takes \"args\", many calls take \"map\"")
            }
            submission.work = .map(
                items: items, count: items.elementCount, spread: spread)
        } else if let member = Self.onlyOfMaps.first(where: seen.contains) {
            throw SubmissionError(
                .conflictingMembers, at: pointer.appending(member.name),
                "\"\(member.name)\" is for a map job; add \"map\" or leave it out.")
        }
        if seen.contains(.delay), seen.contains(.notBefore) {
            throw conflict("delay", "not_before", "both say when the job may start")
        }
    }

    private static let onlyOfMaps: [SubmissionMember] = [.spread, .concurrency, .chunk, .onError]

    // MARK: Members

    private func arguments(_ value: RawJSON) throws(SubmissionError) -> RawJSON {
        switch value.kind {
        case .array, .object: return value
        case .string, .number, .bool, .null:
            throw wrong(
                "args", "an array of positional or an object of named arguments", value)
        }
    }

    private func itemArray(_ value: RawJSON) throws(SubmissionError) -> RawJSON {
        guard case .array = value.kind else { throw wrong("map", "an array of items", value) }
        return value
    }

    private func concurrency(_ value: RawJSON) throws(SubmissionError) -> Int {
        guard let number = value.int, number != 0, (-1000...1_000_000).contains(number) else {
            throw wrong(
                "concurrency",
                "a whole number from 1 to 1000000, or -1 for all slots, -2 for all but one", value)
        }
        return number
    }

    private func chunkSize(_ value: RawJSON) throws(SubmissionError) -> ChunkSize {
        if value.string == "auto" { return .auto }
        guard let number = value.int, (1...1_000_000).contains(number) else {
            throw wrong("chunk", "\"auto\" or a whole number from 1 to 1000000", value)
        }
        return .items(number)
    }

    private func queueName(_ value: RawJSON) throws(SubmissionError) -> String {
        let name = try text(value, "queue", 1...100)
        guard name.utf8.allSatisfy(Self.isNameByte) else {
            throw wrong("queue", "a name of letters, digits, '.', '_' and '-'", value)
        }
        return name
    }

    private static func isNameByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "_"),
            UInt8(ascii: "-"):
            true
        default: false
        }
    }

    private func retryPolicy(_ value: RawJSON) throws(SubmissionError) -> RetryPolicy {
        let place = pointer.appending("retry")
        return try RetryPolicy(parsing: value, at: place)
    }

    private func conflict(_ one: String, _ other: String, _ why: String) -> SubmissionError {
        SubmissionError(
            .conflictingMembers, at: pointer.appending(other),
            "\"\(one)\" and \"\(other)\" exclude each other: \(why).")
    }
}

extension RetryPolicy {
    /// Reads a policy from its JSON object; members not given keep their defaults.
    package init(parsing value: RawJSON, at pointer: JSONPointer) throws(SubmissionError) {
        self.init()
        guard case .object = value.kind else {
            throw SubmissionError(
                .invalidMember, at: pointer,
                "\"retry\" is an object such as {\"max_attempts\":3}, not \(excerpt(value)).")
        }
        let names = ["max_attempts", "backoff", "initial", "factor", "max_delay", "jitter"]
        let reader = MemberReader(pointer: pointer)
        for (name, value) in value.members() {
            switch name {
            case "max_attempts": maxAttempts = try reader.integer(value, name, 1...100)
            case "backoff": backoff = try reader.choice(value, name)
            case "initial": initial = try reader.seconds(value, name, atLeast: 0)
            case "factor": factor = try reader.number(value, name, 1...100)
            case "max_delay": maxDelay = try reader.seconds(value, name, atLeast: 0)
            case "jitter": jitter = try reader.number(value, name, 0...1)
            default: throw unknown(name, among: names, at: pointer)
            }
        }
        if let name = value.firstDuplicateMember() {
            throw SubmissionError(
                .duplicateMember, at: pointer.appending(name),
                "The member \"\(name)\" is there twice; send it once.")
        }
    }
}

private func unknown(
    _ name: String, among names: [String], at pointer: JSONPointer,
) -> SubmissionError {
    let hint = Spelling.nearest(to: name, among: names).map { " Did you mean \"\($0)\"?" }
    let shown = excerpt(name)
    return SubmissionError(
        .unknownMember, at: pointer.appending(shown),
        "There is no member \"\(shown)\".\(hint ?? " Known are \(names.joined(separator: ", ")).")")
}

/// A name that is none of ours, cut to what fits a sentence.
private func excerpt(_ name: String) -> String {
    name.utf8.count > 60 ? String(decoding: name.utf8.prefix(60), as: UTF8.self) + "…" : name
}

/// The value as sent, cut to what fits a sentence.
func excerpt(_ value: RawJSON) -> String {
    let text = String(decoding: value.bytes.prefix(60), as: UTF8.self)
    return value.bytes.count > 60 ? text + "…" : text
}

/// Reads typed members; shared by the submission and the objects inside it.
private protocol TypedMembers {
    var pointer: JSONPointer { get }
}

private struct MemberReader: TypedMembers {
    let pointer: JSONPointer
}

extension SubmissionReader: TypedMembers {}

extension TypedMembers {
    func wrong(_ name: String, _ expected: String, _ value: RawJSON) -> SubmissionError {
        SubmissionError(
            .invalidMember, at: pointer.appending(name),
            "\"\(name)\" must be \(expected), not \(excerpt(value)).")
    }

    func text(
        _ value: RawJSON, _ name: @autoclosure () -> String, _ bytes: ClosedRange<Int>,
    ) throws(SubmissionError) -> String {
        guard let text = value.string, bytes.contains(text.utf8.count) else {
            throw wrong(
                name(), "a string of \(bytes.lowerBound) to \(bytes.upperBound) bytes", value)
        }
        return text
    }

    func bool(
        _ value: RawJSON, _ name: @autoclosure () -> String,
    ) throws(SubmissionError) -> Bool {
        guard let bool = value.bool else { throw wrong(name(), "true or false", value) }
        return bool
    }

    func integer(
        _ value: RawJSON, _ name: @autoclosure () -> String, _ range: ClosedRange<Int>,
    ) throws(SubmissionError) -> Int {
        guard let number = value.int, range.contains(number) else {
            throw wrong(
                name(), "a whole number from \(range.lowerBound) to \(range.upperBound)", value)
        }
        return number
    }

    func number(
        _ value: RawJSON, _ name: @autoclosure () -> String, _ range: ClosedRange<Double>,
    ) throws(SubmissionError) -> Double {
        guard let number = value.double, range.contains(number) else {
            throw wrong(
                name(), "a number from \(range.lowerBound) to \(range.upperBound)", value)
        }
        return number
    }

    /// Seconds up to about 30 years.
    func seconds(
        _ value: RawJSON, _ name: @autoclosure () -> String, atLeast least: Double,
    ) throws(SubmissionError) -> Double {
        guard let number = value.double, number >= least, number <= 1_000_000_000 else {
            throw wrong(name(), "a number of seconds from \(least) to 1000000000", value)
        }
        return number
    }

    func time(
        _ value: RawJSON, _ name: @autoclosure () -> String,
    ) throws(SubmissionError) -> Timestamp {
        guard let time = value.string.flatMap(Timestamp.init) else {
            throw wrong(name(), "an RFC 3339 time such as \"2026-01-31T09:30:00Z\"", value)
        }
        return time
    }

    func choice<Choice: RawRepresentable<String> & CaseIterable>(
        _ value: RawJSON, _ name: @autoclosure () -> String,
    ) throws(SubmissionError) -> Choice {
        guard let choice = value.string.flatMap(Choice.init(rawValue:)) else {
            let all = Choice.allCases.map { "\"\($0.rawValue)\"" }.joined(separator: ", ")
            throw wrong(name(), "one of \(all)", value)
        }
        return choice
    }
}

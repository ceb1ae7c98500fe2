import Jobs
import RawJSON
import Testing

@Suite struct JobIDTests {
    @Test func `ids are UUIDs of version 7 that grow`() throws {
        let generator = JobIDGenerator()
        let time = try #require(Timestamp("2026-01-31T09:30:00Z"))
        let ids = (0..<5000).map { _ in generator.next(at: time) }
        #expect(zip(ids, ids.dropFirst()).allSatisfy { $0.sequence < $1.sequence && $0 < $1 })
        #expect(Set(ids.map(\.low)).count == ids.count)
        let first = try #require(ids.first)
        #expect(JobID(first.description) == first)
        #expect(first.high >> 16 == UInt64(time.microseconds / 1000))
        let characters = Array(first.description)
        #expect(characters[14] == "7")
        #expect("89ab".contains(characters[19]))
    }

    @Test func `an id is written with each of the sixteen digits, and reads back`() {
        func digits(_ word: UInt64) -> String {
            let text = String(word, radix: 16)
            return String(repeating: "0", count: 16 - text.count) + text
        }
        for shift in 0..<16 as Range<UInt64> {
            let all: UInt64 = 0x0123_4567_89ab_cdef
            let word = all << (4 * shift) | all >> (64 - 4 * shift)
            let id = JobID(high: word & ~0xf000 | 0x7000, low: word & ~(3 << 62) | 2 << 62)
            #expect(id.description.filter { $0 != "-" } == digits(id.high) + digits(id.low))
            #expect(JobID(id.description) == id)
            #expect(id.text(after: "/v1/jobs/") == "/v1/jobs/" + id.description)
        }
    }

    @Test(arguments: ["", "x", "00000000-0000-4000-8000-000000000000", "0000000000007000"])
    func `other texts are no ids`(text: String) { #expect(JobID(text) == nil) }
}

@Suite struct TimestampTests {
    @Test(arguments: [
        ("1970-01-01T00:00:00Z", 0), ("2026-11-23T02:00:00.5+02:00", 1_795_392_000_500_000),
        ("2024-02-29T23:59:59.000001Z", 1_709_251_199_000_001),
    ])
    func `RFC 3339 is read and written`(text: String, microseconds: Int64) throws {
        let time = try #require(Timestamp(text))
        #expect(time.microseconds == microseconds)
        #expect(Timestamp(time.description) == time)
    }

    @Test func `every moment reads back as it was written`() {
        // A prime number of microseconds, about nine days.
        for moment in stride(
            from: -62_167_219_200_000_000 as Int64, to: 253_402_300_800_000_000, by: 777_777_777_797
        ) {
            let time = Timestamp(microseconds: moment)
            #expect(Timestamp(time.description) == time)
        }
    }

    @Test func `a moment outside of the years that can be written is the nearest in them`() throws {
        #expect(Timestamp(microseconds: .max).description == "9999-12-31T23:59:59.999999Z")
        #expect(Timestamp(microseconds: .min).description == "0000-01-01T00:00:00.000000Z")
        let early = try #require(Timestamp("0000-01-01T00:00:00+23:59"))
        #expect(early.description == "0000-01-01T00:00:00.000000Z")
        #expect(
            Timestamp(microseconds: 253_402_300_799_999_998).description
                == "9999-12-31T23:59:59.999998Z")
    }

    @Test(arguments: ["2025-02-29T00:00:00Z", "2026-01-01", "2026-01-01T24:00:00Z", "now"])
    func `malformed times are refused`(text: String) { #expect(Timestamp(text) == nil) }
}

@Suite struct JobSubmissionTests {
    private func parse(_ text: String) throws -> JobSubmission {
        try JobSubmission(parsing: try RawJSON(validating: Array(text.utf8)))
    }

    @Test func `all members are read`() throws {
        let submission = try parse(
            """
            {"function":"f","map":[1,2],"spread":false,"concurrency":3,"chunk":5,
             "on_error":"continue","queue":"q","priority":-3,"delay":1.5,"timeout":2,
             "retry":{"max_attempts":3,"backoff":"constant"},"keep":60,"tags":["a","b"],
             "pool":"thread"}
            """)
        #expect(submission.work.isMap)
        #expect(submission.chunk == .items(5))
        #expect(submission.onError == .continue)
        #expect(submission.retry?.maxAttempts == 3)
        #expect(submission.pool == .thread)
        #expect(submission.tags == ["a", "b"])
        #expect(submission.priority == -3)
    }

    @Test(arguments: [
        ("[]", "", SubmissionError.Kind.invalidMember),
        ("{}", "", .missingMember),
        (#"{"function":"f","functoin":1}"#, "/functoin", .unknownMember),
        (#"{"function":"f","function":"g"}"#, "/function", .duplicateMember),
        (#"{"function":"f","args":1}"#, "/args", .invalidMember),
        (#"{"function":"f","args":[],"map":[]}"#, "/map", .conflictingMembers),
        (#"{"function":"f","chunk":2}"#, "/chunk", .conflictingMembers),
        (#"{"function":"f","timeout":-1}"#, "/timeout", .invalidMember),
        (#"{"function":"f","priority":1.5}"#, "/priority", .invalidMember),
        (#"{"function":"f","tags":["a",1]}"#, "/tags/1", .invalidMember),
        (#"{"function":"f","tags":["a\u0000b"]}"#, "/tags/0", .invalidMember),
        (#"{"function":"f","retry":{"max_attempts":0}}"#, "/retry/max_attempts", .invalidMember),
        (
            #"{"function":"f","delay":1,"not_before":"2026-01-01T00:00:00Z"}"#, "/not_before",
            .conflictingMembers
        ),
        (#"{"function":"f","pool":"gpu"}"#, "/pool", .invalidMember),
    ])
    func `mistakes are named with their place`(
        text: String, pointer: String, kind: SubmissionError.Kind,
    ) {
        let error = #expect(throws: SubmissionError.self) { try parse(text) }
        #expect(error?.pointer.description == pointer)
        #expect(error?.kind == kind)
    }

    @Test func `each member is known by its name, with escapes too, and by no other`() throws {
        let names = [
            "function", "args", "map", "spread", "pool", "concurrency", "chunk", "queue",
            "priority",
            "delay", "timeout", "retry", "keep", "tags", "cpus", "unique", "cache", "on_error",
            "not_before", "max_memory_bytes", "max_cpu_seconds", "max_output_bytes",
        ]
        for name in names {
            let escaped = "\\u00" + String(name.utf8.first ?? 0, radix: 16) + name.dropFirst()
            for sent in [name, escaped] {
                // None may be an object, or this one is there twice: both show that it is known.
                let error = #expect(throws: SubmissionError.self) {
                    try parse("{\"\(sent)\":{},\"\(sent)\":{}}")
                }
                #expect(error?.kind == .invalidMember || error?.kind == .duplicateMember)
                #expect(error?.pointer == JSONPointer().appending(name))
            }
            let others = [name + "x", String(name.dropLast()), name + "\\u0000", name.uppercased()]
            for sent in others {
                let error = #expect(throws: SubmissionError.self) { try parse("{\"\(sent)\":1}") }
                #expect(error?.kind == .unknownMember)
            }
        }
    }

    @Test func `a misspelt member brings a hint`() {
        let error = #expect(throws: SubmissionError.self) {
            try parse(#"{"function":"f","prioritty":1}"#)
        }
        #expect(error?.detail.contains("\"priority\"") == true)
    }

    @Test func `the delay of retries grows up to its limit`() {
        var policy = RetryPolicy()
        policy.maxDelay = 5
        #expect([1, 2, 3, 4, 100].map(policy.delay) == [1, 2, 4, 5, 5])
    }
}

import Jobs
import RawJSON
import Testing

@Suite struct FunctionHelloTests {
    private func read(_ members: String) throws -> Function {
        try Function(
            hello: RawJSON(
                validating: Array("{\"name\":\"f\",\"pool\":\"process\"\(members)}".utf8)))
    }

    @Test func `what a greeting has of a function is read`() throws {
        let function = try read(#","pools":["process","thread"],"tags":["a","b","a"],"cpus":2"#)
        #expect(function.pools == [.process, .thread])
        #expect(function.tags == ["a", "b"])
        #expect(function.cpus == 2)
        #expect(try read("").pools == [.process])
        #expect(try read(#","tags":null"#).tags == [])
    }

    @Test(arguments: [
        (#"["a\u0000b"]"#, "/tags/0"), (#"["a","\n"]"#, "/tags/1"), (#"["\u007f"]"#, "/tags/0"),
        (#"[""]"#, "/tags/0"), (#"["a",1]"#, "/tags/1"), (#""a""#, "/tags"),
        ("[\(Array(repeating: "\"a\"", count: 33).joined(separator: ","))]", "/tags"),
    ])
    func `tags that a submission may not have a function may not have`(
        tags: String, pointer: String,
    ) throws {
        let ofFunction = #expect(throws: SubmissionError.self) { try read(",\"tags\":\(tags)") }
        let ofSubmission = #expect(throws: SubmissionError.self) {
            try JobSubmission(
                parsing: RawJSON(validating: Array("{\"function\":\"f\",\"tags\":\(tags)}".utf8)))
        }
        #expect(ofFunction?.pointer.description == pointer)
        #expect(ofFunction == ofSubmission)
    }

    @Test(arguments: [#"{"pool":"process"}"#, #"{"name":"f"}"#, #"{"name":"f","pool":"fibre"}"#])
    func `a function that cannot be called or placed is refused`(hello: String) {
        #expect(throws: SubmissionError.self) {
            try Function(hello: RawJSON(validating: Array(hello.utf8)))
        }
    }
}

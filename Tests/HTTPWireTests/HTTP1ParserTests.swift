import HTTPWire
import Testing

@Suite struct HTTP1ParserTests {
    private func parse(_ text: String) throws -> (head: RequestHead, length: Int)? {
        try HTTP1Parser(limits: HTTPLimits()).parse(Array(text.utf8))
    }

    /// Request, status, section of RFC 9112 unless said otherwise.
    static let refused: [(String, Int, String)] = [
        ("GET / HTTP/1.1\nHost: a\n\n", 400, "2.2 bare LF"),
        ("GET / HTTP/1.1\r\nHost: a\rb\r\n\r\n", 400, "2.2 bare CR"),
        ("GET  / HTTP/1.1\r\nHost: a\r\n\r\n", 400, "3 two spaces"),
        ("GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505, "2.3"),
        ("GET / http/1.1\r\nHost: a\r\n\r\n", 400, "2.3 case"),
        ("G(T / HTTP/1.1\r\nHost: a\r\n\r\n", 400, "3.1 token"),
        ("GET / HTTP/1.1\r\n\r\n", 400, "3.2 no Host"),
        ("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400, "3.2 two Hosts"),
        ("GET a HTTP/1.1\r\nHost: a\r\n\r\n", 400, "3.2 target"),
        ("GET / HTTP/1.1\r\nHost : a\r\n\r\n", 400, "5.1 blank before colon"),
        ("GET / HTTP/1.1\r\nHost: a\r\n b\r\n\r\n", 400, "5.2 folding"),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: \u{0}\r\n\r\n", 400, "RFC 9110 5.5"),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            400, "6.1 both"
        ),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400,
            "6.3"
        ),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\n", 400, "6.2"),
        ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n", 501, "6.1"),
        ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, gzip\r\n\r\n", 501, "6.1"),
        ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\r\n\r\n", 501, "6.1 empty"),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999\r\n\r\n", 413,
            "RFC 9110 15.5.14"
        ),
    ]

    @Test(arguments: refused)
    func `what could be read in two ways is refused`(
        text: String, status: Int, section: String,
    ) {
        let refusal = #expect(throws: HTTPRefusal.self) { try parse(text) }
        #expect(refusal?.status == status, "\(section)")
    }

    @Test func `a head is found whole however it comes`() throws {
        let text = "POST /v1/jobs?x=1 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"
        let bytes = Array(text.utf8)
        let parser = HTTP1Parser(limits: HTTPLimits())
        for end in 0..<(bytes.count - 3) {
            #expect(try parser.parse(Array(bytes[..<end])) == nil)
        }
        let found = try #require(try parser.parse(bytes))
        #expect(found.length == bytes.count - 3)
        #expect(found.head.method == "POST")
        #expect(found.head.path == "/v1/jobs")
        #expect(found.head.query == "x=1")
        #expect(found.head.body == .bytes(3))
        #expect(found.head.keepsAlive)
    }

    @Test func `long lines and heads are refused before they end`() {
        let line = "GET /" + String(repeating: "a", count: 9000)
        #expect(throws: HTTPRefusal.self) { try parse(line) }
        let head = "GET / HTTP/1.1\r\nX: " + String(repeating: "a", count: 40_000)
        let refusal = #expect(throws: HTTPRefusal.self) { try parse(head) }
        #expect(refusal?.status == 431)
    }

    @Test func `chunks are joined at every split`() throws {
        let bytes = Array("3;x=y\r\nabc\r\nA\r\n0123456789\r\n0\r\nT: x\r\n\r\nrest".utf8)
        for split in 0...bytes.count {
            var decoder = ChunkedDecoder(limit: 100)
            var body: [UInt8] = []
            var buffer = Array(bytes[..<split])
            try decoder.decode(&buffer, into: &body)
            buffer += bytes[split...]
            try decoder.decode(&buffer, into: &body)
            #expect(decoder.isDone)
            #expect(String(decoding: body, as: UTF8.self) == "abc0123456789")
            #expect(String(decoding: buffer, as: UTF8.self) == "rest")
        }
    }

    @Test(arguments: ["g\r\n", "1\n", "3\r\nabcd\r\n", "ffffffffffffffff\r\n", "\r\n", "64\r\n"])
    func `bad chunks are refused`(text: String) {
        var decoder = ChunkedDecoder(limit: 50)
        var body: [UInt8] = []
        var buffer = Array(text.utf8)
        #expect(throws: HTTPRefusal.self) { try decoder.decode(&buffer, into: &body) }
    }
}

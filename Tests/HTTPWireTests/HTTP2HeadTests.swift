import HTTPWire
import Testing

@Suite struct HTTP2HeadTests {
    private typealias Fields = [(String, String)]

    private static let start: Fields = [(":method", "GET"), (":scheme", "http"), (":path", "/a?b")]

    /// Gives a builder the fields; the head, or why it is none.
    private func head(
        _ fields: Fields, limits: HTTPLimits = HTTPLimits(),
    ) -> Result<RequestHead, HTTPRefusal> {
        var builder = HTTP2HeadBuilder(limits: limits)
        builder.begin()
        for (name, value) in fields {
            guard builder.add(Array(name.utf8).span, Array(value.utf8).span) else { break }
        }
        return Result { () throws(HTTPRefusal) in try builder.head() }
    }

    private func status(_ fields: Fields, limits: HTTPLimits = HTTPLimits()) -> Int? {
        if case .failure(let refusal) = head(fields, limits: limits) { refusal.status } else { nil }
    }

    @Test func `a head is that of HTTP/1.1 with the same words`() throws {
        let head = try head(
            Self.start + [(":authority", "h:1"), ("x-y", "z"), ("content-length", "3")]
        ).get()
        #expect(head.version == .http2)
        #expect(head.path == "/a" && head.query == "b" && head.host == "h")
        #expect(head.field("x-y") == "z" && head.body == .bytes(3))
    }

    @Test(
        arguments: [
            ([("host", "h")], nil), ([(":authority", "h"), ("host", "h")], nil),
            ([(":authority", "Localhost"), ("host", "localhost")], nil),
            ([(":authority", "h:80"), ("host", "h")], nil),
            ([(":authority", "h"), ("host", "h:80")], nil),
            ([(":authority", "h"), ("host", "h:81")], 400),
            ([(":authority", "h"), ("host", "i")], 400),
            ([], 400),
        ] as [([(String, String)], Int?)])
    func `Host may repeat the authority, not differ from it`(
        fields: [(String, String)], wanted: Int?,
    ) {
        #expect(status(Self.start + fields) == wanted)
    }

    @Test(arguments: [
        (":path", "http://h/"), (":path", "x"), (":path", "*"), (":scheme", "ftp"), (":scheme", ""),
    ])
    func `a path is one, and the scheme is HTTP's`(name: String, value: String) {
        let fields = Self.start.map { $0.0 == name ? (name, value) : $0 } + [(":authority", "h")]
        #expect(status(fields) == 400)
    }

    @Test func `the asterisk is for OPTIONS, and CONNECT for proxies`() {
        let asterisk = [
            (":method", "OPTIONS"), (":scheme", "https"), (":path", "*"), (":authority", "h"),
        ]
        #expect(status(asterisk) == nil)
        #expect(status([(":method", "CONNECT"), (":authority", "h:1")]) == 501)
    }

    @Test func `a list is weighed as it is unpacked`() {
        var limits = HTTPLimits()
        limits.headBytes = 1000
        let start = Self.start + [(":authority", "h")]
        let weight = start.reduce(0) { $0 + $1.0.utf8.count + $1.1.utf8.count + 32 }
        func field(_ total: Int) -> (String, String) {
            ("x", String(repeating: "y", count: total - weight - 33))
        }
        #expect(status(start + [field(1000)], limits: limits) == nil)
        #expect(status(start + [field(1001)], limits: limits) == 431)
        // Four times as much is no mistake: the connection is ended.
        var builder = HTTP2HeadBuilder(limits: limits)
        let (name, value) = (Array("x".utf8), [UInt8](repeating: 0x79, count: 967))
        #expect(
            (0..<5).map { _ in builder.add(name.span, value.span) } == [
                true, true, true, true, false,
            ])
    }

    @Test func `a refused head is still of HTTP/2`() {
        let long = (":path", "/" + String(repeating: "a", count: 9000))
        guard
            case .failure(let refusal) = head([
                Self.start[0], Self.start[1], long, (":authority", "h"),
            ])
        else {
            Issue.record("it was taken")
            return
        }
        #expect(refusal.status == 414)
        #expect(refusal.head?.version == .http2)
    }
}

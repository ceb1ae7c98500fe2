import HTTPWire
import Testing

@Suite struct HTTP1ParserTests {
    private func parse(_ text: String) throws -> (head: RequestHead, length: Int)? {
        var parser = HTTP1Parser(limits: HTTPLimits())
        return try parser.parse(Array(text.utf8).span)
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
        ("GET / HTTP/1.1\r\nHost:\r\n\r\n", 400, "RFC 9110 4.2.1 empty host"),
        ("GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400, "3.2 Host with a blank"),
        ("GET / HTTP/1.1\r\nHost: a:99999\r\n\r\n", 400, "3.2 Host with a wrong port"),
        ("GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", 400, "3.2 Host with a user"),
        ("GET http:///x HTTP/1.1\r\nHost: a\r\n\r\n", 400, "3.2.2 no authority"),
        ("GET * HTTP/1.1\r\nHost: a\r\n\r\n", 400, "3.2.4"),
        ("CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n", 501, "3.2.3"),
        (" GET / HTTP/1.1\r\nHost: a\r\n\r\n", 400, "2.2 blank before the method"),
        ("\u{16}\u{3}\u{1}", 400, "a TLS greeting is not waited for"),
        ("\r\n\u{ff}", 400, "nor what follows an empty line and is no request"),
        ("GET / HTTP/1.1\r\nHost: a\r\n\r\r\n\r\n", 400, "2.2 CR before the last line"),
        ("GET / HTTP/1.1\r\nHost: a\r\nExpect: 200-ok\r\n\r\n", 417, "RFC 9110 10.1.1"),
        ("GET /\u{e9} HTTP/1.1\r\nHost: a\r\n\r\n", 400, "RFC 3986 2"),
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
        ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n", 400, "6.3"),
        ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, gzip\r\n\r\n", 400, "6.3"),
        ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 501, "6.1"),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, chunked\r\n\r\n", 400,
            "7.1 twice"
        ),
        ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\r\n\r\n", 400, "6.3 empty"),
        ("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400, "6.1 in HTTP/1.0"),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999\r\n\r\n", 413,
            "RFC 9110 15.5.14"
        ),
    ]

    @Test func `a control character is found wherever it stands among others`() throws {
        for length in 0..<20 {
            for place in 0...length {
                for octet in UInt8.min ... .max {
                    var value = [UInt8](repeating: 0xff, count: length)
                    value.insert(octet, at: place)
                    let bytes = Array("GET / HTTP/1.1\r\nHost: a\r\nX:".utf8) + value
                    var parser = HTTP1Parser(limits: HTTPLimits())
                    let isContent = octet == 9 || octet >= 0x20 && octet != 0x7f
                    let head = try? parser.parse((bytes + Array("\r\n\r\n".utf8)).span)
                    #expect((head != nil) == isContent, "\(octet) at \(place) of \(length)")
                }
            }
        }
    }

    @Test(arguments: refused)
    func `what could be read in two ways is refused`(
        text: String, status: Int, section: String,
    ) {
        let refusal = #expect(throws: HTTPRefusal.self) { try parse(text) }
        #expect(refusal?.status == status, "\(section)")
    }

    @Test(arguments: refused)
    func `it is refused the same when it comes octet by octet`(
        text: String, status: Int, section: String,
    ) {
        let bytes = Array(text.utf8)
        var parser = HTTP1Parser(limits: HTTPLimits())
        let refusal = #expect(throws: HTTPRefusal.self) {
            for end in 1...bytes.count {
                guard try parser.parse(bytes.span.extracting(..<end)) == nil else { return }
            }
        }
        #expect(refusal?.status == status, "\(section)")
    }

    @Test func `a malformed line is refused without waiting for the head's end`() {
        #expect(throws: HTTPRefusal.self) { try parse("GET / HTTP/1.1\r\nHost : a\r\n") }
        #expect(throws: HTTPRefusal.self) { try parse("GET /  HTTP/1.1\r\n") }
        #expect(throws: HTTPRefusal.self) { try parse("GET / HTTP/1.1\r\nHost: a\u{0}") }
    }

    @Test func `a field more than allowed is refused`() throws {
        let most = HTTPLimits().fields
        let head = { (count: Int) in
            "GET / HTTP/1.1\r\nHost: a\r\n" + String(repeating: "X: 1\r\n", count: count - 1)
        }
        #expect(try parse(head(most) + "\r\n") != nil)
        let refusal = #expect(throws: HTTPRefusal.self) { try parse(head(most + 1)) }
        #expect(refusal?.status == 431)
    }

    @Test func `a head is found whole however it comes`() throws {
        let text = "POST /v1/jobs?x=1 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"
        let bytes = Array(text.utf8)
        var parser = HTTP1Parser(limits: HTTPLimits())
        for end in 0..<(bytes.count - 3) {
            #expect(try parser.parse(bytes.span.extracting(..<end)) == nil)
        }
        let found = try #require(try parser.parse(bytes.span))
        #expect(found.length == bytes.count - 3)
        #expect(found.head.method == .post)
        #expect(found.head.path == "/v1/jobs")
        #expect(found.head.query == "x=1")
        #expect(found.head.body == .bytes(3))
        #expect(found.head.keepsAlive)
    }

    @Test func `long lines and heads are refused before they end`() {
        let line = "GET /" + String(repeating: "a", count: 9000)
        let tooLong = #expect(throws: HTTPRefusal.self) { try parse(line) }
        #expect(tooLong?.status == 414)
        let head = "GET / HTTP/1.1\r\nX: " + String(repeating: "a", count: 40_000)
        let refusal = #expect(throws: HTTPRefusal.self) { try parse(head) }
        #expect(refusal?.status == 431)
    }

    @Test func `a request line has 8 KiB, and a method 32 octets`() throws {
        func line(_ count: Int) -> String {
            "GET /" + String(repeating: "a", count: count - "GET / HTTP/1.1".utf8.count)
                + " HTTP/1.1"
        }
        let most = HTTPLimits().lineBytes
        #expect(try parse(line(most) + "\r\nHost: a\r\n\r\n") != nil)
        let tooLong = #expect(throws: HTTPRefusal.self) {
            try parse(line(most + 1) + "\r\nHost: a\r\n\r\n")
        }
        #expect(tooLong?.status == 414)
        for (count, status) in [(32, nil), (33, 501)] as [(Int, Int?)] {
            let text = String(repeating: "M", count: count) + " / HTTP/1.1\r\nHost: a\r\n\r\n"
            do {
                _ = try parse(text)
                #expect(status == nil)
            } catch let refusal as HTTPRefusal {
                #expect(refusal.status == status)
            }
        }
    }

    @Test(arguments: [
        ("http://h:8/p", "h:8", "h", false), ("https://H?q", "H", "h", true),
        ("/p", "x.", "x", false),
    ])
    func `the authority of the target goes before Host`(
        target: String, authority: String, host: String, isForTLS: Bool,
    ) throws {
        let text = "GET \(target) HTTP/1.1\r\nA: b\r\nHost:\tx. \r\n\r\n"
        let head = try #require(try parse("\r\n" + text)).head
        #expect(head.authority == authority)
        #expect(head.host == host)
        #expect(head.isForTLS == isForTLS)
    }

    /// Request line and fields, path, query, whether the connection stays.
    static let read: [(String, String, String, Bool)] = [
        ("GET http://h/p?q HTTP/1.1\r\nHost: a", "/p", "q", true),
        ("GET https://h:1?q HTTP/1.1\r\nHost: a", "/", "q", true),
        ("GET HTTP://h HTTP/1.1\r\nHost: a", "/", "", true),
        ("OPTIONS * HTTP/1.1\r\nHost: a", "*", "", true),
        ("GET /a%20b?c?d HTTP/1.3\r\nHost: [::1]:80", "/a%20b", "c?d", true),
        ("GET / HTTP/1.1\r\nHost: a\r\nConnection: x , CLOSE", "/", "", false),
        ("GET / HTTP/1.0", "/", "", false),
        ("GET / HTTP/1.0\r\nConnection: Keep-Alive", "/", "", true),
    ]

    @Test(arguments: read)
    func `targets and connection options are read`(
        text: String, path: String, query: String, keepsAlive: Bool,
    ) throws {
        let head = try #require(try parse("\r\n" + text + "\r\n\r\n")).head
        #expect(head.path == path)
        #expect(head.query == query)
        #expect(head.keepsAlive == keepsAlive)
    }

    @Test(arguments: [
        ("Content-Type: text/a", true), ("content-TYPE:\tText/A \t", true),
        ("X: 1\r\nContent-Type: text/a;charset=b", true), ("Content-Type: text/a ;b=c", true),
        ("Content-Type: text/ab", false), ("Content-Type: text/", false),
        ("Content-Type:", false), ("X: text/a", false), ("Content-Typ: text/a", false),
        ("Content-Type: text/a\r\nContent-Type: text/a", false),
    ])
    func `the content's type is known if it was sent once`(field: String, isKnown: Bool) throws {
        for first in ["", "\r\n"] {
            let text = "\(first)POST / HTTP/1.1\r\nHost: a\r\n\(field)\r\n\r\n"
            let head = try #require(try parse(text)).head
            #expect(head.hasContentType("text/a") == isKnown)
        }
    }

    @Test func `fields are found by name, joined and trimmed`() throws {
        let text =
            "GET / HTTP/1.1\r\nHost: a\r\nX-One:  1 \t\r\nx-ONE: 2\r\nEmpty:\r\nExpect: 100-Continue\r\n\r\n"
        let head = try #require(try parse(text)).head
        #expect(head.field("x-one") == "1, 2")
        #expect(head.field("empty") == "")
        #expect(head.field("x-two") == nil)
        #expect(head.expectation == .continue)
        #expect(head.fields.map(\.name) == ["host", "x-one", "x-one", "empty", "expect"])
    }

    @Test(arguments: [RequestHead.Version.http11, .http2])
    func `a head that broke a rule has no path, no fields and no host`(
        version: RequestHead.Version,
    ) {
        let head = RequestHead.unreadable(version, method: .get)
        #expect(head.path == "" && head.query == "" && head.fields.isEmpty)
        #expect(head.authority == nil && head.host == nil)
        #expect(!head.isHost("localhost", or: ""))
    }

    @Test func `an upgrade to HTTP/2 wants all of its fields`() throws {
        let all =
            "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n"
        #expect(try parse(all)?.head.upgradesToHTTP2 == true)
        let less = all.replacing("Upgrade, HTTP2-Settings", with: "Upgrade")
        #expect(try parse(less)?.head.upgradesToHTTP2 == false)
    }
}

extension String {
    fileprivate func replacing(_ part: String, with other: String) -> String {
        guard let range = self.firstRange(of: part) else { return self }
        return self[..<range.lowerBound] + other + self[range.upperBound...]
    }
}

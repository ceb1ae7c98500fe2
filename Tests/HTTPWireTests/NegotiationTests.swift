import HTTPWire
import Testing

@Suite struct NegotiationTests {
    @Test(
        arguments: [
            ("gzip", "gzip"), ("GZIP ; q=0.5", "gzip"), ("*", "zstd"), ("gzip, zstd", "zstd"),
            ("zstd;q=0.1, gzip", "gzip"), ("gzip;q=0", nil), ("*;q=0", nil),
            ("identity, gzip;q=0.5", nil),
            ("br", nil), ("", nil), ("gzip;q=2", nil), ("zstd;q=0, *", "gzip"),
            ("gzip;q=1.000", "gzip"), ("gzip;q=0.", nil), ("gzip;q=0.001", "gzip"),
            ("gzip;q=0x1p-1", nil), ("gzip;q=1e-1", nil), ("gzip;q=+0.5", nil),
            ("gzip;q=0.1234", nil), ("gzip;q=1.001", nil), ("gzip;q=.5", nil),
        ] as [(String, String?)])
    func `a coding is chosen by its weight, then by our own order`(field: String, wanted: String?) {
        #expect(AcceptEncoding.choice(field, offered: ["zstd", "gzip"]) == wanted)
    }

    @Test(arguments: [
        ("\"a\"", true), ("W/\"a\"", true), ("*", true), ("\"b\", \"a\" ", true), ("\"b\"", false),
        ("", false), ("a", false),
    ])
    func `entity tags are compared weakly`(field: String, isNamed: Bool) {
        #expect(EntityTag.isNamed("\"a\"", in: field) == isNamed)
    }

    @Test(arguments: [
        ("\"a\"", true), ("*", true), ("\"b\",\t\"a\" ", true), ("W/\"a\"", false), ("", false),
        ("\"b\"", false), ("a", false),
    ])
    func `what must match is compared strongly`(field: String, matches: Bool) {
        #expect(EntityTag.isMatched("\"a\"", by: field) == matches)
    }

    @Test(
        arguments: [
            ("If-Match: \"a\"", .tagged("\"a\""), nil),
            ("If-Match: *", .tagged("\"a\""), nil),
            ("If-Match: *", .untagged, nil),
            ("If-Match: *", .absent, .ifMatch),
            ("If-Match: \"b\"", .tagged("\"a\""), .ifMatch),
            ("If-Match: \"a\"", .untagged, .ifMatch),
            ("If-Match: \"a\"", .absent, .ifMatch),
            ("If-Match: \"b\"\r\nIf-Match: \"a\"", .tagged("\"a\""), nil),
            ("If-None-Match: \"a\"", .tagged("\"a\""), .ifNoneMatch),
            ("If-None-Match: W/\"a\"", .tagged("\"a\""), .ifNoneMatch),
            ("If-None-Match: \"b\"", .tagged("\"a\""), nil),
            ("If-None-Match: *", .untagged, .ifNoneMatch),
            ("If-None-Match: \"a\"", .untagged, nil),
            ("If-None-Match: *", .absent, nil),
            ("If-Match: \"b\"\r\nIf-None-Match: \"a\"", .tagged("\"a\""), .ifMatch),
        ] as [(String, Preconditions.Representation, Preconditions.Failure?)])
    func `conditions are about what is there`(
        fields: String, there: Preconditions.Representation, failure: Preconditions.Failure?,
    ) throws {
        let bytes = Array("DELETE / HTTP/1.1\r\nHost: a\r\n\(fields)\r\n\r\n".utf8)
        var parser = HTTP1Parser(limits: HTTPLimits())
        let head = try #require(try parser.parse(bytes.span)).head
        #expect(Preconditions(head)?.failure(of: there) == failure)
    }

    @Test func `a coded content has a tag of its own, by which it is still known`() {
        let coded = EntityTag.coded("\"a\"", by: "gzip")
        #expect(coded == "\"a-gzip\"")
        #expect(EntityTag.isNamed("\"a\"", in: coded) && EntityTag.isMatched("\"a\"", by: coded))
        #expect(!EntityTag.isMatched("\"b\"", by: coded))
        // The plain bytes do not go on where the coded ones ended.
        #expect(!EntityTag.isSame("\"a\"", as: coded))
        #expect(EntityTag.weak("\"a\"") == "W/\"a\"" && EntityTag.weak("W/\"a\"") == "W/\"a\"")
    }

    @Test func `a list is parted by octets, not by characters`() {
        // The character before each comma would otherwise be one with it.
        let field = "a\u{600}, b ,\u{600},\tc"
        #expect(field.listMembers().map(String.init) == ["a\u{600}", "b", "\u{600}", "c"])
    }

    @Test func `a weak tag names no bytes to go on from`() {
        #expect(EntityTag.isSame("\"a\"", as: "\"a\""))
        #expect(!EntityTag.isSame("W/\"a\"", as: "W/\"a\""))
        #expect(!EntityTag.isSame("\"a\"", as: "Sun, 06 Nov 1994 08:49:37 GMT"))
    }

    @Test(
        arguments: [
            ("bytes=0-0", .part(0..<1)), ("bytes=2-", .part(2..<10)), ("bytes=-3", .part(7..<10)),
            ("bytes=0-9", .part(0..<10)), ("BYTES=4-6", .part(4..<7)),
            ("bytes=8-99", .part(8..<10)), ("bytes=-99", .part(0..<10)),
            ("bytes= 1-2 ", .part(1..<3)), ("bytes=,1-2,", .part(1..<3)),
            ("bytes=9-99999999999999999999", .part(9..<10)),
            ("bytes=10-", .unsatisfiable), ("bytes=-0", .unsatisfiable),
            ("bytes=99999999999999999999-", .unsatisfiable),
            ("bytes=0-1,5-6", .whole), ("items=0-1", .whole), ("bytes=2-1", .whole),
            ("bytes=", .whole), ("bytes=-", .whole), ("bytes=a-b", .whole), ("bytes=1", .whole),
            ("bytes=+1-2", .whole), ("bytes=1 -2", .whole), ("bytes=1-2-3", .whole),
            ("bytes =1-2", .whole), ("0-1", .whole), ("", .whole),
        ] as [(String, ByteRange)])
    func `a range is a part, all or nothing of ten bytes`(field: String, wanted: ByteRange) {
        #expect(ByteRange(field, of: 10) == wanted)
        #expect(ByteRange(field, of: 0) == .whole)
    }

    @Test(
        arguments: [
            ("/a%20b", "/a b"), ("%41", "A"), ("%4", nil), ("%zz", nil), ("%ff", nil),
            ("%2541", "%41"),
            ("%", nil),
        ] as [(String, String?)])
    func `escapes are decoded once`(text: String, wanted: String?) {
        #expect(PercentEncoding.decode(text) == wanted)
    }
}

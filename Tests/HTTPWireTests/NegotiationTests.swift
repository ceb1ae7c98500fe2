import HTTPWire
import Testing

@Suite struct NegotiationTests {
    @Test(
        arguments: [
            ("gzip", "gzip"), ("GZIP ; q=0.5", "gzip"), ("*", "zstd"), ("gzip, zstd", "zstd"),
            ("zstd;q=0.1, gzip", "gzip"), ("gzip;q=0", nil), ("*;q=0", nil),
            ("identity, gzip;q=0.5", nil),
            ("br", nil), ("", nil), ("gzip;q=2", nil), ("zstd;q=0, *", "gzip"),
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

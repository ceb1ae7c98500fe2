import HTTPWire
import Testing

@Suite struct ChunkedDecoderTests {
    private func decode(_ pieces: [ArraySlice<UInt8>], limit: Int = 100) throws -> (String, Int) {
        var decoder = ChunkedDecoder(limit: limit)
        var body: [UInt8] = []
        var used = 0
        for piece in pieces { used += try decoder.decode(Array(piece).span, into: &body) }
        #expect(decoder.isDone)
        return (String(decoding: body, as: UTF8.self), used)
    }

    @Test func `chunks are joined at every split`() throws {
        let text = "3;x=y\r\nabc\r\nA ; z = \"a\\\"b\"\r\n0123456789\r\n00\r\nT: x\r\nU:\r\n\r\n"
        let bytes = Array((text + "rest").utf8)
        for split in 0...bytes.count {
            let (body, used) = try decode([bytes[..<split], bytes[split...]])
            #expect(body == "abc0123456789")
            #expect(used == text.utf8.count)
        }
        #expect(try decode(bytes.map { [$0][...] }).0 == "abc0123456789")
    }

    @Test(arguments: [
        "g\r\n", "1\n", "3\r\nabcd\r\n", "ffffffffffffffff\r\n", "\r\n", "-1\r\n", "+1\r\n",
        "0x1\r\n",
        " 1\r\n", "1 \r\n", "1;\r\n", "1;=\r\n", "1;a=\r\n", "1;a=\"b\r\n", "1;a\u{0}\r\n",
        "3\r\nabc\n0\r\n",
        "0\r\nbad line\r\n\r\n", "0\r\n : x\r\n\r\n",
        "0\r\nA: b\n\r\n",
        "0\r\nA: \u{1}\r\n\r\n", "1;" + String(repeating: "a", count: 300),
    ])
    func `bad chunks are refused`(text: String) {
        var decoder = ChunkedDecoder(limit: 50)
        var body: [UInt8] = []
        let refusal = #expect(throws: HTTPRefusal.self) {
            try decoder.decode(Array(text.utf8).span, into: &body)
        }
        #expect(refusal?.status == 400)
    }

    @Test(arguments: [
        ("64\r\n", 413), ("20\r\n" + String(repeating: "a", count: 32) + "\r\n20\r\n", 413),
    ])
    func `a body over the limit is refused before it comes`(text: String, status: Int) {
        var decoder = ChunkedDecoder(limit: 50)
        var body: [UInt8] = []
        let refusal = #expect(throws: HTTPRefusal.self) {
            try decoder.decode(Array(text.utf8).span, into: &body)
        }
        #expect(refusal?.status == status)
    }

    @Test func `a body that is hardly more than the lines around it is refused`() throws {
        func body(_ chunk: String, _ count: Int) -> String {
            String(repeating: chunk, count: count) + "0\r\n\r\n"
        }
        // An octet at a time is slow, not wrong.
        let plain = body("1\r\na\r\n", 100_000)
        #expect(try decode([Array(plain.utf8)[...]], limit: 100_000).0.utf8.count == 100_000)
        let padded = body("1;" + String(repeating: "x", count: 200) + "\r\na\r\n", 1000)
        var decoder = ChunkedDecoder(limit: 100_000)
        var octets: [UInt8] = []
        let refusal = #expect(throws: HTTPRefusal.self) {
            try decoder.decode(Array(padded.utf8).span, into: &octets)
        }
        #expect(refusal?.status == 400)
    }

    @Test func `a trailer that never ends is refused`() {
        var decoder = ChunkedDecoder(limit: 50)
        var body: [UInt8] = []
        let text = "0\r\n" + String(repeating: "A: b\r\n", count: 3000)
        let refusal = #expect(throws: HTTPRefusal.self) {
            try decoder.decode(Array(text.utf8).span, into: &body)
        }
        #expect(refusal?.status == 431)
    }
}

import HTTPWire
import Testing

@Suite struct HTTP1WriterTests {
    private func written(_ write: (inout HTTP1Writer) -> Void) -> String {
        var writer = HTTP1Writer()
        write(&writer)
        return String(decoding: Array(writer.bytes), as: UTF8.self)
    }

    @Test func `a value cannot end its line`() {
        #expect(written { $0.field("A", "b\r\nSet-Cookie: c\u{0}") } == "A: b  Set-Cookie: c \r\n")
        #expect(written { $0.field("A\r\nB", "c") } == "")
        #expect(written { $0.field("", "c") } == "")
    }

    @Test(arguments: [0, 7, 10, 99, 100, 10_485_760, Int.max])
    func `numbers are written whole`(number: Int) {
        #expect(written { $0.ownField("N: ", decimal: number) } == "N: \(number)\r\n")
    }

    @Test func `status lines have their phrase`() {
        #expect(written { $0.beginHead(200) } == "HTTP/1.1 200 OK\r\n")
        #expect(written { $0.beginHead(431) } == "HTTP/1.1 431 Request Header Fields Too Large\r\n")
    }

    @Test func `an empty piece does not end the body`() {
        #expect(written { $0.chunk([]) } == "")
        #expect(
            written { $0.chunk(Array("0123456789abcdef".utf8)) } == "10\r\n0123456789abcdef\r\n")
    }

    @Test(arguments: [
        (0, "Thu, 01 Jan 1970 00:00:00 GMT"), (784_111_777, "Sun, 06 Nov 1994 08:49:37 GMT"),
        (951_782_400, "Tue, 29 Feb 2000 00:00:00 GMT"),
        (4_107_542_399, "Sun, 28 Feb 2100 23:59:59 GMT"),
    ])
    func `dates are those of the calendar`(seconds: Int, text: String) {
        #expect(HTTPDate.text(seconds) == text)
    }
}

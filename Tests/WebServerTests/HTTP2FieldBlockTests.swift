import CNghttp2
import HTTPWire
import Testing

@testable import WebServer

@Suite struct HTTP2FieldBlockTests {
    /// The fields as nghttp2 is given them.
    private func fields(_ build: (inout HTTP2FieldBlock) -> Void) -> [String] {
        var block = HTTP2FieldBlock()
        block.begin(200)
        build(&block)
        var found: [String] = []
        block.withFields { fields in
            for field in fields {
                let name = UnsafeBufferPointer(start: field.name, count: field.namelen)
                let value = UnsafeBufferPointer(start: field.value, count: field.valuelen)
                found.append(
                    String(decoding: name, as: UTF8.self) + "="
                        + String(decoding: value, as: UTF8.self))
            }
        }
        return found
    }

    /// As HTTP/1.1 writes the same.
    private func lines(_ name: String, _ value: String) -> String {
        var writer = HTTP1Writer()
        writer.field(name, value)
        return String(decoding: [UInt8](writer.bytes), as: UTF8.self)
    }

    @Test(
        arguments: [
            ("X-Name", "a\tb", "x-name=a\tb", "X-Name: a\tb\r\n"),
            ("X", "a\r\nY: b\u{7f}", "x=a  Y: b ", "X: a  Y: b \r\n"),
            ("Connection", "close", nil, ""), ("TRANSFER-encoding", "chunked", nil, ""),
            ("Content-Length", "7", nil, ""), ("Upgrade", "x", nil, ""),
            ("Keep-Alive", "x", nil, ""),
            ("Proxy-Connection", "x", nil, ""), ("a b", "c", nil, ""), ("", "c", nil, ""),
            (":path", "c", nil, ""),
        ] as [(String, String, String?, String)])
    func `a handler's field is written by one rule`(
        name: String, value: String, field: String?, line: String,
    ) {
        #expect(fields { $0.add(name, value) } == [":status=200"] + [field].compactMap(\.self))
        #expect(lines(name, value) == line)
    }

    @Test func `a block that is begun anew holds what was added since`() {
        let found = fields { block in
            block.add("a", "b")
            block.begin(404)
            block.own("date", "now")
        }
        #expect(found == [":status=404", "date=now"])
    }
}

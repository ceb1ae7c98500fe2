import HTTPWire
import Testing

@Suite struct HTTP2FrameBoundsTests {
    private static let preface = Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8)
    private static let settings = frame(4, Array(repeating: 0, count: 6))

    private func follow(_ bytes: ArraySlice<UInt8>, _ bounds: inout HTTP2FrameBounds) {
        bytes.withUnsafeBufferPointer { bounds.follow($0.span) }
    }

    private static func frame(_ type: UInt8, flags: UInt8 = 0, _ payload: [UInt8]) -> [UInt8] {
        [UInt8(payload.count >> 16), UInt8(payload.count >> 8 & 255), UInt8(payload.count & 255)]
            + [type, flags, 0, 0, 0, 1] + payload
    }

    @Test func `the rest of each part is owed until its last octet`() {
        let ping = Self.frame(6, Array(repeating: 7, count: 8))
        let bytes = Self.preface + Self.settings + Self.frame(4, flags: 1, []) + ping
        let first = Self.preface.count + Self.settings.count
        let ends = [first, first + 9, bytes.count]
        for split in 0...bytes.count {
            var bounds = HTTP2FrameBounds()
            follow(bytes[..<split], &bounds)
            #expect(bounds.isRestOwed == !ends.contains(split), "\(split)")
            #expect(bounds.whole == ends.count { $0 <= split })
            follow(bytes[split...], &bounds)
            #expect(!bounds.isRestOwed && bounds.whole == 3)
        }
    }

    @Test func `a field block is one with its continuations`() {
        var bounds = HTTP2FrameBounds()
        follow((Self.preface + Self.settings)[...], &bounds)
        for part in [
            Self.frame(1, flags: 1, [1, 2]), Self.frame(9, []), Self.frame(9, flags: 1, [3]),
        ] {
            follow(part[...], &bounds)
            #expect(bounds.isRestOwed && bounds.whole == 1)
        }
        follow(Self.frame(9, flags: 4, [4])[...], &bounds)
        #expect(!bounds.isRestOwed && bounds.whole == 2)
    }

    @Test func `the rest of a body is not owed, that of its frame's header is`() {
        let data = Self.frame(0, flags: 4, [1, 2, 3])
        for count in 1...data.count {
            var bounds = HTTP2FrameBounds()
            follow((Self.preface + Self.settings + data[..<count])[...], &bounds)
            #expect(bounds.isRestOwed == (count < 9), "\(count)")
        }
    }
}

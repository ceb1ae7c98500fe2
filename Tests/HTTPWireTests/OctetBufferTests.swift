import HTTPWire
import Testing

@Suite struct OctetBufferTests {
    @Test func `what is written comes out in order, however it is taken`() {
        var buffer = OctetBuffer()
        var expected: [UInt8] = []
        for round in 0..<200 {
            let piece = (0..<round % 97).map { UInt8(truncatingIfNeeded: round &+ $0) }
            switch round % 4 {
            case 0: buffer.append(piece)
            case 1: buffer.append(piece[...])
            case 2: piece.withUnsafeBufferPointer { buffer.append($0) }
            default: for octet in piece { buffer.append(octet) }
            }
            buffer.append("é1")
            expected += piece + Array("é1".utf8)
            let dropped = round % 3 == 0 ? 0 : min(expected.count, round % 61)
            buffer.drop(dropped)
            expected.removeFirst(dropped)
            #expect(Array(buffer) == expected)
            #expect(buffer.count == expected.count)
        }
        #expect(Array(buffer, from: 5) == Array(expected[5...]))
        buffer.drop(buffer.count)
        #expect(buffer.count == 0)
    }

    @Test func `room is kept for what comes next, and moved over rather than grown`() {
        var buffer = OctetBuffer()
        #expect(buffer.capacity == 0)
        let piece = [UInt8](repeating: 1, count: 400)
        for _ in 0..<1000 {
            buffer.append(piece)
            buffer.append(piece)
            buffer.drop(800)
        }
        #expect(buffer.capacity <= 2048)
    }
}

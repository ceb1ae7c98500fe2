/// A request's own number: counted for each loop from a random start, unlikely to be any other's.
struct RequestNumber: Sendable, CustomStringConvertible {
    private var number: UInt64

    static func random() -> RequestNumber {
        RequestNumber(number: .random(in: .min ... .max))
    }

    var next: RequestNumber { RequestNumber(number: number &+ 1) }

    /// Sixteen hexadecimal digits.
    var description: String {
        var bytes: [UInt8] = []
        append(to: &bytes)
        return String(decoding: bytes, as: UTF8.self)
    }

    /// Adds the sixteen digits to the end of `bytes`.
    func append(to bytes: inout [UInt8]) {
        withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 16) { digits in
            for index in 0..<16 {
                let digit = UInt8(truncatingIfNeeded: number >> UInt64(60 - 4 * index)) & 0xf
                digits.initializeElement(at: index, to: digit + (digit < 10 ? 0x30 : 0x57))
            }
            bytes.append(contentsOf: UnsafeBufferPointer(digits))
        }
    }
}

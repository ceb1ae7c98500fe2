/// A request's own number: counted for each loop from a random start, unlikely to be any other's.
struct RequestNumber: Sendable, CustomStringConvertible {
    private var number: UInt64

    static func random() -> RequestNumber {
        RequestNumber(number: .random(in: .min ... .max))
    }

    var next: RequestNumber { RequestNumber(number: number &+ 1) }

    var description: String {
        digits.span.withUnsafeBufferPointer { String(decoding: $0, as: UTF8.self) }
    }

    /// Sixteen hexadecimal digits.
    var digits: InlineArray<16, UInt8> {
        let high = Self.digits(UInt32(truncatingIfNeeded: number >> 32))
        let low = Self.digits(UInt32(truncatingIfNeeded: number))
        return InlineArray { place in
            let word = place < 8 ? high : low
            return UInt8(truncatingIfNeeded: word >> UInt64(56 - place % 8 * 8))
        }
    }

    /// Eight digits at once, the first in the highest octet.
    private static func digits(_ number: UInt32) -> UInt64 {
        var digits = UInt64(number)
        digits = (digits | digits << 16) & 0x0000_ffff_0000_ffff
        digits = (digits | digits << 8) & 0x00ff_00ff_00ff_00ff
        digits = (digits | digits << 4) & 0x0f0f_0f0f_0f0f_0f0f
        // Six more carry into the fifth bit from 10 on, where the letters begin.
        let letters = (digits &+ 0x0606_0606_0606_0606) >> 4 & 0x0101_0101_0101_0101
        return digits &+ 0x3030_3030_3030_3030 &+ letters &* 0x27
    }
}

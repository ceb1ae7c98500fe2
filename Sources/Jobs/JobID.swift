import Glibc
import Synchronization

/// The name of a job: a UUID of version 7 (RFC 9562), so that ids sort by the time of submission.
package struct JobID: Hashable, Comparable, Sendable, CustomStringConvertible {
    /// Milliseconds since 1970 (48 bits), version (4), counter (12).
    package let high: UInt64
    /// Variant (2 bits), random (62).
    package let low: UInt64

    package init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }

    /// Reads the 36-character form, either case; nil for anything else, other UUID versions too.
    package init?(_ text: some StringProtocol) {
        var value: (high: UInt64, low: UInt64) = (0, 0)
        var digits = 0
        for (position, byte) in text.utf8.enumerated() {
            guard position < 36 else { return nil }
            if position == 8 || position == 13 || position == 18 || position == 23 {
                guard byte == UInt8(ascii: "-") else { return nil }
                continue
            }
            guard let nibble = Self.nibble(byte) else { return nil }
            if digits < 16 {
                value.high = value.high << 4 | nibble
            } else {
                value.low = value.low << 4 | nibble
            }
            digits += 1
        }
        guard digits == 32, value.high >> 12 & 0xf == 7, value.low >> 62 == 2 else { return nil }
        self.init(high: value.high, low: value.low)
    }

    private static func nibble(_ byte: UInt8) -> UInt64? {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): UInt64(byte - UInt8(ascii: "0"))
        case UInt8(ascii: "a")...UInt8(ascii: "f"): UInt64(byte - UInt8(ascii: "a") + 10)
        case UInt8(ascii: "A")...UInt8(ascii: "F"): UInt64(byte - UInt8(ascii: "A") + 10)
        default: nil
        }
    }

    /// Time and counter without the version: 60 bits that grow with every id of one generator.
    ///
    /// Stores use it as their row number: unique within a server, ordered as the ids are.
    package var sequence: Int64 { Int64((high >> 16) << 12 | high & 0xfff) }

    /// The sequences of all ids whose text begins with `prefix`; nil when none can.
    ///
    /// Hyphens are passed over. Past the 16th digit, which the sequence does not hold, the ids of
    /// the range may still differ from the prefix.
    package static func sequences(ofPrefix prefix: String) -> ClosedRange<Int64>? {
        var (low, high) = (UInt64(0), UInt64(0))
        var digits = 0
        for byte in prefix.utf8 where byte != UInt8(ascii: "-") {
            guard digits < 32, let digit = nibble(byte) else { return nil }
            if digits < 16 { low = low << 4 | digit }
            digits += 1
        }
        guard digits > 0 else { return nil }
        let open = UInt64(max(0, 16 - digits) * 4)
        low <<= open
        high = low | (1 << open &- 1)
        if digits > 12 {
            guard low >> 12 & 0xf == 7 else { return nil }
        } else {
            low = low & ~0xf000 | 0x7000
            high = high & ~0xf000 | 0x7000
        }
        return JobID(high: low, low: 0).sequence...JobID(high: high, low: 0).sequence
    }

    package static func < (left: JobID, right: JobID) -> Bool {
        (left.high, left.low) < (right.high, right.low)
    }

    package var description: String { text(after: "") }

    /// The text behind another, as one string.
    package func text(after prefix: StaticString) -> String {
        let start = prefix.utf8CodeUnitCount
        return String(unsafeUninitializedCapacity: start + Self.textLength) { buffer in
            _ = prefix.withUTF8Buffer { buffer.update(fromContentsOf: $0) }
            write(to: UnsafeMutableBufferPointer(rebasing: buffer[start..<start + Self.textLength]))
            return start + Self.textLength
        }
    }

    /// Octets of the text.
    package static let textLength = 36

    /// Writes the text to a buffer that has room for it.
    package func write(to buffer: UnsafeMutableBufferPointer<UInt8>) {
        let room = UnsafeMutableRawBufferPointer(buffer)
        func put<Digits: FixedWidthInteger>(_ digits: Digits, at place: Int) {
            room.storeBytes(of: digits.bigEndian, toByteOffset: place, as: Digits.self)
        }
        /// Eight digits as four, a hyphen and four.
        func putHalves(_ digits: UInt64, at place: Int) {
            put(UInt32(truncatingIfNeeded: digits >> 32), at: place)
            put(UInt8(ascii: "-"), at: place + 4)
            put(UInt32(truncatingIfNeeded: digits), at: place + 5)
        }
        put(UInt32(truncatingIfNeeded: high >> 32).hexadecimal, at: 0)
        put(UInt8(ascii: "-"), at: 8)
        putHalves(UInt32(truncatingIfNeeded: high).hexadecimal, at: 9)
        put(UInt8(ascii: "-"), at: 18)
        putHalves(UInt32(truncatingIfNeeded: low >> 32).hexadecimal, at: 19)
        put(UInt32(truncatingIfNeeded: low).hexadecimal, at: 28)
    }
}

extension UInt32 {
    /// Its eight digits in ASCII, the first in the highest octet: all at once, as a job's answer has
    /// its id twice.
    fileprivate var hexadecimal: UInt64 {
        var digits = UInt64(self)
        digits = (digits | digits << 16) & 0x0000_ffff_0000_ffff
        digits = (digits | digits << 8) & 0x00ff_00ff_00ff_00ff
        digits = (digits | digits << 4) & 0x0f0f_0f0f_0f0f_0f0f
        let areLetters = (digits + 0x0606_0606_0606_0606) >> 4 & 0x0101_0101_0101_0101
        return digits + 0x3030_3030_3030_3030 + areLetters * 0x27
    }
}

/// Makes job ids whose `sequence` only grows, also when the wall clock goes back.
package final class JobIDGenerator: Sendable {
    private let state: Mutex<State>

    private struct State {
        var last: Int64
        var random = RandomWords()
    }

    /// - Parameter last: the greatest sequence given out before, so that a restart stays above it.
    package init(after last: Int64 = 0) {
        state = Mutex(State(last: last))
    }

    /// The next id.
    ///
    /// Past 4,096 a millisecond the counter runs into the time, which stays ordered.
    package func next(at time: Timestamp) -> JobID {
        state.withLock { state in
            state.last = max(state.last + 1, (time.microseconds / 1000) << 12)
            let bits = UInt64(state.last)
            return JobID(
                high: (bits >> 12) << 16 | 0x7000 | bits & 0xfff,
                low: state.random.next() >> 2 | 1 << 63)
        }
    }
}

/// Random numbers of the kernel's, fetched 32 at a time: a system call for each would cost as much as
/// all the rest of an id.
private struct RandomWords {
    private var words = InlineArray<32, UInt64>(repeating: 0)
    private var left = 0

    mutating func next() -> UInt64 {
        if left == 0 { refill() }
        left -= 1
        return words[left]
    }

    private mutating func refill() {
        var words = words
        // getentropy(3) fails for more than 256 bytes alone, and on a kernel without it.
        if getentropy(&words, MemoryLayout.size(ofValue: words)) != 0 {
            for index in words.indices { words[index] = .random(in: .min ... .max) }
        }
        self.words = words
        left = words.count
    }
}

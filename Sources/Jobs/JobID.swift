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

    package var description: String {
        String(unsafeUninitializedCapacity: Self.textLength) { buffer in
            write(to: buffer)
            return Self.textLength
        }
    }

    /// Octets of the text.
    package static let textLength = 36

    /// Writes the text to a buffer that has room for it.
    package func write(to buffer: UnsafeMutableBufferPointer<UInt8>) {
        var position = 0
        func put(_ value: UInt64, _ digits: ClosedRange<Int>) {
            for digit in digits {
                let nibble = UInt8(truncatingIfNeeded: value >> UInt64(60 - 4 * digit) & 0xf)
                buffer[position] = nibble + (nibble < 10 ? 0x30 : 0x57)
                position += 1
            }
        }
        func dash() {
            buffer[position] = UInt8(ascii: "-")
            position += 1
        }
        put(high, 0...7)
        dash()
        put(high, 8...11)
        dash()
        put(high, 12...15)
        dash()
        put(low, 0...3)
        dash()
        put(low, 4...15)
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

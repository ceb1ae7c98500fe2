/// A place in a trace, as it travels between programs (W3C Trace Context, section 3.2).
package struct TraceContext: Hashable, Sendable {
    /// The 128 bits of the trace's id.
    package var traceHigh: UInt64
    package var traceLow: UInt64
    package var span: SpanID
    /// Whether whoever began the trace wants its spans kept.
    package var isSampled: Bool

    package init(traceHigh: UInt64, traceLow: UInt64, span: SpanID, isSampled: Bool) {
        self.traceHigh = traceHigh
        self.traceLow = traceLow
        self.span = span
        self.isSampled = isSampled
    }

    /// Reads a `traceparent`: `00-` trace id `-` parent id `-` flags, in lower-case hexadecimal;
    /// nil when it is malformed.
    ///
    /// A later version may have more behind that.
    package init?(_ text: String) {
        let parts = text.split(separator: "-", omittingEmptySubsequences: false)
        guard parts.count == 4 || (parts.count > 4 && parts[0] != "00"),
            parts[0] != "ff", Self.hexadecimal(parts[0], 2) != nil,
            parts[1].utf8.count == 32,
            let high = Self.hexadecimal(parts[1].prefix(16), 16),
            let low = Self.hexadecimal(parts[1].dropFirst(16), 16),
            let span = Self.hexadecimal(parts[2], 16),
            let flags = Self.hexadecimal(parts[3], 2),
            high | low != 0, span != 0  // all zeros are no ids
        else { return nil }
        self.init(
            traceHigh: high, traceLow: low, span: SpanID(span), isSampled: flags & 1 == 1)
    }

    private static func hexadecimal(_ text: Substring, _ width: Int) -> UInt64? {
        guard text.utf8.count == width,
            text.utf8.allSatisfy({ (0x30...0x39).contains($0) || (0x61...0x66).contains($0) })
        else { return nil }
        return UInt64(text, radix: 16)
    }

    /// The trace's id as 32 hexadecimal digits.
    package var traceText: String { traceHigh.hexadecimal + traceLow.hexadecimal }

    /// The `traceparent` that says it.
    package var text: String { "00-\(traceText)-\(span)-\(isSampled ? "01" : "00")" }
}

/// The name of a span within its trace; never zero.
package struct SpanID: Hashable, Sendable, CustomStringConvertible {
    package let bits: UInt64

    package init(_ bits: UInt64) { self.bits = bits == 0 ? 1 : bits }

    /// The same for the same numbers, which is how parents and children that never meet agree.
    package init(of number: UInt64, _ step: Int) {
        // The mixing of splitmix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number
        // Generators, 2014).
        var bits = number &+ UInt64(truncatingIfNeeded: step) &* 0x9e37_79b9_7f4a_7c15
        bits = (bits ^ bits >> 30) &* 0xbf58_476d_1ce4_e5b9
        bits = (bits ^ bits >> 27) &* 0x94d0_49bb_1331_11eb
        self.init(bits ^ bits >> 31)
    }

    package var description: String { bits.hexadecimal }
}

extension UInt64 {
    /// Sixteen digits.
    fileprivate var hexadecimal: String {
        let digits = String(self, radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits
    }
}

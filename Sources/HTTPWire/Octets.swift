/// The classes of octets that HTTP's grammar is made of.
extension UInt8 {
    /// RFC 9110, section 5.6.2: a character of methods and field names.
    @inline(__always) var isToken: Bool {
        switch self {
        case 0x30...0x39, 0x41...0x5a, 0x61...0x7a: true
        case 0x21, 0x23...0x27, 0x2a, 0x2b, 0x2d, 0x2e, 0x5e, 0x5f, 0x60, 0x7c, 0x7e: true
        default: false
        }
    }

    /// RFC 9110, section 5.5: anything but control characters; tabs are allowed.
    @inline(__always) package var isFieldContent: Bool {
        self >= 0x20 && self != 0x7f || self == 0x09
    }

    /// RFC 9110, section 5.6.3.
    @inline(__always) var isBlank: Bool { self == 0x20 || self == 0x09 }

    @inline(__always) var isDigit: Bool { self >= 0x30 && self <= 0x39 }

    /// The value of a hexadecimal digit; nil for any other octet.
    @inline(__always) var hexValue: Int? {
        switch self {
        case 0x30...0x39: Int(self) - 0x30
        case 0x41...0x46: Int(self) - 0x37
        case 0x61...0x66: Int(self) - 0x57
        default: nil
        }
    }

    @inline(__always) var lowercased: UInt8 { self >= 0x41 && self <= 0x5a ? self | 0x20 : self }
}

/// Looking through eight octets at a time; the tests for a zero and for a small octet are those of
/// "Bit Twiddling Hacks", of whose marks the lowest is always right.
extension Span<UInt8> {
    /// Where the first `octet` at or after `start` stands; the end when there is none.
    func index(of octet: UInt8, from start: Int) -> Int {
        let wanted = UInt64(repeating: octet)
        return index(
            from: start, marks: { $0.zeroOctets(after: wanted) }, where: { $0 == octet })
    }

    /// Where the first octet at or after `start` stands that is no content of a field (RFC 9110,
    /// section 5.5); the end when there is none.
    func endOfContent(from start: Int) -> Int {
        let delete = UInt64(repeating: 0x7f)
        var place = start
        while true {
            place = index(
                from: place, marks: { $0.octets(below: 0x20) | $0.zeroOctets(after: delete) },
                where: { $0 < 0x20 || $0 == 0x7f })
            guard place < count, self[place] == UInt8(ascii: "\t") else { return place }
            place += 1
        }
    }

    /// Where the first octet stands that `marks` has marked in its word, or, of those that fill no
    /// word, that is as wanted.
    @inline(__always) private func index(
        from start: Int, marks: (UInt64) -> UInt64, where isWanted: (UInt8) -> Bool,
    ) -> Int {
        var place = start
        while place + 8 <= count {
            let word = bytes.unsafeLoadUnaligned(fromByteOffset: place, as: UInt64.self)
            let found = marks(UInt64(littleEndian: word))
            if found != 0 { return place + found.trailingZeroBitCount / 8 }
            place += 8
        }
        while place < count, !isWanted(self[place]) { place += 1 }
        return place
    }
}

extension UInt64 {
    @inline(__always) fileprivate init(repeating octet: UInt8) {
        self = 0x0101_0101_0101_0101 &* UInt64(octet)
    }

    /// The high bit of each octet that is as in `wanted`.
    @inline(__always) fileprivate func zeroOctets(after wanted: UInt64) -> UInt64 {
        (self ^ wanted).octets(below: 1)
    }

    /// The high bit of each octet below `bound`, which is at most 128.
    @inline(__always) fileprivate func octets(below bound: UInt8) -> UInt64 {
        (self &- UInt64(repeating: bound)) & ~self & UInt64(repeating: 0x80)
    }
}

extension Span<UInt8> {
    func equals(_ text: StaticString) -> Bool {
        guard count == text.utf8CodeUnitCount else { return false }
        return text.withUTF8Buffer { wanted in
            for index in wanted.indices where wanted[index] != self[index] { return false }
            return true
        }
    }

    /// Compares with a text in lower case.
    func equalsIgnoringCase(_ text: StaticString) -> Bool {
        guard count == text.utf8CodeUnitCount else { return false }
        return text.withUTF8Buffer { wanted in
            for index in wanted.indices where wanted[index] != self[index].lowercased {
                return false
            }
            return true
        }
    }

    func hasPrefix(_ text: StaticString) -> Bool {
        count >= text.utf8CodeUnitCount && extracting(first: text.utf8CodeUnitCount).equals(text)
    }

    /// Where the colon behind the name of a line `name:value` stands; nil when there is none.
    ///
    /// RFC 9112, section 5.1: no white space before the colon; 5.2: no folded lines, which begin with it.
    var colonOfField: Int? {
        var colon = 0
        while colon < count, self[colon].isToken { colon += 1 }
        return colon > 0 && colon < count && self[colon] == UInt8(ascii: ":") ? colon : nil
    }

    /// The bounds of what is left without blanks at either end.
    func trimmed(_ range: Range<Int>) -> Range<Int> {
        var (start, end) = (range.lowerBound, range.upperBound)
        while start < end, self[start].isBlank { start += 1 }
        while end > start, self[end - 1].isBlank { end -= 1 }
        return start..<end
    }

    /// Calls `body` with each member of a comma-separated list (RFC 9110, section 5.6.1), blanks and
    /// empty members left out.
    func forEachListMember(_ body: (Span<UInt8>) -> Void) {
        var start = 0
        for index in 0...count where index == count || self[index] == UInt8(ascii: ",") {
            let member = trimmed(start..<index)
            if !member.isEmpty { body(extracting(member)) }
            start = index + 1
        }
    }

    var text: String { withUnsafeBufferPointer { String(decoding: $0, as: UTF8.self) } }
}

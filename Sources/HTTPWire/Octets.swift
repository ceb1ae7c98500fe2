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
    @inline(__always) var isFieldContent: Bool { self >= 0x20 && self != 0x7f || self == 0x09 }

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

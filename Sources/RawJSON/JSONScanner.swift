/// Checks JSON text by the grammar of RFC 8259; finds no values, only mistakes.
struct JSONScanner {
    private let bytes: UnsafeBufferPointer<UInt8>
    private let depthLimit: Int
    private var position = 0
    private var depth = 0

    init(_ bytes: UnsafeBufferPointer<UInt8>, depthLimit: Int) {
        self.bytes = bytes
        self.depthLimit = depthLimit
    }

    /// The range of the one value in the text.
    mutating func scanDocument() throws(RawJSONError) -> Range<Int> {
        skipBlanks()
        let start = position
        try scanValue()
        let end = position
        skipBlanks()
        guard position == bytes.count else { throw mistake(.trailingBytes) }
        return start..<end
    }

    private func mistake(_ reason: RawJSONError.Reason) -> RawJSONError {
        RawJSONError(offset: position, reason: position < bytes.count ? reason : .unexpectedEnd)
    }

    private func wrong() -> RawJSONError { mistake(.unexpectedByte) }

    private var current: UInt8? { position < bytes.count ? bytes[position] : nil }

    private mutating func skipBlanks() {
        while position < bytes.count, JSONText.isBlank(bytes[position]) { position += 1 }
    }

    private mutating func scanValue() throws(RawJSONError) {
        guard let first = current else { throw mistake(.unexpectedEnd) }
        switch first {
        case UInt8(ascii: "{"): try scanObject()
        case UInt8(ascii: "["): try scanArray()
        case UInt8(ascii: "\""): try scanString()
        case UInt8(ascii: "t"): try scanWord("true")
        case UInt8(ascii: "f"): try scanWord("false")
        case UInt8(ascii: "n"): try scanWord("null")
        case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): try scanNumber()
        default: throw wrong()
        }
    }

    private mutating func enter() throws(RawJSONError) {
        depth += 1
        guard depth <= depthLimit else { throw mistake(.tooDeep) }
        position += 1
        skipBlanks()
    }

    private mutating func leave() {
        depth -= 1
        position += 1
    }

    private mutating func scanArray() throws(RawJSONError) {
        try enter()
        if current == UInt8(ascii: "]") { return leave() }
        while true {
            try scanValue()
            skipBlanks()
            if current == UInt8(ascii: "]") { return leave() }
            guard current == UInt8(ascii: ",") else { throw wrong() }
            position += 1
            skipBlanks()
        }
    }

    private mutating func scanObject() throws(RawJSONError) {
        try enter()
        if current == UInt8(ascii: "}") { return leave() }
        while true {
            guard current == UInt8(ascii: "\"") else { throw wrong() }
            try scanString()
            skipBlanks()
            guard current == UInt8(ascii: ":") else { throw wrong() }
            position += 1
            skipBlanks()
            try scanValue()
            skipBlanks()
            if current == UInt8(ascii: "}") { return leave() }
            guard current == UInt8(ascii: ",") else { throw wrong() }
            position += 1
            skipBlanks()
        }
    }

    private mutating func scanWord(_ word: StaticString) throws(RawJSONError) {
        for offset in 0..<word.utf8CodeUnitCount {
            guard current == word.utf8Start[offset] else { throw wrong() }
            position += 1
        }
    }

    // RFC 8259, section 6.
    private mutating func scanNumber() throws(RawJSONError) {
        if current == UInt8(ascii: "-") { position += 1 }
        if current == UInt8(ascii: "0") {
            position += 1
            if let next = current, JSONText.isDigit(next) { throw mistake(.badNumber) }
        } else {
            try scanDigits()
        }
        // Most are whole, and followed by a comma.
        guard let next = current, next >= UInt8(ascii: ".") else { return }
        if next == UInt8(ascii: ".") {
            position += 1
            try scanDigits()
        }
        if current == UInt8(ascii: "e") || current == UInt8(ascii: "E") {
            position += 1
            if current == UInt8(ascii: "+") || current == UInt8(ascii: "-") { position += 1 }
            try scanDigits()
        }
    }

    private mutating func scanDigits() throws(RawJSONError) {
        let end = JSONText.endOfDigits(bytes, from: position)
        guard end > position else { throw mistake(.badNumber) }
        position = end
    }

    // RFC 8259, section 7.
    private mutating func scanString() throws(RawJSONError) {
        position += 1
        while true {
            position = JSONText.endOfASCII(bytes, from: position)
            guard let byte = current else { throw mistake(.unexpectedEnd) }
            switch byte {
            case UInt8(ascii: "\""):
                position += 1
                return
            case UInt8(ascii: "\\"): try scanEscape()
            case 0x00..<0x20: throw mistake(.controlCharacter)
            default:
                // In most texts another such character follows.
                repeat {
                    try scanMultibyte(bytes[position])
                } while position < bytes.count && bytes[position] >= 0x80
            }
        }
    }

    private mutating func scanEscape() throws(RawJSONError) {
        position += 1
        guard let kind = current else { throw mistake(.unexpectedEnd) }
        switch kind {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"), UInt8(ascii: "b"),
            UInt8(ascii: "f"), UInt8(ascii: "n"), UInt8(ascii: "r"), UInt8(ascii: "t"):
            position += 1
        case UInt8(ascii: "u"):
            position += 1
            for _ in 0..<4 {
                guard let digit = current, JSONText.hexValue(digit) != nil else {
                    throw mistake(.badEscape)
                }
                position += 1
            }
        default: throw mistake(.badEscape)
        }
    }

    /// One character of two to four bytes; the ranges are table 3-7 of the Unicode standard.
    private mutating func scanMultibyte(_ lead: UInt8) throws(RawJSONError) {
        let second: ClosedRange<UInt8>
        let length: Int
        switch lead {
        case 0xc2...0xdf: (second, length) = (0x80...0xbf, 2)
        case 0xe0: (second, length) = (0xa0...0xbf, 3)
        case 0xed: (second, length) = (0x80...0x9f, 3)
        case 0xe1...0xef: (second, length) = (0x80...0xbf, 3)
        case 0xf0: (second, length) = (0x90...0xbf, 4)
        case 0xf1...0xf3: (second, length) = (0x80...0xbf, 4)
        case 0xf4: (second, length) = (0x80...0x8f, 4)
        default: throw mistake(.invalidUTF8)
        }
        guard position + length <= bytes.count, second.contains(bytes[position + 1]) else {
            throw mistake(.invalidUTF8)
        }
        for offset in 2..<max(2, length) where bytes[position + offset] & 0xc0 != 0x80 {
            throw mistake(.invalidUTF8)
        }
        position += length
    }
}

/// Steps through text that is known to be valid, value by value.
struct JSONWalker {
    private let bytes: UnsafeBufferPointer<UInt8>
    var position = 0

    init(_ bytes: UnsafeBufferPointer<UInt8>) { self.bytes = bytes }

    mutating func skipBlanks() {
        while position < bytes.count, JSONText.isBlank(bytes[position]) { position += 1 }
    }

    /// Moves behind a comma or an opening bracket to what follows; false at the closing bracket.
    mutating func toNextMember() -> Bool {
        skipBlanks()
        if position < bytes.count, bytes[position] == UInt8(ascii: ",") {
            position += 1
            skipBlanks()
        }
        guard position < bytes.count else { return false }
        return bytes[position] != UInt8(ascii: "]") && bytes[position] != UInt8(ascii: "}")
    }

    /// Moves behind the value that begins here.
    mutating func value() -> Range<Int> {
        let start = position
        var depth = 0
        while position < bytes.count {
            switch bytes[position] {
            case UInt8(ascii: "\""): position = JSONText.endOfString(bytes, from: position)
            case UInt8(ascii: "{"), UInt8(ascii: "["):
                depth += 1
                position += 1
            case UInt8(ascii: "}"), UInt8(ascii: "]"):
                if depth == 0 { return start..<position }
                depth -= 1
                position += 1
            case UInt8(ascii: ","), UInt8(ascii: ":"), UInt8(ascii: " "), UInt8(ascii: "\n"),
                UInt8(ascii: "\r"), UInt8(ascii: "\t"):
                if depth == 0 { return start..<position }
                position += 1
                continue
            default:
                // Of a scalar at the start its end is wanted, of those inside the bracket behind.
                position += 1
                if depth > 0 { position = JSONText.nextOfNesting(bytes, from: position) }
                continue
            }
            if depth == 0 { return start..<position }
        }
        return start..<position
    }
}

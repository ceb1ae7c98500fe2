/// Small facts about the characters of JSON.
enum JSONText {
    static func isBlank(_ byte: UInt8) -> Bool {
        byte <= 0x20 && (byte == 0x20 || byte == 0x0a || byte == 0x0d || byte == 0x09)
    }

    static func isDigit(_ byte: UInt8) -> Bool { byte &- UInt8(ascii: "0") < 10 }

    /// Calls `body` with the decimal digits of a number in ASCII, 20 at most.
    @inline(__always)
    static func forEachDigit(of number: UInt, _ body: (UInt8) -> Void) {
        if number < 10 { return body(UInt8(ascii: "0") + UInt8(truncatingIfNeeded: number)) }
        var digits = InlineArray<20, UInt8>(repeating: 0)
        var (first, rest) = (20, number)
        repeat {
            first -= 1
            digits[first] = UInt8(ascii: "0") + UInt8(truncatingIfNeeded: rest % 10)
            rest /= 10
        } while rest > 0
        for place in first..<20 { body(digits[place]) }
    }

    static func hexValue(_ byte: UInt8) -> UInt32? {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): UInt32(byte - UInt8(ascii: "0"))
        case UInt8(ascii: "a")...UInt8(ascii: "f"): UInt32(byte - UInt8(ascii: "a") + 10)
        case UInt8(ascii: "A")...UInt8(ascii: "F"): UInt32(byte - UInt8(ascii: "A") + 10)
        default: nil
        }
    }

    /// Where the first byte at or after `start` stands that does not stand for itself in a string: a
    /// quote, a backslash or a control character; the end when there is none.
    static func endOfPlain(_ bytes: UnsafeBufferPointer<UInt8>, from start: Int) -> Int {
        endOfPlain(bytes, from: start, stoppingAt: 0)
    }

    /// The same, also of a byte of a character that is not ASCII.
    static func endOfASCII(_ bytes: UnsafeBufferPointer<UInt8>, from start: Int) -> Int {
        endOfPlain(bytes, from: start, stoppingAt: 0x80)
    }

    /// Eight bytes at a time; the tests for a zero and for a small byte are those of "Bit Twiddling
    /// Hacks", of whose marks the lowest is always right.
    @inline(__always) private static func endOfPlain(
        _ bytes: UnsafeBufferPointer<UInt8>, from start: Int, stoppingAt bits: UInt8,
    ) -> Int {
        var place = start
        // Most texts are short: what is behind the first characters is looked at in larger steps.
        let short = min(start + 32, bytes.count)
        while place + 8 <= bytes.count {
            let word = word(bytes, at: place)
            let marks =
                below(word, 0x20) | below(word ^ eight(0x22), 1) | below(word ^ eight(0x5c), 1)
                | (word & eight(bits))
            if marks != 0 { return place + marks.trailingZeroBitCount / 8 }
            place += 8
            if place == short { place = afterPlainBlocks(bytes, from: place, stoppingAt: bits) }
        }
        while place < bytes.count {
            let byte = bytes[place]
            if byte < 0x20 || byte == 0x22 || byte == 0x5c || byte & bits != 0 { break }
            place += 1
        }
        return place
    }

    /// What follows on the blocks of 64 bytes in which `endOfPlain` would find nothing.
    @inline(__always) private static func afterPlainBlocks(
        _ bytes: UnsafeBufferPointer<UInt8>, from start: Int, stoppingAt bits: UInt8,
    ) -> Int {
        typealias Sixteen = SIMD16<UInt8>
        // Below a blank as signed numbers are also the bytes with the high bit, unless it is turned.
        let turn = bits ^ 0x80
        let bound = SIMD16<Int8>(repeating: Int8(bitPattern: 0x20 ^ turn))
        let text = UnsafeRawBufferPointer(bytes)
        var place = start
        while place + 64 <= bytes.count {
            var found = SIMDMask<SIMD16<Int8>>(repeating: false)
            for part in 0..<4 {
                let octets = text.loadUnaligned(fromByteOffset: place + 16 * part, as: Sixteen.self)
                let turned = octets ^ Sixteen(repeating: turn)
                found .|= SIMD16<Int8>(truncatingIfNeeded: turned) .< bound
                found .|= octets .== Sixteen(repeating: 0x22)
                found .|= octets .== Sixteen(repeating: 0x5c)
            }
            let halves = unsafeBitCast(found, to: SIMD2<UInt64>.self)
            if halves.x | halves.y != 0 { return place }
            place += 64
        }
        return place
    }

    /// Where the first byte at or after `start` stands that is no digit; the end when there is none.
    @inline(__always) static func endOfDigits(
        _ bytes: UnsafeBufferPointer<UInt8>, from start: Int,
    ) -> Int {
        var place = start
        while place + 8 <= bytes.count {
            // A digit becomes its value; no sum carries into the byte above.
            let values = word(bytes, at: place) ^ eight(0x30)
            let marks = (((values & eight(0x7f)) &+ eight(0x76)) | values) & eight(0x80)
            if marks != 0 { return place + marks.trailingZeroBitCount / 8 }
            place += 8
        }
        while place < bytes.count, isDigit(bytes[place]) { place += 1 }
        return place
    }

    /// Where the first byte at or after `start`, which is in no string of a valid text, stands that
    /// opens or closes a string, an array or an object; the end when there is none.
    static func nextOfNesting(_ bytes: UnsafeBufferPointer<UInt8>, from start: Int) -> Int {
        var place = start
        while place + 8 <= bytes.count {
            let word = word(bytes, at: place)
            // Brackets and braces differ in the bits of 0x26 alone; what else has the others, as
            // "Y" has, stands in strings only.
            let marks =
                below(word ^ eight(0x22), 1) | below((word | eight(0x26)) ^ eight(0x7f), 1)
            if marks != 0 { return place + marks.trailingZeroBitCount / 8 }
            place += 8
        }
        while place < bytes.count, bytes[place] != 0x22, bytes[place] | 0x26 != 0x7f { place += 1 }
        return place
    }

    @inline(__always) private static func word(
        _ bytes: UnsafeBufferPointer<UInt8>, at place: Int,
    ) -> UInt64 {
        UInt64(
            littleEndian: UnsafeRawBufferPointer(bytes)
                .loadUnaligned(fromByteOffset: place, as: UInt64.self))
    }

    /// The number of up to 15 digits, with a point or without; nil for any other.
    ///
    /// Both the digits and the power of ten are exact, so that their quotient is the nearest double
    /// (W. D. Clinger, "How to read floating point numbers accurately", 1990).
    static func shortDouble(_ bytes: ArraySlice<UInt8>) -> Double? {
        guard bytes.count <= 16 else { return nil }
        var digits = 0
        var (mantissa, scale) = (0.0, 1.0)
        var isFraction = false
        for byte in bytes {
            if byte == UInt8(ascii: "."), !isFraction {
                isFraction = true
                continue
            }
            guard isDigit(byte), digits < 15 else { return nil }
            digits += 1
            mantissa = mantissa * 10 + Double(byte - UInt8(ascii: "0"))
            if isFraction { scale *= 10 }
        }
        return mantissa / scale
    }

    /// A word of eight times the same byte.
    private static func eight(_ byte: UInt8) -> UInt64 { 0x0101_0101_0101_0101 &* UInt64(byte) }

    /// The high bit of each byte below `bound`, which is at most 128.
    private static func below(_ word: UInt64, _ bound: UInt8) -> UInt64 {
        (word &- eight(bound)) & ~word & eight(0x80)
    }

    /// Where the first blank at or after `start` stands that is in no string of a valid text; the
    /// end when there is none.
    static func nextBlank(_ bytes: UnsafeBufferPointer<UInt8>, from start: Int) -> Int {
        var place = start
        while place < bytes.count {
            place = nextBlankOrQuote(bytes, from: place)
            guard place < bytes.count, !isBlank(bytes[place]) else { return place }
            let isQuote = bytes[place] == UInt8(ascii: "\"")
            place = isQuote ? endOfString(bytes, from: place) : place + 1
        }
        return place
    }

    private static func nextBlankOrQuote(
        _ bytes: UnsafeBufferPointer<UInt8>, from start: Int,
    ) -> Int {
        var place = start
        while place + 8 <= bytes.count {
            let word = word(bytes, at: place)
            // What else lies below is in no valid text.
            let marks = below(word, 0x23)
            if marks != 0 { return place + marks.trailingZeroBitCount / 8 }
            place += 8
        }
        while place < bytes.count, bytes[place] > 0x22 { place += 1 }
        return place
    }

    /// What stands behind the valid string whose quote is at `start`.
    @inline(__always)
    static func endOfString(_ bytes: UnsafeBufferPointer<UInt8>, from start: Int) -> Int {
        var place = endOfPlain(bytes, from: start + 1)
        while place < bytes.count, bytes[place] != UInt8(ascii: "\"") {
            place += bytes[place] == UInt8(ascii: "\\") ? 2 : 1
            place = endOfPlain(bytes, from: place)
        }
        return min(place + 1, bytes.count)
    }

    /// A valid text without the blanks outside its strings.
    static func withoutBlanks(_ bytes: UnsafeBufferPointer<UInt8>) -> [UInt8] {
        var kept: [UInt8] = []
        kept.reserveCapacity(bytes.count)
        var place = 0
        while place < bytes.count {
            let end = nextBlank(bytes, from: place)
            kept.append(contentsOf: UnsafeBufferPointer(rebasing: bytes[place..<end]))
            place = end
            while place < bytes.count, isBlank(bytes[place]) { place += 1 }
        }
        return kept
    }

    /// The text of a valid string's inside.
    static func unescape(_ body: ArraySlice<UInt8>) -> String {
        var units: [UInt8] = []
        var rest = body
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "\\"), let kind = rest.popFirst() else {
                units.append(byte)
                continue
            }
            switch kind {
            case UInt8(ascii: "b"): units.append(8)
            case UInt8(ascii: "f"): units.append(12)
            case UInt8(ascii: "n"): units.append(10)
            case UInt8(ascii: "r"): units.append(13)
            case UInt8(ascii: "t"): units.append(9)
            case UInt8(ascii: "u"): units += scalar(&rest).utf8
            default: units.append(kind)
            }
        }
        return String(decoding: units, as: UTF8.self)
    }

    /// The character of one `\u` escape or of a surrogate pair of them.
    private static func scalar(_ rest: inout ArraySlice<UInt8>) -> String {
        let unit = hexUnit(&rest)
        guard (0xd800..<0xe000).contains(unit) else {
            return Unicode.Scalar(unit).map { String(Character($0)) } ?? "\u{fffd}"
        }
        guard unit < 0xdc00, rest.starts(with: [UInt8(ascii: "\\"), UInt8(ascii: "u")]) else {
            return "\u{fffd}"
        }
        var ahead = rest.dropFirst(2)
        let low = hexUnit(&ahead)
        guard (0xdc00..<0xe000).contains(low) else { return "\u{fffd}" }
        rest = ahead
        let value = 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00)
        return Unicode.Scalar(value).map { String(Character($0)) } ?? "\u{fffd}"
    }

    private static func hexUnit(_ rest: inout ArraySlice<UInt8>) -> UInt32 {
        var value: UInt32 = 0
        for _ in 0..<4 { value = value << 4 | (rest.popFirst().flatMap(hexValue) ?? 0) }
        return value
    }
}

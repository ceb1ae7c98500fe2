/// Appends JSON to a byte array; for the documents that the server itself writes.
///
/// Commas come by themselves. Calls out of order give malformed JSON: there is no check.
package struct JSONWriter {
    package private(set) var bytes: [UInt8] = []
    private var needsComma = false

    package init(capacity: Int = 256) { bytes.reserveCapacity(capacity) }

    private mutating func separate() {
        if needsComma { bytes.append(UInt8(ascii: ",")) }
        needsComma = true
    }

    /// Begins another document on a line of its own (NDJSON).
    package mutating func beginLine() {
        if !bytes.isEmpty { bytes.append(UInt8(ascii: "\n")) }
        needsComma = false
    }

    /// What has been written, with the end of its line.
    package consuming func line() -> [UInt8] {
        bytes.append(UInt8(ascii: "\n"))
        return bytes
    }

    package mutating func beginObject() {
        separate()
        bytes.append(UInt8(ascii: "{"))
        needsComma = false
    }

    package mutating func endObject() {
        bytes.append(UInt8(ascii: "}"))
        needsComma = true
    }

    package mutating func beginArray() {
        separate()
        bytes.append(UInt8(ascii: "["))
        needsComma = false
    }

    package mutating func endArray() {
        bytes.append(UInt8(ascii: "]"))
        needsComma = true
    }

    /// A name of the program's own, which needs no escapes.
    package mutating func key(_ name: StaticString) {
        bytes.append(addingCapacity: name.utf8CodeUnitCount + 4) { room in
            if needsComma { room.append(UInt8(ascii: ",")) }
            room.append(UInt8(ascii: "\""))
            name.withUTF8Buffer { room.append(copying: $0) }
            room.append(UInt8(ascii: "\""))
            room.append(UInt8(ascii: ":"))
        }
        needsComma = false
    }

    /// A name that is known when the program runs.
    package mutating func key(named name: String) {
        value(name)
        bytes.append(UInt8(ascii: ":"))
        needsComma = false
    }

    package mutating func value(_ text: String) {
        var text = text
        text.withUTF8 { units in
            let plain = JSONText.endOfPlain(units, from: 0)
            bytes.append(addingCapacity: units.count + 3) { room in
                if needsComma { room.append(UInt8(ascii: ",")) }
                room.append(UInt8(ascii: "\""))
                room.append(copying: UnsafeBufferPointer(rebasing: units[..<plain]))
            }
            if plain < units.count { appendEscaped(units, from: plain) }
        }
        bytes.append(UInt8(ascii: "\""))
        needsComma = true
    }

    /// A text of `length` octets that needs no escapes; `write` puts it into a buffer of that size.
    package mutating func value(
        plain length: Int, _ write: (UnsafeMutableBufferPointer<UInt8>) -> Void,
    ) {
        bytes.append(addingCapacity: length + 3) { room in
            if needsComma { room.append(UInt8(ascii: ",")) }
            room.append(UInt8(ascii: "\""))
            room.withUnsafeMutableBufferPointer { buffer, count in
                write(UnsafeMutableBufferPointer(rebasing: buffer[count..<count + length]))
                count += length
            }
            room.append(UInt8(ascii: "\""))
        }
        needsComma = true
    }

    /// What of a text begins with an octet that is to be escaped.
    private mutating func appendEscaped(_ units: UnsafeBufferPointer<UInt8>, from first: Int) {
        var end = first
        while end < units.count {
            escape(units[end])
            let start = end + 1
            end = JSONText.endOfPlain(units, from: start)
            bytes.append(contentsOf: UnsafeBufferPointer(rebasing: units[start..<end]))
        }
    }

    private mutating func escape(_ unit: UInt8) {
        switch unit {
        case 0x22, 0x5c: bytes += [0x5c, unit]
        case 0x0a: bytes += "\\n".utf8
        case 0x0d: bytes += "\\r".utf8
        case 0x09: bytes += "\\t".utf8
        case 0x00..<0x20: bytes += ("\\u00" + (unit < 16 ? "0" : "") + String(unit, radix: 16)).utf8
        default: bytes.append(unit)
        }
    }

    package mutating func value(_ number: Int) {
        separate()
        bytes.append(addingCapacity: 20) { room in
            if number < 0 { room.append(UInt8(ascii: "-")) }
            room.append(decimal: number.magnitude)
        }
    }

    /// Numbers that JSON cannot say become null.
    package mutating func value(_ number: Double) {
        append(number: number.isFinite ? number.description : "null")
    }

    package mutating func value(_ flag: Bool) { append(number: flag ? "true" : "false") }

    /// A number or word that is JSON as it stands.
    package mutating func append(number literal: String) {
        separate()
        bytes += literal.utf8
    }

    /// A value that is JSON already.
    package mutating func append(raw value: some Sequence<UInt8>) {
        separate()
        bytes.append(contentsOf: value)
    }

    package mutating func member(_ name: StaticString, _ text: String) {
        key(name)
        value(text)
    }

    package mutating func member(_ name: StaticString, _ number: Int) {
        key(name)
        value(number)
    }

    package mutating func member(_ name: StaticString, _ number: Double) {
        key(name)
        value(number)
    }

    package mutating func member(_ name: StaticString, _ flag: Bool) {
        key(name)
        value(flag)
    }

    package mutating func member(_ name: StaticString, _ json: RawJSON) {
        key(name)
        append(raw: json.bytes)
    }

    package mutating func member(_ name: StaticString, _ list: [String]) {
        key(name)
        beginArray()
        for text in list { value(text) }
        endArray()
    }
}

extension OutputSpan<UInt8> {
    /// Appends up to 20 digits, for which there must be room.
    mutating func append(decimal value: UInt) {
        var digits = InlineArray<20, UInt8>(repeating: 0)
        var (first, rest) = (20, value)
        repeat {
            first -= 1
            digits[first] = UInt8(ascii: "0") + UInt8(truncatingIfNeeded: rest % 10)
            rest /= 10
        } while rest > 0
        for place in first..<20 { append(digits[place]) }
    }

    /// Appends octets, for which there must be room.
    fileprivate mutating func append(copying octets: UnsafeBufferPointer<UInt8>) {
        withUnsafeMutableBufferPointer { room, count in
            let rest = UnsafeMutableBufferPointer(rebasing: room[count...])
            count += rest.initialize(fromContentsOf: octets)
        }
    }
}

/// The path to a value in a JSON document (RFC 6901).
package struct JSONPointer: Sendable, Equatable, CustomStringConvertible {
    package private(set) var description = ""

    package init() {}

    package func appending(_ name: String) -> JSONPointer {
        var longer = self
        longer.description += "/"
        for character in name.unicodeScalars {
            switch character {
            case "~": longer.description += "~0"
            case "/": longer.description += "~1"
            default: longer.description.unicodeScalars.append(character)
            }
        }
        return longer
    }

    package func appending(_ index: Int) -> JSONPointer { appending(String(index)) }
}

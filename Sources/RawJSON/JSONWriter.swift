/// Writes JSON; for the documents that the server itself makes.
///
/// Commas come by themselves. Calls out of order give malformed JSON: there is no check.
///
/// A document is many small writes. An array would ask at each of them whether it has but one owner.
package struct JSONWriter: ~Copyable {
    private var room: UnsafeMutableBufferPointer<UInt8>
    /// Octets of the room that are written.
    package private(set) var count = 0
    private var needsComma = false

    package init(capacity: Int = 256) { room = .allocate(capacity: capacity) }

    deinit { room.deallocate() }

    /// A copy of what has been written.
    package var bytes: [UInt8] { Array(UnsafeBufferPointer(rebasing: room[..<count])) }

    /// What has been written, with the end of its line.
    package consuming func line() -> [UInt8] {
        put("\n")
        return bytes
    }

    /// Begins another document on a line of its own (NDJSON).
    package mutating func beginLine() {
        if count > 0 { put("\n") }
        needsComma = false
    }

    // MARK: Containers

    package mutating func beginObject() { begin("{") }

    package mutating func endObject() { end("}") }

    package mutating func beginArray() { begin("[") }

    package mutating func endArray() { end("]") }

    private mutating func begin(_ bracket: Unicode.Scalar) {
        var end = separate(nil, beforeMore: 1)
        end.put(bracket)
        note(end)
        needsComma = false
    }

    private mutating func end(_ bracket: Unicode.Scalar) {
        put(bracket)
        needsComma = true
    }

    /// A name of the program's own, which needs no escapes.
    package mutating func key(_ name: StaticString) {
        note(separate(name, beforeMore: 0))
        needsComma = false
    }

    /// A name that is known when the program runs.
    package mutating func key(named name: String) {
        value(name)
        put(":")
        needsComma = false
    }

    // MARK: Values, with their names or without

    package mutating func member(_ name: StaticString, _ text: String) { write(name, text) }

    package mutating func value(_ text: String) { write(nil, text) }

    package mutating func member(_ name: StaticString, _ number: Int) { write(name, number) }

    package mutating func value(_ number: Int) { write(nil, number) }

    package mutating func member(_ name: StaticString, _ number: Double) {
        key(name)
        value(number)
    }

    /// Numbers that JSON cannot say become null.
    package mutating func value(_ number: Double) {
        append(number: number.isFinite ? number.description : "null")
    }

    package mutating func member(_ name: StaticString, _ flag: Bool) {
        key(name)
        value(flag)
    }

    package mutating func value(_ flag: Bool) { append(number: flag ? "true" : "false") }

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

    /// A text of `length` octets that needs no escapes; `write` puts it into a buffer of that size.
    package mutating func member(
        _ name: StaticString, plain length: Int,
        _ write: (UnsafeMutableBufferPointer<UInt8>) -> Void,
    ) {
        var end = separate(name, beforeMore: length + 2)
        end.put("\"")
        write(UnsafeMutableBufferPointer(start: end.place, count: length))
        end.place += length
        end.put("\"")
        note(end)
    }

    /// A number or word that is JSON as it stands.
    package mutating func append(number literal: String) { append(raw: literal.utf8) }

    /// A value that is JSON already.
    package mutating func append(raw value: some Sequence<UInt8>) {
        note(separate(nil, beforeMore: 0))
        if value.withContiguousStorageIfAvailable({ put($0) }) == nil {
            for octet in value { put(Unicode.Scalar(octet)) }
        }
    }

    // MARK: Octets

    private mutating func write(_ name: StaticString?, _ text: String) {
        var text = text
        text.withUTF8 { units in
            var end = separate(name, beforeMore: units.count + 2)
            end.put("\"")
            let plain = JSONText.endOfPlain(units, from: 0)
            end.put(units.baseAddress, count: plain)
            if plain == units.count {
                end.put("\"")
                note(end)
            } else {
                note(end)
                writeEscaped(units, from: plain)
                put("\"")
            }
        }
    }

    /// What of a text begins with an octet that is to be escaped.
    private mutating func writeEscaped(_ units: UnsafeBufferPointer<UInt8>, from first: Int) {
        var place = first
        while place < units.count {
            escape(units[place])
            let start = place + 1
            place = JSONText.endOfPlain(units, from: start)
            put(UnsafeBufferPointer(rebasing: units[start..<place]))
        }
    }

    private mutating func escape(_ unit: UInt8) {
        put("\\")
        switch unit {
        case 0x22, 0x5c: put(Unicode.Scalar(unit))
        case 0x0a: put("n")
        case 0x0d: put("r")
        case 0x09: put("t")
        default:
            let digits: StaticString = "0123456789abcdef"
            for digit in "u00".unicodeScalars { put(digit) }
            put(Unicode.Scalar(digits.utf8Start[Int(unit >> 4)]))
            put(Unicode.Scalar(digits.utf8Start[Int(unit & 0xf)]))
        }
    }

    private mutating func write(_ name: StaticString?, _ number: Int) {
        var end = separate(name, beforeMore: 20)
        if number < 0 { end.put("-") }
        JSONText.forEachDigit(of: number.magnitude) { end.put(Unicode.Scalar($0)) }
        note(end)
    }

    /// Puts what stands before a value, a comma and the name if it has one, where there is room for
    /// `more`; that is to be put at the place returned, and to be noted then.
    @inline(__always)
    private mutating func separate(_ name: StaticString?, beforeMore more: Int) -> RoomPlace {
        var end = reserve((name?.utf8CodeUnitCount ?? 0) + more + 4)
        if needsComma { end.put(",") }
        needsComma = true
        guard let name else { return end }
        end.put("\"")
        end.put(name.utf8Start, count: name.utf8CodeUnitCount)
        end.put("\"")
        end.put(":")
        return end
    }

    private mutating func put(_ character: Unicode.Scalar) {
        var end = reserve(1)
        end.put(character)
        note(end)
    }

    private mutating func put(_ octets: UnsafeBufferPointer<UInt8>) {
        var end = reserve(octets.count)
        end.put(octets.baseAddress, count: octets.count)
        note(end)
    }

    /// Makes room for `more` octets behind what has been written.
    @inline(__always) private mutating func reserve(_ more: Int) -> RoomPlace {
        if room.count - count < more { makeRoom(more) }
        return RoomPlace(place: room.baseAddress.unsafelyUnwrapped + count)
    }

    /// Takes note of what has been put into the room.
    @inline(__always) private mutating func note(_ end: RoomPlace) {
        count = end.place - room.baseAddress.unsafelyUnwrapped
    }

    @inline(never) private mutating func makeRoom(_ more: Int) {
        let larger = UnsafeMutableBufferPointer<UInt8>.allocate(
            capacity: max(2 * room.count, count + more))
        _ = larger.update(fromContentsOf: room[..<count])
        room.deallocate()
        room = larger
    }
}

/// Where octets are put into room that has been made for them.
private struct RoomPlace {
    var place: UnsafeMutablePointer<UInt8>

    @inline(__always) mutating func put(_ character: Unicode.Scalar) {
        place.pointee = UInt8(truncatingIfNeeded: character.value)
        place += 1
    }

    @inline(__always) mutating func put(_ octets: UnsafePointer<UInt8>?, count: Int) {
        guard let octets else { return }
        place.initialize(from: octets, count: count)
        place += count
    }
}

/// The path to a value in a JSON document (RFC 6901).
package struct JSONPointer: Sendable, Equatable, CustomStringConvertible {
    package private(set) var description = ""

    package init() {}

    package func appending(_ name: String) -> JSONPointer {
        var longer = self
        longer.description += "/"
        guard name.utf8.contains(where: { $0 == UInt8(ascii: "~") || $0 == UInt8(ascii: "/") })
        else {
            longer.description += name
            return longer
        }
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

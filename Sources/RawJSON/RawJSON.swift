/// A valid JSON text or a part of one, as the bytes that were sent.
///
/// Values are slices of the client's own bytes and are never encoded again, so that
/// `12345678901234567890` and `1e400` leave as they came.
package struct RawJSON: Sendable, Hashable {
    /// Without surrounding white space.
    package let bytes: ArraySlice<UInt8>

    package enum Kind: Sendable {
        case object, array, string, number, bool, null
    }

    /// Checks a JSON text (RFC 8259) and takes it.
    ///
    /// - Throws: `RawJSONError` with the offset of the first mistake.
    package init(
        validating bytes: ArraySlice<UInt8>, depth: Int = 64,
    ) throws(RawJSONError) {
        let (range, error) = bytes.withUnsafeBufferPointer {
            buffer -> (Range<Int>, RawJSONError?) in
            var scanner = JSONScanner(buffer, depthLimit: depth)
            do throws(RawJSONError) {
                return (try scanner.scanDocument(), nil)
            } catch {
                return (0..<0, error)
            }
        }
        if let error { throw error }
        let start = bytes.startIndex
        self.bytes = bytes[(start + range.lowerBound)..<(start + range.upperBound)]
    }

    /// Checks a JSON text (RFC 8259) and takes it.
    package init(validating bytes: [UInt8], depth: Int = 64) throws(RawJSONError) {
        try self.init(validating: bytes[...], depth: depth)
    }

    /// Takes bytes that are known to be one JSON value without white space around it.
    package init(trusted bytes: ArraySlice<UInt8>) { self.bytes = bytes }

    package init(literal: StaticString) {
        bytes = literal.withUTF8Buffer { ArraySlice(Array($0)) }
    }

    /// A whole number, without a text of its own.
    package init(_ number: UInt) {
        bytes =
            [UInt8](capacity: 20) { output in
                JSONText.forEachDigit(of: number) { output.append($0) }
            }[...]
    }

    package static let null = RawJSON(literal: "null")
    package static let emptyArray = RawJSON(literal: "[]")
    package static let emptyObject = RawJSON(literal: "{}")

    package var kind: Kind {
        switch bytes.first {
        case UInt8(ascii: "{"): .object
        case UInt8(ascii: "["): .array
        case UInt8(ascii: "\""): .string
        case UInt8(ascii: "t"), UInt8(ascii: "f"): .bool
        case UInt8(ascii: "n"), nil: .null
        default: .number
        }
    }

    // MARK: Scalars

    /// The text of a string; lone surrogates become U+FFFD; nil for other kinds.
    package var string: String? {
        guard case .string = kind else { return nil }
        let body = bytes[bytes.startIndex + 1..<bytes.endIndex - 1]
        return body.withUnsafeBufferPointer { units in
            units.contains(UInt8(ascii: "\\"))
                ? JSONText.unescape(body) : String(decoding: units, as: UTF8.self)
        }
    }

    /// The value of a number written as an integer that fits; nil for `1.0` and `1e2` too.
    package var int: Int? {
        guard kind == .number else { return nil }
        let isNegative = bytes.first == UInt8(ascii: "-")
        var value = 0
        for byte in isNegative ? bytes.dropFirst() : bytes {
            guard JSONText.isDigit(byte) else { return nil }
            let (product, overflow) = value.multipliedReportingOverflow(by: 10)
            let digit = Int(byte - UInt8(ascii: "0"))
            let (sum, carries) = product.addingReportingOverflow(isNegative ? -digit : digit)
            if overflow || carries { return nil }
            value = sum
        }
        return value
    }

    /// The nearest double; infinite for numbers past its range.
    package var double: Double? {
        guard kind == .number else { return nil }
        return JSONText.shortDouble(bytes) ?? Double(String(decoding: bytes, as: UTF8.self))
    }

    package var bool: Bool? {
        guard kind == .bool else { return nil }
        return bytes.first == UInt8(ascii: "t")
    }

    // MARK: Containers

    /// Where the elements of an array lie in `bytes`, as indices of that slice.
    ///
    /// Empty if this is no array.
    package func elementRanges() -> [Range<Int>] {
        guard kind == .array else { return [] }
        let start = bytes.startIndex
        return bytes.withUnsafeBufferPointer { buffer in
            var found: [Range<Int>] = []
            var walker = JSONWalker(buffer)
            walker.position = 1
            while walker.toNextMember() {
                let value = walker.value()
                found.append(value.lowerBound + start..<value.upperBound + start)
            }
            return found
        }
    }

    /// How many elements an array has; 0 if this is none.
    package var elementCount: Int {
        guard kind == .array else { return 0 }
        return bytes.withUnsafeBufferPointer { buffer in
            var walker = JSONWalker(buffer)
            walker.position = 1
            var count = 0
            while walker.toNextMember() {
                _ = walker.value()
                count += 1
            }
            return count
        }
    }

    /// Runs of an array's elements of up to `limit` bytes, commas included, or of a single longer
    /// one: where each lies in `bytes`, as indices of that slice, and how many elements it has.
    ///
    /// Empty if this is no array.
    package func elementRuns(bytes limit: Int) -> [(range: Range<Int>, count: Int)] {
        guard kind == .array else { return [] }
        let start = bytes.startIndex
        return bytes.withUnsafeBufferPointer { buffer in
            var runs: [(range: Range<Int>, count: Int)] = []
            var walker = JSONWalker(buffer)
            walker.position = 1
            while walker.toNextMember() {
                let value = walker.value()
                let place = value.lowerBound + start..<value.upperBound + start
                if let last = runs.last, place.upperBound - last.range.lowerBound <= limit {
                    runs[runs.count - 1] = (
                        last.range.lowerBound..<place.upperBound, last.count + 1
                    )
                } else {
                    runs.append((place, 1))
                }
            }
            return runs
        }
    }

    /// The elements of an array; empty if this is none.
    package func elements() -> [RawJSON] {
        elementRanges().map { RawJSON(trusted: bytes[$0]) }
    }

    /// The elements of an array in order, one after the other; none if this is no array.
    package var rawElements: RawElements { RawElements(of: self) }

    /// The members of an object in order, names unescaped; empty if this is none.
    package func members() -> [(name: String, value: RawJSON)] {
        rawMembers.map { ($0.string ?? "", $1) }
    }

    /// The members of an object in order, one after the other, each name a string as it was sent;
    /// none if this is no object.
    package var rawMembers: RawMembers { RawMembers(of: self) }

    /// The first member of that name.
    package func member(_ name: String) -> RawJSON? {
        members().first { $0.name == name }?.value
    }

    /// A name that this object, not those inside it, has twice.
    package func firstDuplicateMember() -> String? {
        var seen = Set<String>()
        return members().first { !seen.insert($0.name).inserted }?.name
    }

    /// The same value with no white space outside strings.
    package func compacted() -> RawJSON {
        bytes.withUnsafeBufferPointer { buffer in
            guard JSONText.nextBlank(buffer, from: 0) < buffer.count else { return self }
            return RawJSON(trusted: JSONText.withoutBlanks(buffer)[...])
        }
    }
}

/// Goes through the elements of an array.
package struct RawElements: Sequence, IteratorProtocol {
    private let bytes: ArraySlice<UInt8>
    /// Where the walk has come to, from the start of `bytes`.
    private var position = 1

    fileprivate init(of array: RawJSON) {
        bytes = array.kind == .array ? array.bytes : []
    }

    package mutating func next() -> RawJSON? {
        let found = bytes.withUnsafeBufferPointer { buffer -> Range<Int>? in
            var walker = JSONWalker(buffer)
            walker.position = position
            return walker.toNextMember() ? walker.value() : nil
        }
        guard let found else { return nil }
        position = found.upperBound
        let start = bytes.startIndex
        return RawJSON(trusted: bytes[found.lowerBound + start..<found.upperBound + start])
    }
}

/// Goes through the members of an object.
package struct RawMembers: Sequence, IteratorProtocol {
    private let bytes: ArraySlice<UInt8>
    /// Where the walk has come to, from the start of `bytes`.
    private var position = 1

    fileprivate init(of object: RawJSON) {
        bytes = object.kind == .object ? object.bytes : []
    }

    package mutating func next() -> (name: RawJSON, value: RawJSON)? {
        let found = bytes.withUnsafeBufferPointer { buffer -> (Range<Int>, Range<Int>)? in
            var walker = JSONWalker(buffer)
            walker.position = position
            guard walker.toNextMember() else { return nil }
            let name = walker.value()
            walker.skipBlanks()
            walker.position += 1
            walker.skipBlanks()
            return (name, walker.value())
        }
        guard let (name, value) = found else { return nil }
        position = value.upperBound
        return (part(name), part(value))
    }

    private func part(_ range: Range<Int>) -> RawJSON {
        let start = bytes.startIndex
        return RawJSON(trusted: bytes[range.lowerBound + start..<range.upperBound + start])
    }
}

/// What is wrong with a text that should be JSON, and where.
package struct RawJSONError: Error, Equatable, CustomStringConvertible {
    package enum Reason: String, Sendable {
        case unexpectedEnd = "the text ends too early"
        case unexpectedByte = "unexpected character"
        case badNumber = "malformed number"
        case badEscape = "malformed escape in a string"
        case controlCharacter = "control character in a string; write it as an escape"
        case invalidUTF8 = "bytes that are not UTF-8"
        case tooDeep = "arrays and objects nested too deeply"
        case trailingBytes = "something follows the value"
    }

    /// In bytes from the start of the text.
    package let offset: Int
    package let reason: Reason

    package init(offset: Int, reason: Reason) {
        self.offset = offset
        self.reason = reason
    }

    package var description: String { "\(reason.rawValue) at byte \(offset)" }
}

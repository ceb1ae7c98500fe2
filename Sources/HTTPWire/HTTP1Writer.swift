/// Writes response heads and chunks of HTTP/1.1 (RFC 9112, sections 4 to 7) to the end of a buffer.
package struct HTTP1Writer: ~Copyable {
    /// What has been written.
    package var bytes = OctetBuffer()

    package init() {}

    /// The status line.
    package mutating func beginHead(_ status: Int) {
        guard status != 200 else { return append("HTTP/1.1 200 OK\r\n") }
        append("HTTP/1.1 ")
        append(decimal: status)
        append(" ")
        append(HTTPStatus.phrase(status))
        append("\r\n")
    }

    /// A field whose name and value the program itself has written.
    package mutating func ownField(_ nameAndColon: StaticString, _ value: StaticString) {
        append(nameAndColon)
        append(value)
        append("\r\n")
    }

    package mutating func ownField(_ nameAndColon: StaticString, text value: String) {
        append(nameAndColon)
        bytes.append(value)
        append("\r\n")
    }

    package mutating func ownField(_ nameAndColon: StaticString, decimal value: Int) {
        append(nameAndColon)
        append(decimal: value)
        append("\r\n")
    }

    /// A field of a handler's.
    ///
    /// One that is not to be a handler's is left out; what may not stand in a value, CR and LF before all,
    /// becomes a blank (RFC 9110, section 5.5): no answer can be split in two.
    package mutating func field(_ name: String, _ value: String) {
        var value = value
        guard ResponseFields.areOfHandlers(name) else { return }
        bytes.append(name)
        append(": ")
        value.withUTF8 { octets in
            if octets.span.endOfContent(from: 0) == octets.count { return bytes.append(octets) }
            for octet in octets { bytes.append(octet.isFieldContent ? octet : 0x20) }
        }
        append("\r\n")
    }

    package mutating func endHead() { append("\r\n") }

    /// One chunk (section 7.1); none when there is no data, which would end the body.
    package mutating func chunk(_ data: [UInt8]) {
        guard !data.isEmpty else { return }
        bytes.append(String(data.count, radix: 16))
        append("\r\n")
        bytes.append(data)
        append("\r\n")
    }

    package mutating func lastChunk() { append("0\r\n\r\n") }

    @inline(__always) package mutating func append(_ text: StaticString) { bytes.append(text) }

    /// A number that is not negative; the last digit is found first.
    private mutating func append(decimal value: Int) {
        var digits = InlineArray<20, UInt8>(repeating: 0)
        var (first, rest) = (20, UInt(value))
        repeat {
            first -= 1
            digits[first] = 0x30 + UInt8(truncatingIfNeeded: rest % 10)
            rest /= 10
        } while rest > 0
        digits.span.extracting(first...).withUnsafeBufferPointer { bytes.append($0) }
    }
}

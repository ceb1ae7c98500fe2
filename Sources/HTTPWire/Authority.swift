/// The host and port of a URI (RFC 3986, section 3.2), without user information.
enum Authority {
    /// Whether `text` is `uri-host [":" port]` with a host that is not empty (RFC 9110, section 4.2.1
    /// refuses empty ones).
    static func isValid(_ text: Span<UInt8>) -> Bool {
        guard let host = endOfHost(text) else { return false }
        if host == text.count { return true }
        guard text[host] == UInt8(ascii: ":"), text.count - host <= 6 else { return false }
        var port = 0
        for index in host + 1..<text.count {
            guard text[index].isDigit else { return false }
            port = port * 10 + Int(text[index] - 0x30)
        }
        return port <= 65535
    }

    /// Where the host stands in a valid authority: without the port, and without the dot that may end
    /// a name (RFC 1034, section 3.1).
    static func host(of text: Span<UInt8>) -> Range<Int> {
        let end = endOfHost(text) ?? text.count
        return 0..<(end > 1 && text[end - 1] == UInt8(ascii: ".") ? end - 1 : end)
    }

    private static func endOfHost(_ text: Span<UInt8>) -> Int? {
        guard text.count > 0 else { return nil }
        var index = 0
        if text[0] == UInt8(ascii: "[") {
            // An IP literal: hexadecimal digits, colons and dots are all that IPv6 needs.
            index = 1
            while index < text.count, text[index] != UInt8(ascii: "]") {
                guard
                    text[index].hexValue != nil || text[index] == UInt8(ascii: ":")
                        || text[index] == UInt8(ascii: ".")
                else { return nil }
                index += 1
            }
            return index > 2 && index < text.count ? index + 1 : nil
        }
        while index < text.count, text[index] != UInt8(ascii: ":") {
            if text[index] == UInt8(ascii: "%") {
                guard index + 2 < text.count, text[index + 1].hexValue != nil,
                    text[index + 2].hexValue != nil
                else { return nil }
                index += 2
            } else if !isRegisteredName(text[index]) {
                return nil
            }
            index += 1
        }
        return index > 0 ? index : nil
    }

    /// Unreserved characters and sub-delimiters (RFC 3986, section 3.2.2).
    private static func isRegisteredName(_ byte: UInt8) -> Bool {
        switch byte {
        case 0x30...0x39, 0x41...0x5a, 0x61...0x7a: true
        case 0x2d, 0x2e, 0x5f, 0x7e, 0x21, 0x24, 0x26...0x2c, 0x3b, 0x3d: true
        default: false
        }
    }
}

/// What may follow the size of a chunk (RFC 9112, section 7.1.1); nobody here wants any of it.
///
///     *( BWS ";" BWS name [ BWS "=" BWS ( token / quoted-string ) ] )
enum ChunkExtensions {
    /// Whether `text`, the rest of a chunk's line, is a list of extensions, or empty.
    static func areValid(_ text: Span<UInt8>) -> Bool {
        var place = 0
        while place < text.count {
            guard skipOne(text, &place) else { return false }
        }
        return true
    }

    private static func skipOne(_ text: Span<UInt8>, _ place: inout Int) -> Bool {
        skipBlanks(text, &place)
        guard skip(";", text, &place) else { return false }
        skipBlanks(text, &place)
        guard skipToken(text, &place) else { return false }
        let end = place
        skipBlanks(text, &place)
        guard skip("=", text, &place) else {
            // The blanks belong to the next one.
            place = end
            return true
        }
        skipBlanks(text, &place)
        return skip("\"", text, &place) ? skipQuoted(text, &place) : skipToken(text, &place)
    }

    private static func skip(
        _ octet: Unicode.Scalar, _ text: Span<UInt8>, _ place: inout Int,
    ) -> Bool {
        guard place < text.count, text[place] == UInt8(ascii: octet) else { return false }
        place += 1
        return true
    }

    private static func skipBlanks(_ text: Span<UInt8>, _ place: inout Int) {
        while place < text.count, text[place].isBlank { place += 1 }
    }

    private static func skipToken(_ text: Span<UInt8>, _ place: inout Int) -> Bool {
        let start = place
        while place < text.count, text[place].isToken { place += 1 }
        return place > start
    }

    /// What follows the first quote, and the second.
    private static func skipQuoted(_ text: Span<UInt8>, _ place: inout Int) -> Bool {
        while place < text.count {
            if skip("\"", text, &place) { return true }
            // RFC 9110, section 5.6.4: what is escaped is no control character either.
            _ = skip("\\", text, &place)
            guard place < text.count, text[place].isFieldContent else { return false }
            place += 1
        }
        return false
    }
}

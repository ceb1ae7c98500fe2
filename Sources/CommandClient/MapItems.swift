import RawJSON

/// Makes items of the lines, or of the array, that a map is given.
struct MapItems: Sendable {
    /// Whether a line is a string, not JSON.
    let areStrings: Bool

    /// The items as lines of JSON, each with its end.
    func ndjson(_ lines: [InputLines.Line]) throws(ClientFailure) -> [UInt8] {
        var writer = JSONWriter(capacity: lines.reduce(64) { $0 + $1.bytes.count + 3 })
        for line in lines where areStrings || !line.isBlank {
            writer.beginLine()
            try append(line, to: &writer)
        }
        return writer.count == 0 ? [] : writer.line()
    }

    /// The items of an input that is known whole: one array, if it may be, or lines.
    func array(of bytes: [UInt8], areLines: Bool) throws(ClientFailure) -> RawJSON {
        if !areStrings, !areLines, let whole = try? RawJSON(validating: bytes), whole.kind == .array
        {
            return whole
        }
        var writer = JSONWriter(capacity: bytes.count + 64)
        writer.beginArray()
        for line in InputLines.split(bytes[...]) where areStrings || !line.isBlank {
            try append(line, to: &writer)
        }
        writer.endArray()
        return RawJSON(trusted: writer.bytes[...])
    }

    private func append(
        _ line: InputLines.Line, to writer: inout JSONWriter,
    ) throws(ClientFailure) {
        guard !areStrings else {
            // Mended, it would be another name or word than the one that was given.
            guard let text = String(validating: line.bytes, as: UTF8.self) else {
                throw ClientFailure(.refused, "line \(line.number) is not UTF-8")
            }
            return writer.value(text)
        }
        do throws(RawJSONError) {
            writer.append(raw: try RawJSON(validating: line.bytes).bytes)
        } catch {
            throw ClientFailure(
                .refused,
                "line \(line.number) is not JSON: \(error); --lines takes lines as strings")
        }
    }
}

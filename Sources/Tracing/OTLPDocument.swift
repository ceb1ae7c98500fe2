import RawJSON

/// Spans as a request of OpenTelemetry's protocol, in its JSON encoding (OTLP 1.x: ids are
/// hexadecimal, numbers of 64 bits are strings, enumerations are numbers).
enum OTLPDocument {
    static func bytes(_ spans: some Sequence<Span>, service: String) -> [UInt8] {
        var writer = JSONWriter(capacity: 4096)
        writer.beginObject()
        list("resourceSpans", &writer) { writer in
            writer.beginObject()
            writer.key("resource")
            writer.beginObject()
            attributes([("service.name", .text(service))], &writer)
            writer.endObject()
            list("scopeSpans", &writer) { writer in
                writer.beginObject()
                writer.key("scope")
                writer.beginObject()
                writer.member("name", "martlet")
                writer.endObject()
                list("spans", &writer) { writer in
                    for span in spans { write(span, &writer) }
                }
                writer.endObject()
            }
            writer.endObject()
        }
        writer.endObject()
        return writer.bytes
    }

    private static func list(
        _ name: StaticString, _ writer: inout JSONWriter, _ body: (inout JSONWriter) -> Void,
    ) {
        writer.key(name)
        writer.beginArray()
        body(&writer)
        writer.endArray()
    }

    private static func write(_ span: Span, _ writer: inout JSONWriter) {
        writer.beginObject()
        writer.member("traceId", span.context.traceText)
        writer.member("spanId", span.context.span.description)
        if let parent = span.parent { writer.member("parentSpanId", parent.description) }
        writer.member("name", span.name)
        writer.member("kind", span.kind.rawValue)
        writer.member("startTimeUnixNano", String(span.start))
        writer.member("endTimeUnixNano", String(span.end))
        attributes(span.attributes, &writer)
        if let error = span.error {
            writer.key("status")
            writer.beginObject()
            writer.member("code", 2)
            writer.member("message", error)
            writer.endObject()
        }
        writer.endObject()
    }

    private static func attributes(
        _ attributes: [(name: String, value: Span.Value)], _ writer: inout JSONWriter,
    ) {
        list("attributes", &writer) { writer in
            for (name, value) in attributes {
                writer.beginObject()
                writer.member("key", name)
                writer.key("value")
                writer.beginObject()
                switch value {
                case .text(let text): writer.member("stringValue", text)
                case .number(let number): writer.member("intValue", String(number))
                }
                writer.endObject()
                writer.endObject()
            }
        }
    }
}

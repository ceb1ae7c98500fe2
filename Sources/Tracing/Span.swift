/// Something that took its time, as part of a trace.
package struct Span: Sendable {
    /// Numbers as in OpenTelemetry's protocol.
    package enum Kind: Int, Sendable {
        case `internal` = 1
        case server = 2
        case consumer = 5
    }

    package enum Value: Sendable {
        case text(String)
        case number(Int)
    }

    package var name: String
    package var kind: Kind
    /// Its trace and its own id.
    package var context: TraceContext
    /// nil when it began the trace.
    package var parent: SpanID?
    /// Nanoseconds since 1970.
    package var start: Int64
    /// Nanoseconds since 1970.
    package var end: Int64
    package var attributes: [(name: String, value: Value)] = []
    /// Why it is an error; nil when it is none.
    package var error: String?

    package init(
        _ name: String, _ kind: Kind, _ context: TraceContext, parent: SpanID?, start: Int64,
        end: Int64,
    ) {
        self.name = name
        self.kind = kind
        self.context = context
        self.parent = parent
        self.start = start
        self.end = end
    }
}

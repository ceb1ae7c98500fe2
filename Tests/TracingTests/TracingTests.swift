import RawJSON
import Testing

@testable import Tracing

@Suite struct TracingTests {
    @Test(arguments: [
        ("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", true),
        ("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00", true),
        ("01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", true),
        ("00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01", false),
        ("00-00000000000000000000000000000000-00f067aa0ba902b7-01", false),
        ("00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01", false),
        ("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-", false),
        ("0-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", false),
        ("00-+bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", false),
        ("ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", false), ("00-1-2-3", false),
        ("", false),
    ])
    func `a trace is taken only as it should be`(text: String, isValid: Bool) {
        let context = TraceContext(text)
        #expect((context != nil) == isValid)
        if let context { #expect(context.text.dropFirst(2) == text.dropFirst(2)) }
    }

    @Test func `of a later version what is known goes on`() {
        let known = "4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
        #expect(TraceContext("01-\(known)-more")?.text == "00-\(known)")
    }

    @Test func `a span below another keeps its trace and its flag`() throws {
        let tracer = Tracer(ratio: 0)
        for flags in ["00", "01"] {
            let parent = try #require(
                TraceContext("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-\(flags)"))
            let child = tracer.begin(below: parent)
            #expect(child.traceText == parent.traceText)
            #expect(child.span != parent.span)
            #expect(child.isSampled == (flags == "01"))
        }
    }

    @Test(arguments: [0.0, 0.25, 1.0])
    func `the ratio is the share of traces that are kept`(ratio: Double) {
        let tracer = Tracer(ratio: ratio)
        let kept = (0..<4000).count { _ in tracer.begin(below: nil).isSampled }
        #expect(abs(Double(kept) / 4000 - ratio) < 0.05)
    }

    @Test func `what is not sampled is not kept and what does not fit is counted`() throws {
        let tracer = Tracer(ratio: 1)
        var span = Span("a", .server, tracer.begin(below: nil), parent: nil, start: 1, end: 2)
        for _ in 0..<Tracer.limit + 3 { tracer.record(span) }
        span.context.isSampled = false
        tracer.record(span)
        #expect(tracer.statistics == TracerStatistics(exported: 0, dropped: 3))
        #expect(tracer.take(atMost: 10).count == 10)
        #expect(tracer.take(atMost: .max).count == Tracer.limit - 10)
    }

    @Test func `the same job and attempt have the same span`() {
        #expect(SpanID(of: 7, 1) == SpanID(of: 7, 1))
        let ids = Set((0..<100).flatMap { job in (0..<100).map { SpanID(of: job, $0) } })
        #expect(ids.count == 10_000)
    }

    @Test func `a span is written as the protocol says`() throws {
        let context = try #require(
            TraceContext("00-0bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"))
        var span = Span("job a", .consumer, context, parent: SpanID(15), start: 1, end: 1 << 60)
        span.attributes = [("text", .text("\"")), ("number", .number(5))]
        span.error = "ValueError: no"
        let text = String(decoding: OTLPDocument.bytes([span], service: "m"), as: UTF8.self)
        #expect(
            text == #"""
                {"resourceSpans":[{"resource":{"attributes":[{"key":"service.name",\#
                "value":{"stringValue":"m"}}]},"scopeSpans":[{"scope":{"name":"martlet"},\#
                "spans":[{"traceId":"0bf92f3577b34da6a3ce929d0e0e4736",\#
                "spanId":"00f067aa0ba902b7","parentSpanId":"000000000000000f","name":"job a",\#
                "kind":5,"startTimeUnixNano":"1","endTimeUnixNano":"1152921504606846976",\#
                "attributes":[{"key":"text","value":{"stringValue":"\""}},\#
                {"key":"number","value":{"intValue":"5"}}],\#
                "status":{"code":2,"message":"ValueError: no"}}]}]}]}
                """#)
    }
}

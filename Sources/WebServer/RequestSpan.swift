import Glibc
import HTTPWire
import Sockets
import Tracing

/// A request as OpenTelemetry's conventions for HTTP servers have it.
extension Span {
    /// - Parameters:
    ///   - request: that has been answered.
    ///   - route: its pattern; nil when there is none.
    ///   - status: of the answer.
    ///   - took: nanoseconds from the request's head to the end of the answer.
    init?(_ request: HTTPRequest, route: String?, status: Int, took: Int64) {
        guard let context = request.trace, context.isSampled else { return nil }
        var now = timespec()
        clock_gettime(CLOCK_REALTIME, &now)
        let end = Int64(now.tv_sec) * 1_000_000_000 + Int64(now.tv_nsec)
        let method = request.head.methodText
        self.init(
            route.map { "\(method) \($0)" } ?? method, .server, context,
            parent: request.head.field("traceparent").flatMap(TraceContext.init)?.span,
            start: end - took, end: end)
        attributes = [
            ("http.request.method", .text(method)),
            ("http.response.status_code", .number(status)),
            ("url.path", .text(request.head.path)),
            ("client.address", .text(request.clientAddress.description)),
        ]
        if let route { attributes.append(("http.route", .text(route))) }
        if status >= 500 { error = "status \(status)" }
    }
}

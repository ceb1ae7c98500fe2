import HTTPWire
import Tracing

/// Where spans go and which requests begin traces.
struct TracingSettings {
    /// URL of a collector; nil for no spans.
    var endpoint: String?
    /// `NAME=VALUE` pairs with commas between, as OTEL_EXPORTER_OTLP_HEADERS has them.
    var headers: String?
    var serviceName = "martlet"
    /// Share of the requests without a traceparent that begin a trace.
    var ratio = 1.0

    /// Where spans are posted to; nil when there are none.
    var target: SpanExporter.Target? {
        endpoint.map { endpoint in
            let slash = endpoint.hasSuffix("/") ? "" : "/"
            return SpanExporter.Target(
                url: endpoint + slash + "v1/traces", headers: pairs.compactMap(\.self),
                service: serviceName)
        }
    }

    /// Values are percent-encoded (OpenTelemetry, "Specifying headers"); nil for what is no pair.
    private var pairs: [(name: String, value: String)?] {
        (headers ?? "").split(separator: ",").map { pair in
            let parts = pair.split(separator: "=", maxSplits: 1)
            guard parts.count == 2, let value = PercentEncoding.decode(String(parts[1])) else {
                return nil
            }
            return (parts[0].filter { $0 != " " }, value)
        }
    }

    /// Sentences for a person; empty when all is well.
    var problems: [String] {
        var found: [String] = []
        if let endpoint, !endpoint.hasPrefix("http://"), !endpoint.hasPrefix("https://") {
            found.append("--otlp-endpoint takes a URL of http or https, not \"\(endpoint)\"")
        }
        // The endpoint is shown, in the log and by `martlet config`.
        if let endpoint, endpoint.prefix(while: { $0 != "?" }).contains("@") {
            found.append("--otlp-endpoint takes no user or password: say them in otlp-headers")
        }
        if pairs.contains(where: { $0 == nil }) {
            found.append("otlp-headers are NAME=VALUE pairs with commas between")
        }
        return found
    }
}

/// Where spans go and which requests begin traces.
struct TracingSettings {
    /// URL of a collector; nil for no spans.
    var endpoint: String?
    /// `NAME=VALUE` pairs with commas between, as OTEL_EXPORTER_OTLP_HEADERS has them.
    var headers: String?
    var serviceName = "martlet"
    /// Share of the requests without a traceparent that begin a trace.
    var ratio = 1.0
}

/// Of the traces that the server exports; OpenTelemetry's own variables set them too.
enum TraceSettings: SettingTable {
    static let settings: [Setting] = [
        .optional(
            "otlp-endpoint", \.tracing.endpoint, unit: "URL",
            "Spans go there by OTLP over HTTP, to its /v1/traces; none without it."
        ).or("OTEL_EXPORTER_OTLP_ENDPOINT"),
        .optional(
            "otlp-headers", \.tracing.headers, unit: "NAME=VALUE,…",
            "Sent along with them; for tokens.", shape: .secret
        ).or("OTEL_EXPORTER_OTLP_HEADERS"),
        .text(
            "service-name", \.tracing.serviceName, unit: "name", "What spans call this server."
        ).or("OTEL_SERVICE_NAME"),
        .number(
            "trace-ratio", \.tracing.ratio, 0...1, unit: "share",
            "Of requests that come without a traceparent, whose flag decides otherwise."
        ).or("OTEL_TRACES_SAMPLER_ARG"),
    ]
}

extension Setting {
    /// Asks another variable too, after Martlet's own.
    fileprivate func or(_ variable: String) -> Setting {
        var setting = self
        setting.foreignVariable = variable
        return setting
    }
}

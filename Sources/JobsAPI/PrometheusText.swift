import Jobs

/// Metrics in Prometheus' text format, version 0.0.4.
struct PrometheusText {
    private(set) var bytes: [UInt8] = []

    typealias Labels = [(name: String, value: String)]

    enum Kind: String {
        case counter
        case gauge
        case histogram
    }

    /// Begins a metric; its values follow.
    mutating func begin(_ name: String, _ kind: Kind, _ help: String) {
        bytes += "# HELP \(name) \(help)\n# TYPE \(name) \(kind.rawValue)\n".utf8
    }

    mutating func value(_ name: String, _ labels: Labels, _ value: Int) {
        line(name, labels, String(value))
    }

    mutating func value(_ name: String, _ labels: Labels, _ value: Double) {
        line(name, labels, value.description)
    }

    /// A metric of one value.
    mutating func single(_ name: String, _ kind: Kind, _ help: String, _ value: Int) {
        begin(name, kind, help)
        self.value(name, [], value)
    }

    mutating func single(_ name: String, _ kind: Kind, _ help: String, _ value: Double) {
        begin(name, kind, help)
        self.value(name, [], value)
    }

    mutating func histogram(_ name: String, _ labels: Labels, _ histogram: Histogram) {
        self.histogram(
            name, labels, bounds: histogram.bounds, counts: histogram.counts, sum: histogram.sum)
    }

    /// - Parameters:
    ///   - name: of the metric.
    ///   - labels: without `le`.
    ///   - bounds: upper ones, inclusive, growing.
    ///   - counts: of values up to each bound and over the one before; the last are over all.
    ///   - sum: of the values.
    mutating func histogram(
        _ name: String, _ labels: Labels, bounds: [Double], counts: [Int], sum: Double,
    ) {
        var total = 0
        for (bound, count) in zip(bounds, counts) {
            total += count
            let text = bound.rounded() == bound ? String(Int(bound)) : bound.description
            line(name + "_bucket", labels + [("le", text)], String(total))
        }
        total += counts.last ?? 0
        line(name + "_bucket", labels + [("le", "+Inf")], String(total))
        line(name + "_sum", labels, sum.description)
        line(name + "_count", labels, String(total))
    }

    private mutating func line(_ name: String, _ labels: Labels, _ value: String) {
        bytes += name.utf8
        if !labels.isEmpty {
            let pairs = labels.map { "\($0.name)=\"\(Self.escaped($0.value))\"" }
            bytes += "{\(pairs.joined(separator: ","))}".utf8
        }
        bytes += " \(value)\n".utf8
    }

    private static func escaped(_ text: String) -> String {
        guard text.utf8.contains(where: { $0 == 0x22 || $0 == 0x5c || $0 == 0x0a }) else {
            return text
        }
        var escaped = ""
        for character in text.unicodeScalars {
            switch character {
            case "\"": escaped += "\\\""
            case "\\": escaped += "\\\\"
            case "\n": escaped += "\\n"
            default: escaped.unicodeScalars.append(character)
            }
        }
        return escaped
    }
}

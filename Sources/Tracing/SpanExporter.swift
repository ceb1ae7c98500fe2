package import Logging
import RawJSON
package import WebClient

/// Sends the tracer's spans to a collector, in batches, by OTLP over HTTP.
package struct SpanExporter: Sendable {
    package struct Target: Sendable {
        /// Where batches are posted to.
        package var url: String
        package var headers: [(name: String, value: String)]
        /// `service.name` of the spans.
        package var service: String

        package init(
            url: String, headers: [(name: String, value: String)] = [], service: String,
        ) {
            self.url = url
            self.headers = headers
            self.service = service
        }
    }

    package let tracer: Tracer
    private let target: Target
    private let client: WebClient
    private let logger: Logger

    /// Spans that go together at most.
    private static let batchSize = 512
    /// How long spans wait for others.
    private static let interval = Duration.seconds(1)
    /// Times that a batch is sent before it is given up; the pauses between are `interval`, twice
    /// that and so on.
    private static let tries = 5

    package init(_ tracer: Tracer, to target: Target, client: WebClient, logger: Logger) {
        self.tracer = tracer
        self.target = target
        self.client = client
        self.logger = logger
    }

    /// Sends what there is again and again, until the task is cancelled.
    package func run() async {
        var isFailing = false
        while (try? await Task.sleep(for: Self.interval)) != nil {
            while !Task.isCancelled {
                let batch = tracer.take(atMost: Self.batchSize)
                if batch.isEmpty { break }
                let failure = await send(batch, tries: Self.tries)
                if (failure != nil) != isFailing { say(failure) }
                isFailing = failure != nil
            }
        }
    }

    /// Sends what is left, each batch once.
    package func finish() async {
        while true {
            let batch = tracer.take(atMost: Self.batchSize)
            if batch.isEmpty { return }
            if let failure = await send(batch, tries: 1) { return say(failure) }
        }
    }

    /// Says that the collector has ceased to take spans, or that it takes them again.
    private func say(_ failure: Failure?) {
        let place: Logger.Metadata = ["url": "\(target.url)"]
        if let failure {
            let text = Logger.MetadataValue.string(failure.text)
            logger.warning("spans are lost", metadata: place.merging(["error": text]) { $1 })
        } else {
            logger.notice("spans are taken again", metadata: place)
        }
    }

    private struct Failure: Error {
        let text: String
        var isTransient = true
    }

    /// - Returns: why the batch was given up; nil when it was taken.
    private func send(_ batch: [Span], tries: Int) async -> Failure? {
        var request = WebRequest(target.url, method: "POST")
        request.headers = [("Content-Type", "application/json")] + target.headers
        request.body = OTLPDocument.bytes(batch, service: target.service)
        request.redirects = 0
        request.timeout = .seconds(10)
        request.maxBytes = 64 << 10
        var pause = Self.interval
        for number in 1...tries {
            let failure: Failure
            do throws(Failure) {
                let rejected = try await post(request)
                tracer.note(exported: batch.count - rejected, dropped: rejected)
                return nil
            } catch {
                failure = error
            }
            let mayTry = failure.isTransient && number < tries
            guard mayTry, (try? await Task.sleep(for: pause)) != nil else {
                tracer.note(exported: 0, dropped: batch.count)
                return failure
            }
            pause *= 2
        }
        return nil
    }

    /// - Returns: how many spans the collector has rejected.
    private func post(_ request: WebRequest) async throws(Failure) -> Int {
        let response: WebResponse
        do throws(WebError) {
            response = try await client.send(request)
        } catch {
            throw Failure(text: "\(error)")
        }
        guard (200..<300).contains(response.status) else {
            // OTLP/HTTP, "Retryable Response Codes".
            let isTransient = [429, 502, 503, 504].contains(response.status)
            throw Failure(text: "status \(response.status)", isTransient: isTransient)
        }
        let rejected = (try? RawJSON(validating: response.body))?
            .member("partialSuccess")?.member("rejectedSpans")
        return rejected.flatMap { $0.int ?? $0.string.flatMap(Int.init) } ?? 0
    }
}

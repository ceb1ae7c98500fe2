/// Whether and when a request is tried again.
///
/// Tried again are answers that ask for it (429, 502, 503, 504) and, of requests that may be
/// repeated, those whose connection failed. `Retry-After` is obeyed; without it the waits are
/// `firstDelay`, twice that, four times and so on.
package struct WebRetry: Sendable, Equatable {
    /// Tries after the first.
    package var times: Int
    package var firstDelay: Duration
    /// A server that asks for more gets no other try: its answer is the result.
    package var maxDelay: Duration

    package init(
        times: Int, firstDelay: Duration = .milliseconds(500), maxDelay: Duration = .seconds(60),
    ) {
        self.times = times
        self.firstDelay = firstDelay
        self.maxDelay = maxDelay
    }

    package static let never = WebRetry(times: 0)

    /// Decides on the next try.
    ///
    /// - Parameters:
    ///   - attempt: how many tries there were.
    ///   - outcome: of the last one.
    ///   - isIdempotent: whether the request may be repeated when its fate is unknown.
    /// - Returns: how long to wait before it; nil when there is to be none.
    func delay(
        after attempt: Int, _ outcome: Result<WebResponse, WebError>, isIdempotent: Bool,
    ) -> Duration? {
        guard attempt <= times else { return nil }
        switch outcome {
        case .success(let response):
            guard asksForAnother(response.status, isIdempotent: isIdempotent) else { return nil }
            guard let seconds = response.retryAfter else { return backoff(attempt) }
            let delay = Duration.seconds(seconds)
            return delay <= maxDelay ? delay : nil
        case .failure(let error):
            return error.isTransient && isIdempotent ? backoff(attempt) : nil
        }
    }

    /// 429 and 503 say that nothing was done; a gateway's 502 and 504 do not.
    private func asksForAnother(_ status: Int, isIdempotent: Bool) -> Bool {
        status == 429 || status == 503 || (isIdempotent && (status == 502 || status == 504))
    }

    private func backoff(_ attempt: Int) -> Duration {
        min(firstDelay * (1 << min(attempt - 1, 16)), maxDelay)
    }
}

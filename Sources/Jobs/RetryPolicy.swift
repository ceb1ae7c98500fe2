/// When a failed attempt is followed by another, and after how long.
package struct RetryPolicy: Sendable, Equatable {
    package enum Backoff: String, Sendable, CaseIterable {
        /// `initial` seconds before each retry.
        case constant
        /// `initial`, then `factor` times as long before each further retry.
        case exponential
    }

    /// Attempts in all, the first one included; 1 means no retry.
    package var maxAttempts = 1
    package var backoff = Backoff.exponential
    /// Seconds before the first retry.
    package var initial = 1.0
    package var factor = 2.0
    /// Seconds; no wait is longer.
    package var maxDelay = 300.0
    /// By how much of itself a wait is made shorter or longer by chance, so that jobs that failed
    /// together do not come back together; 0 to 1.
    package var jitter = 0.1

    package init() {}

    /// Seconds to wait after attempt number `attempt` has failed, varied by chance.
    package func jitteredDelay(after attempt: Int) -> Double {
        min(maxDelay, delay(after: attempt) * (1 + jitter * Double.random(in: -1...1)))
    }

    /// Seconds to wait after attempt number `attempt` (1 is the first) has failed, on average.
    package func delay(after attempt: Int) -> Double {
        switch backoff {
        case .constant: return min(initial, maxDelay)
        case .exponential:
            var delay = initial
            for _ in 1..<max(attempt, 1) where delay < maxDelay { delay *= factor }
            return min(delay, maxDelay)
        }
    }
}

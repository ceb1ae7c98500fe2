import Testing

@testable import WebClient

@Suite struct WebRetryTests {
    private let retry = WebRetry(times: 2, firstDelay: .seconds(1), maxDelay: .seconds(10))

    private func answer(_ status: Int, after seconds: Double? = nil) -> Result<
        WebResponse, WebError
    > {
        .success(
            WebResponse(
                url: "", status: status, version: "1.1", headers: [], body: [],
                timings: WebTimings(), retryAfter: seconds))
    }

    @Test func `Retry-After is obeyed up to the bound`() {
        for status in [429, 503] {
            #expect(
                retry.delay(after: 1, answer(status, after: 7), isIdempotent: false) == .seconds(7))
            #expect(retry.delay(after: 1, answer(status, after: 11), isIdempotent: true) == nil)
            #expect(retry.delay(after: 3, answer(status, after: 1), isIdempotent: true) == nil)
        }
    }

    @Test func `without it the waits double`() {
        #expect(retry.delay(after: 1, answer(503), isIdempotent: false) == .seconds(1))
        #expect(retry.delay(after: 2, answer(503), isIdempotent: false) == .seconds(2))
    }

    @Test func `what cannot be repeated is not`() {
        let broken = Result<WebResponse, WebError>.failure(.broken("x"))
        #expect(retry.delay(after: 1, broken, isIdempotent: true) == .seconds(1))
        #expect(retry.delay(after: 1, broken, isIdempotent: false) == nil)
        #expect(retry.delay(after: 1, answer(502), isIdempotent: false) == nil)
        #expect(retry.delay(after: 1, answer(502), isIdempotent: true) == .seconds(1))
    }

    @Test(arguments: [200, 301, 404, 500, 501])
    func `other answers are final`(status: Int) {
        #expect(retry.delay(after: 1, answer(status, after: 1), isIdempotent: true) == nil)
    }

    @Test(arguments: [
        WebError.cancelled, .timedOut(seconds: 1), .bodyTooLarge(limit: 1), .tls(""),
        .refusedTarget(host: "", address: ""), .badRequest(""),
    ])
    func `errors that will not mend are final`(error: WebError) {
        #expect(retry.delay(after: 1, .failure(error), isIdempotent: true) == nil)
    }
}

import HTTPWire
import Sockets
import Testing

@testable import WebServer

@Suite struct SecurityFieldsTests {
    private func lines(
        _ fields: [(name: String, value: String)], isSecure: Bool = false, strict: Int = 0,
    ) -> Set<String> {
        var output = HTTP1Writer()
        let security = SecurityFields(strictTransportSeconds: strict)
        let needs = security.needs(
            of: HTTPResponse(200, fields: fields, .bytes([])),
            HTTPClient(address: .unix, isSecure: isSecure, proxies: []))
        security.write(needs, to: &output)
        let text = String(decoding: Array(output.bytes), as: UTF8.self)
        return Set(text.split(separator: "\r\n").map(String.init))
    }

    private let everywhere: Set<String> = [
        "X-Content-Type-Options: nosniff", "Referrer-Policy: no-referrer",
        "Cross-Origin-Resource-Policy: same-origin",
    ]
    private let policy = "Content-Security-Policy: default-src 'none'; frame-ancestors 'none'"

    @Test func `data are neither kept nor shown`() {
        #expect(lines([]) == everywhere.union([policy, "Cache-Control: no-store"]))
        #expect(
            lines([("ETag", "\"a\"")])
                == everywhere.union([policy, "Cache-Control: private, no-cache"]))
    }

    @Test func `what an answer says itself is not said twice`() {
        let own = [("Cache-Control", "max-age=1"), ("Content-Security-Policy", "default-src *")]
        #expect(lines(own) == everywhere)
    }

    @Test func `strict transport is said over TLS alone, when it is set`() {
        let field = "Strict-Transport-Security: max-age=9"
        #expect(lines([], isSecure: true, strict: 9).contains(field))
        #expect(!lines([], isSecure: false, strict: 9).contains(field))
        #expect(lines([], isSecure: true) == lines([]))
    }
}

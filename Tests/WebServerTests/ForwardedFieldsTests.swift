import HTTPWire
import Sockets
import Testing

@testable import WebServer

@Suite struct ForwardedFieldsTests {
    @Test(
        arguments: [
            ("X-Forwarded-For: 1.2.3.4", "1.2.3.4"),
            ("X-Forwarded-For: 6.6.6.6, 1.2.3.4, 10.0.0.2", "1.2.3.4"),
            ("X-Forwarded-For: 10.0.0.3, 10.0.0.2", "10.0.0.3"),
            ("X-Forwarded-For: 1.2.3.4:80", "1.2.3.4"),
            ("X-Forwarded-For: unknown, 1.2.3.4", "1.2.3.4"),
            ("X-Forwarded-For: 1.2.3.4, junk", nil),
            ("Forwarded: for=1.2.3.4;proto=https", "1.2.3.4"),
            ("Forwarded: for=6.6.6.6, For=\"[2001:DB8::1]:47\"", "2001:db8::1"),
            ("Forwarded: proto=http", nil),
            ("X: y", nil),
        ] as [(String, String?)])
    func `the client is the last whom no trusted proxy is`(field: String, wanted: String?) throws {
        var parser = HTTP1Parser(limits: HTTPLimits())
        let text = "GET / HTTP/1.1\r\nHost: a\r\n\(field)\r\n\r\n"
        let head = try #require(try parser.parse(Array(text.utf8).span)).head
        let proxies = try [#require(AddressBlock("10.0.0.0/8"))]
        let header: ForwardedHeader = field.hasPrefix("Forwarded") ? .forwarded : .xForwardedFor
        #expect(
            ForwardedFields.client(of: head, behind: proxies, by: header)?.description == wanted)
    }

    @Test(
        arguments: [(.xForwardedFor, "1.2.3.4", false), (.forwarded, "6.6.6.6", true)]
            as [(ForwardedHeader, String, Bool)])
    func `only one field is believed`(
        header: ForwardedHeader, client: String, isSecure: Bool,
    ) throws {
        var parser = HTTP1Parser(limits: HTTPLimits())
        let text =
            "GET / HTTP/1.1\r\nHost: a\r\nForwarded: for=6.6.6.6;proto=https\r\n"
            + "X-Forwarded-For: 5.5.5.5\r\nX-Forwarded-For: 1.2.3.4\r\n"
            + "X-Forwarded-Proto: http\r\n\r\n"
        let head = try #require(try parser.parse(Array(text.utf8).span)).head
        let proxies = try [#require(AddressBlock("10.0.0.0/8"))]
        #expect(
            ForwardedFields.client(of: head, behind: proxies, by: header)?.description == client)
        #expect(ForwardedFields.isSecure(head, by: header) == isSecure)
    }
}

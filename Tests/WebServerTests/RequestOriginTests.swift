import HTTPWire
import Sockets
import Testing

@testable import WebServer

/// By which name a request asks for the server, and whose page has it sent.
@Suite struct RequestOriginTests {
    private func head(
        _ fields: String, target: String = "/", method: String = "GET", version: String = "1.1",
    ) throws -> RequestHead {
        var parser = HTTP1Parser(limits: HTTPLimits())
        let text = "\(method) \(target) HTTP/\(version)\r\n\(fields)\r\n"
        return try #require(try parser.parse(Array(text.utf8).span)).head
    }

    @Test(arguments: [
        ("/", "Host: A.example:81\r\n", "A.example:81", "a.example"),
        ("/", "Accept: */*\r\nhost:  b. \r\nX-Host: c\r\n", "b.", "b"),
        ("/", "Host: [::1]:8080\r\n", "[::1]:8080", "[::1]"),
        ("http://t.example:1/p", "Host: h\r\n", "t.example:1", "t.example"),
        ("HTTPS://T?q", "Host: h\r\n", "T", "t"), ("http://t", "Host: h\r\n", "t", "t"),
    ])
    func `the authority is the target's, else that of Host`(
        target: String, fields: String, authority: String, host: String,
    ) throws {
        let head = try head(fields, target: target)
        #expect(head.authority == authority)
        #expect(head.host == host)
    }

    @Test func `HTTP 1.0 may name no host, and the asterisk has none of its own`() throws {
        let old = try head("", version: "1.0")
        #expect(old.authority == nil && !old.isHost("localhost", or: ""))
        let all = try head("Host: localhost\r\n", target: "*", method: "OPTIONS")
        #expect(all.isHost("a", or: "localhost"))
    }

    @Test(arguments: [
        ("localhost", true), ("a.localhost:1", true), ("127.0.0.1:1", true), ("127.255.0.9", true),
        ("[::1]", true), ("[0:0:0:0:0:0:0:1]", true), ("[::ffff:7f00:1]", true),
        ("given.example", true), ("x.below.example", true), ("[2001:db8::7]", true),
        ("xlocalhost", false), ("localhost.example", false), ("127.1", false),
        ("127.0.0.1.example", false), ("128.0.0.1", false), ("0.0.0.0", false), ("[::]", false),
        ("below.example", false), ("xgiven.example", false), ("[2001:db8::8]", false),
    ])
    func `a server goes by the loopback's names and those it was given`(
        host: String, isAllowed: Bool,
    ) throws {
        let hosts = AllowedHosts(["Given.example", ".below.example", "2001:db8::7"])
        #expect(hosts.contain(hostOf: try head("Host: \(host)\r\n")) == isAllowed)
    }

    @Test(arguments: [
        ("POST", "Sec-Fetch-Site: cross-site\r\n", true),
        ("POST", "Sec-Fetch-Site: same-site\r\n", true),
        ("POST", "Sec-Fetch-Site: same-origin\r\nOrigin: http://other\r\n", false),
        ("DELETE", "Sec-Fetch-Site: none\r\n", false), ("POST", "", false),
        ("GET", "Sec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: no-cors\r\n", true),
        ("GET", "Sec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: navigate\r\n", false),
        ("POST", "Sec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: navigate\r\n", true),
        ("POST", "Sec-Fetch-Site: same-origin\r\nSec-Fetch-Site: none\r\n", true),
        ("PUT", "Origin: https://h:80\r\n", false), ("PUT", "Origin: http://H:80\r\n", false),
        ("PUT", "Origin: http://h:81\r\n", true), ("PUT", "Origin: null\r\n", true),
        ("PUT", "Origin: https://given.example:9\r\n", false), ("GET", "Origin: null\r\n", false),
    ])
    func `pages of other sites are known by what browsers say`(
        method: String, fields: String, isCrossSite: Bool,
    ) throws {
        let request = HTTPRequest(
            head: try head("Host: h:80\r\n" + fields, method: method),
            client: HTTPClient(address: .unix, isSecure: false, proxies: []),
            number: .random(), start: .current(), tracer: nil)
        #expect(request.isCrossSite(AllowedHosts(["given.example"])) == isCrossSite)
    }
}

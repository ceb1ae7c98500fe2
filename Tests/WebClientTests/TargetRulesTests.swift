import Sockets
import Testing

@testable import WebClient

@Suite struct TargetRulesTests {
    @Test(arguments: [
        "0.0.0.0", "10.1.2.3", "100.64.0.1", "127.0.0.1", "127.255.255.255", "169.254.169.254",
        "172.16.0.1", "172.31.255.255", "192.0.0.1", "192.0.2.1", "192.168.0.1", "198.18.0.1",
        "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.255.255.255", "240.0.0.1",
        "255.255.255.255", "::", "::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::127.0.0.1",
        "fe80::1", "fec0::1", "fc00::1", "fd12::1", "ff02::1", "64:ff9b::127.0.0.1",
        "64:ff9b::10.0.0.1", "64:ff9b:1::1", "2002:7f00:1::", "2002:a00:1::1", "2001::1",
        "2001:db8::1", "100::1", "3fff::1", "4000::1",
    ])
    func `a private, local or special address is refused`(_ text: String) throws {
        let address = try #require(IPAddress(text))
        #expect(!TargetRules.publicOnly.allow(address, host: "example.org"))
        #expect(TargetRules.everything.allow(address, host: "example.org"))
    }

    @Test(arguments: [
        "1.1.1.1", "100.63.255.255", "100.128.0.1", "172.15.0.1", "172.32.0.1", "192.0.1.1",
        "198.20.0.1", "223.255.255.255", "2606:4700::1111", "2a00:1450::1", "::ffff:1.1.1.1",
        "64:ff9b::1.1.1.1", "2002:101:101::1",
    ])
    func `a public address is allowed`(_ text: String) throws {
        let address = try #require(IPAddress(text))
        #expect(TargetRules.publicOnly.allow(address, host: "example.org"))
    }

    @Test func `the list allows blocks, addresses and names, and no more`() throws {
        let rules = try TargetRules(allowing: [
            "10.0.0.0/8", "192.168.1.7", "fd00::/8", "intranet.example", ".corp.example",
        ])
        func allows(_ address: String, _ host: String = "x.org") throws -> Bool {
            rules.allow(try #require(IPAddress(address)), host: host)
        }
        for address in ["10.0.0.1", "10.255.255.255", "::ffff:10.0.0.1", "64:ff9b::10.0.0.1"] {
            #expect(try allows(address))
        }
        #expect(try allows("192.168.1.7"))
        #expect(try allows("fd12::1"))
        for address in ["11.0.0.1", "127.0.0.1", "192.168.1.8", "fe80::1"] {
            #expect(try allows(address) == (address == "11.0.0.1"))
        }
        for host in ["intranet.example", "INTRANET.example.", "a.corp.example", "a.b.corp.example"]
        {
            #expect(try allows("127.0.0.1", host))
        }
        for host in ["corp.example", "xintranet.example", "intranet.example.org", "xcorp.example"] {
            #expect(try !allows("127.0.0.1", host))
        }
    }

    @Test(arguments: [
        "", "10.0.0.0/33", "10.0.0/8", "10.0.0.0/", "fd00::/129", "127.1", "0x7f000001", "a b",
        "a/8",
        "http://a", "1.2.3.4.5", "*", ".",
    ])
    func `an entry that is neither address nor name is refused`(_ entry: String) {
        #expect(throws: WebError.self) { try TargetRules(allowing: [entry]) }
    }

    @Test(arguments: ["127.0.0.1", "::1", "2001:db8::ff00:42:8329", "255.0.255.0"])
    func `an address is described as it is written`(_ text: String) {
        #expect(IPAddress(text)?.description == text)
    }
}

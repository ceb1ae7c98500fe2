import Glibc
import Sockets
import Testing

@Suite struct AddressTests {
    @Test(arguments: [
        ("127.0.0.1:80", "127.0.0.1:80"), ("[::1]:0", "[::1]:0"), ("unix:/a/b", "unix:/a/b"),
        ("localhost:8080", "localhost:8080"),
    ])
    func `addresses are read and written`(text: String, wanted: String) {
        #expect(ListenAddress(text)?.description == wanted)
    }

    @Test(arguments: ["", "a", ":80", "a:", "a:x", "a:70000", "a:-1", "unix:"])
    func `what is no address is not taken`(text: String) {
        #expect(ListenAddress(text) == nil)
    }

    @Test(arguments: [
        ("10.0.0.0/8", "10.255.0.1", true), ("10.0.0.0/8", "11.0.0.1", false),
        ("0.0.0.0/0", "1.2.3.4", true), ("0.0.0.0/0", "::1", false), ("::/0", "1.2.3.4", true),
        ("2001:db8::/32", "2001:db8:1::2", true), ("2001:db8::/32", "2001:db9::2", false),
        ("2001:db8::1", "2001:db8::1", true), ("2001:db8::1", "2001:db8::2", false),
        ("2001:db8::/80", "2001:db8::1:0:0", true),
        ("2001:db8::/80", "2001:db8::1:0:0:0", false),
    ])
    func `a range holds its addresses`(range: String, address: String, holds: Bool) throws {
        let range = try #require(AddressRange(range))
        #expect(range.contains(try #require(PeerAddress(address))) == holds)
    }

    @Test(arguments: [
        "10.0.0.0/33", "10.0.0/8", "::/129", "a", "10.0.0.1/", "10.0.0.1/8/8", "1.2.3.4/-1",
    ])
    func `what is no range is not taken`(text: String) {
        #expect(AddressRange(text) == nil)
    }

    @Test(arguments: [
        "0.0.0.0", "1.20.255.9", "255.255.255.255", "100.10.101.99", "2001:db8::1", "::1",
    ])
    func `a peer's address is written as it is read`(text: String) throws {
        #expect(try #require(PeerAddress(text)).description == text)
    }

    @Test func `one customer's IPv6 addresses count as one`() throws {
        let one = try #require(PeerAddress("2001:db8::1"))
        let other = try #require(PeerAddress("2001:db8::ffff:1"))
        #expect(one.network == other.network)
        let four = try #require(PeerAddress("1.2.3.4"))
        #expect(four.network == four)
    }

    @Test func `loops of one server share a port, and no other server does`() throws {
        let any = try #require(ListenAddress("127.0.0.1:0"))
        let first = try ListeningSocket(any)
        defer { first.close() }
        let second = try ListeningSocket(first.address, isShared: true)
        defer { second.close() }
        #expect(throws: SocketError.system("listen on \(first.address)", EADDRINUSE)) {
            try ListeningSocket(first.address)
        }
    }
}

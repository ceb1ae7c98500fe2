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
    func `a block holds its addresses`(range: String, address: String, holds: Bool) throws {
        let range = try #require(AddressBlock(range))
        #expect(range.contains(try #require(IPAddress(address))) == holds)
    }

    @Test(arguments: [
        "10.0.0.0/33", "10.0.0/8", "::/129", "a", "10.0.0.1/", "10.0.0.1/8/8", "1.2.3.4/-1",
    ])
    func `what is no block is not taken`(text: String) {
        #expect(AddressBlock(text) == nil)
    }

    @Test(arguments: [
        "0.0.0.0", "1.20.255.9", "255.255.255.255", "100.10.101.99", "2001:db8::1", "::1",
    ])
    func `an address is written as it is read`(text: String) throws {
        #expect(try #require(IPAddress(text)).description == text)
    }

    @Test(arguments: [
        ("0.0.0.0/0", "0.0.0.0/0"), ("10.1.2.3/8", "10.0.0.0/8"), ("192.0.2.1", "192.0.2.1"),
        ("192.0.2.1/32", "192.0.2.1"), ("::/0", "::/0"), ("2001:db8::/32", "2001:db8::/32"),
        ("::1/128", "::1"), ("::ffff:10.0.0.0/104", "10.0.0.0/8"),
    ])
    func `a block is written so that it is read again`(text: String, wanted: String) throws {
        let block = try #require(AddressBlock(text))
        #expect(block.description == wanted)
        #expect(AddressBlock(block.description) == block)
    }

    @Test func `one customer's IPv6 addresses count as one`() throws {
        let one = PeerAddress.internet(try #require(IPAddress("2001:db8::1")))
        let other = PeerAddress.internet(try #require(IPAddress("2001:db8::ffff:1")))
        #expect(one.network == other.network)
        let four = PeerAddress.internet(try #require(IPAddress("1.2.3.4")))
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

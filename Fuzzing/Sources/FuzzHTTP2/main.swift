import CLibFuzzer
import CNghttp2
import HTTPWire

@testable import WebServer

/// A server that answers each request with its head, read by the rules of HTTP/1.1.
final class Answering: HTTP2SessionEvents {
    let session = HTTP2Session()
    private var builder = HTTP2HeadBuilder(limits: HTTPLimits())

    init() { session.open(events: self, streams: 16, headBytes: 32 << 10) }

    func frameBegins(type: UInt8, stream: Int32) -> UInt32? { nil }
    func headBegins(_ stream: Int32) { builder.begin() }
    func trailerBegins() { builder.begin() }
    func field(_ name: Span<UInt8>, _ value: Span<UInt8>, isTrailer: Bool) -> Bool {
        isTrailer ? builder.weigh(name, value) : builder.add(name, value)
    }
    func headIsComplete(_ stream: Int32, endsStream: Bool) {
        var block = HTTP2FieldBlock()
        do throws(HTTPRefusal) {
            let head = try builder.head()
            block.begin(200)
            block.add("X-Path", head.path)
            for (name, value) in head.fields { block.add(name, value) }
        } catch {
            block.begin(error.status)
        }
        session.submit(block, stream, body: nil)
    }
    func data(_ bytes: UnsafeBufferPointer<UInt8>, _ stream: Int32) {
        session.consume(bytes.count, stream)
    }
    func bodyIsComplete(_ stream: Int32) { session.reset(stream, NGHTTP2_NO_ERROR) }
    func streamClosed(_ stream: Int32) {}
    func answerLeft(_ stream: Int32) {}
    func frameWasInvalid(_ stream: Int32) {}
    func errorLeft(_ stream: Int32) {}
}

/// The preface and empty SETTINGS, so that the fuzzer need not find them.
let greeting = Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8) + [0, 0, 0, 4, 0, 0, 0, 0, 0]

func drain(_ session: HTTP2Session) {
    while !session.nextOutput().isEmpty {}
}

var argumentCount = CommandLine.argc
var arguments: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>? = CommandLine.unsafeArgv
_ = LLVMFuzzerRunDriver(&argumentCount, &arguments) { bytes, count in
    let server = Answering()
    _ = greeting.withUnsafeBufferPointer { server.session.receive($0) }
    drain(server.session)
    _ = server.session.receive(UnsafeBufferPointer(start: bytes, count: count))
    drain(server.session)
    return 0
}

import CLibFuzzer
import HTTPWire

/// Reads requests as a connection does: heads and bodies one after another, the input cut in two.
func readRequests(_ input: [UInt8], cut: Int) -> [String] {
    var found: [String] = []
    var parser = HTTP1Parser(limits: HTTPLimits())
    var start = 0
    var end = min(cut, input.count)
    do throws(HTTPRefusal) {
        while true {
            guard let (head, length) = try parser.parse(input.span.extracting(start..<end)) else {
                if end == input.count { break }
                end = input.count
                continue
            }
            start += length
            found.append(
                "\(head.methodText) \(head.path) \(head.query) \(head.fields) \(head.body)")
            for (_, value) in head.fields { found.append(readConditions(value)) }
            switch head.body {
            case .none: break
            case .bytes(let count): start = min(input.count, start + count)
            case .chunked: start += try readChunks(input[start...], into: &found)
            }
            end = max(end, start)
            if !head.keepsAlive { break }
        }
    } catch {
        found.append("\(error.status)")
    }
    return found
}

/// Reads a field as those that are lists of tags, ranges and codings are read.
func readConditions(_ value: String) -> String {
    let range = ByteRange(value, of: 10)
    if case .part(let part) = range {
        precondition(!part.isEmpty && part.upperBound <= 10, "a part of what is not there")
    }
    let isMatched = EntityTag.isMatched("\"a\"", by: value)
    let isNamed = EntityTag.isNamed("\"a\"", in: value)
    precondition(isNamed || !isMatched, "the same bytes, and not the same meaning")
    let coding = AcceptEncoding.choice(value, offered: ["zstd", "gzip"])
    return "\(range) \(isMatched) \(isNamed) \(coding ?? "")"
}

func readChunks(
    _ input: ArraySlice<UInt8>, into found: inout [String],
) throws(HTTPRefusal) -> Int {
    var decoder = ChunkedDecoder(limit: 1 << 20)
    var body: [UInt8] = []
    let used = try decoder.decode(Array(input).span, into: &body)
    found.append("\(body.count) \(decoder.isDone)")
    return used
}

var argumentCount = CommandLine.argc
var arguments: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>? = CommandLine.unsafeArgv
_ = LLVMFuzzerRunDriver(&argumentCount, &arguments) { bytes, count in
    let input = Array(UnsafeBufferPointer(start: bytes, count: count))
    let whole = readRequests(input, cut: input.count)
    // However it comes, it means the same.
    precondition(readRequests(input, cut: input.count / 2) == whole, "a cut changes the meaning")
    return 0
}

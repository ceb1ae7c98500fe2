/// What the server itself must know of a request's fields, noted while they are read once.
///
/// Sections without the number of an RFC are of RFC 9112.
struct FieldNotes {
    /// How many they are.
    private(set) var count = 0
    private(set) var nameMarks: UInt64 = 0
    /// Where the value of `Content-Type` stands in the head; nil when it was not sent, empty when it
    /// was sent twice.
    private(set) var contentType: Range<Int>?
    /// Where the value of `Host` stands in the head; nil when it was not sent.
    private(set) var host: Range<Int>?
    private var hosts = 0
    private var isHostValid = true
    private var lengths = 0
    private var length = Length.malformed
    private var codings: Codings?
    private var saysClose = false
    private var saysKeepAlive = false
    private var saysUpgrade = false
    private var saysHTTP2Settings = false
    private var upgradesToH2C = false
    private var settings = 0
    private var expects: Bool?

    private enum Length { case malformed, tooLong, bytes(Int) }

    /// The transfer codings in the order of all their fields.
    private struct Codings {
        var isLastChunked = false
        var chunked = 0
        var others = 0
    }

    /// Reads one line without its CRLF, in which there is no other control character than tabs.
    ///
    /// It stands at `place` in its head.
    mutating func readField(_ line: Span<UInt8>, at place: Int) throws(HTTPRefusal) {
        guard let colon = line.colonOfField else {
            throw HTTPRefusal(400, "A header field is malformed.")
        }
        count += 1
        nameMarks |= RequestHead.mark(line[0], colon)
        let value = line.trimmed(colon + 1..<line.count)
        let whereInHead = place + value.lowerBound..<place + value.upperBound
        note(line.extracting(..<colon), line.extracting(value), whereInHead)
    }

    private mutating func note(
        _ name: Span<UInt8>, _ value: Span<UInt8>, _ place: Range<Int>,
    ) {
        switch name.count {
        case 4 where name.equalsIgnoringCase("host"):
            host = place
            hosts += 1
            isHostValid = Authority.isValid(value)
        case 6 where name.equalsIgnoringCase("expect"):
            var isKnown = expects != false
            value.forEachListMember { isKnown = isKnown && $0.equalsIgnoringCase("100-continue") }
            expects = isKnown
        case 7 where name.equalsIgnoringCase("upgrade"):
            value.forEachListMember { if $0.equalsIgnoringCase("h2c") { upgradesToH2C = true } }
        case 10 where name.equalsIgnoringCase("connection"): noteConnection(value)
        case 12 where name.equalsIgnoringCase("content-type"):
            contentType = contentType == nil ? place : 0..<0
        case 14 where name.equalsIgnoringCase("content-length"): noteLength(value)
        case 14 where name.equalsIgnoringCase("http2-settings"): settings += 1
        case 17 where name.equalsIgnoringCase("transfer-encoding"): noteCodings(value)
        default: break
        }
    }

    // RFC 9110, section 7.6.1: a list, whatever the case.
    private mutating func noteConnection(_ value: Span<UInt8>) {
        value.forEachListMember { option in
            if option.equalsIgnoringCase("close") { saysClose = true }
            if option.equalsIgnoringCase("keep-alive") { saysKeepAlive = true }
            if option.equalsIgnoringCase("upgrade") { saysUpgrade = true }
            if option.equalsIgnoringCase("http2-settings") { saysHTTP2Settings = true }
        }
    }

    // RFC 9110, section 8.6: 1*DIGIT, and nothing else.
    private mutating func noteLength(_ value: Span<UInt8>) {
        lengths += 1
        guard !value.isEmpty else { return length = .malformed }
        var total = 0
        var isTooLong = false
        for index in value.indices {
            guard value[index].isDigit else { return length = .malformed }
            let (tenfold, overflow) = total.multipliedReportingOverflow(by: 10)
            let (sum, more) = tenfold.addingReportingOverflow(Int(value[index] - 0x30))
            isTooLong = isTooLong || overflow || more
            total = isTooLong ? 0 : sum
        }
        length = isTooLong ? .tooLong : .bytes(total)
    }

    // Section 6.1: a list, over all fields of the name.
    private mutating func noteCodings(_ value: Span<UInt8>) {
        var noted = codings ?? Codings()
        value.forEachListMember { coding in
            noted.isLastChunked = coding.equalsIgnoringCase("chunked")
            if noted.isLastChunked { noted.chunked += 1 } else { noted.others += 1 }
        }
        codings = noted
    }

    // MARK: What follows from them

    // Section 3.2: exactly one Host, which only HTTP/1.0 may leave out.
    func checkHost(isHTTP10: Bool) throws(HTTPRefusal) {
        guard hosts == 1 || (hosts == 0 && isHTTP10) else {
            throw HTTPRefusal(400, "There must be exactly one Host field.")
        }
        guard isHostValid else { throw HTTPRefusal(400, "The Host field is malformed.") }
    }

    // Section 6.
    func bodyLength(
        _ version: RequestHead.Version, limit: Int,
    ) throws(HTTPRefusal) -> RequestHead.BodyLength {
        if let codings {
            // 6.1: both lengths are an attempt at smuggling; 1.0 knows no transfer codings.
            guard lengths == 0, version == .http11 else {
                throw HTTPRefusal(400, "The length of the body is ambiguous.")
            }
            // 6.3: chunked comes last, and 7.1: once.
            guard codings.isLastChunked, codings.chunked == 1 else {
                throw HTTPRefusal(400, "The last transfer coding must be chunked, once.")
            }
            guard codings.others == 0 else {
                throw HTTPRefusal(501, "The only transfer coding known is chunked.")
            }
            return .chunked
        }
        guard lengths > 0 else { return .none }
        // 6.3: several lengths that agree could be one; nobody needs them.
        guard lengths == 1 else { throw HTTPRefusal(400, "There is more than one Content-Length.") }
        // RFC 9110, section 15.5.14: 413.
        switch length {
        case .malformed: throw HTTPRefusal(400, "The Content-Length is malformed.")
        case .bytes(let count) where count <= limit: return count == 0 ? .none : .bytes(count)
        case .bytes, .tooLong: throw HTTPRefusal.bodyTooLarge(limit)
        }
    }

    // Section 9.3.
    func keepsAlive(_ version: RequestHead.Version) -> Bool {
        if saysClose { return false }
        return version != .http10 || saysKeepAlive
    }

    // RFC 9110, section 10.1.1: HTTP/1.0 clients cannot mean it; others are refused what is not known.
    func expectation(
        _ version: RequestHead.Version,
    ) throws(HTTPRefusal) -> RequestHead.Expectation {
        guard let expects, version != .http10 else { return .nothing }
        guard expects else { throw HTTPRefusal(417, "The only expectation known is 100-continue.") }
        return .continue
    }

    // RFC 7540, section 3.2.
    var upgradesToHTTP2: Bool {
        upgradesToH2C && settings == 1 && saysUpgrade && saysHTTP2Settings
    }
}

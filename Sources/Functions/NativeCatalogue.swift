import Digests
import Glibc
import Jobs
import RawJSON
package import WebClient

/// The functions that are compiled in.
package struct NativeCatalogue: Sendable {
    package let functions: [NativeFunction]

    /// Those that need nothing but their arguments, for a worker.
    package init() { functions = Self.plain }

    /// All, for a server.
    ///
    /// - Parameters:
    ///   - web: what `fetch` uses.
    ///   - readsFiles: whether those are among them that read any file of the server's user.
    package init(web: WebClient, readsFiles: Bool) {
        functions =
            Self.plain.filter { readsFiles || $0.function.name != "word_count" }
            + [.fetch(web)]
    }

    private static let plain: [NativeFunction] = [
        echo, sleep, square, sumOfSquares, primes, sha256, wordCount,
    ]

    private static let echo = NativeFunction(
        "echo", "Returns its argument as it was sent.", [NativeParameter("value")],
        pools: [.thread, .process, .async],
    ) { arguments in
        try arguments.value("value")
    }

    private static let sleep = NativeFunction(
        "sleep", "Waits for some seconds and returns their number.",
        [NativeParameter("seconds", "number")],
        pools: [.async, .thread, .process],
    ) { arguments in
        let seconds = try arguments.seconds("seconds")
        try await Task.sleep(for: .microseconds(Int64(seconds * 1_000_000)))
        return try arguments.value("seconds")
    }

    private static let square = NativeFunction(
        "square", "The square of a number; exact for whole numbers of up to 19 digits.",
        [NativeParameter("x", "number")],
        pools: [.thread, .process, .async],
    ) { arguments in
        let x = try arguments.value("x")
        if let whole = x.int {
            let (product, overflow) = whole.multipliedReportingOverflow(by: whole)
            return overflow
                ? number(String(Int128(whole) * Int128(whole))) : RawJSON(product.magnitude)
        }
        guard let fraction = x.double else {
            throw NativeArguments.refusal("wants \"x\" as a number")
        }
        let product = fraction * fraction
        guard product.isFinite else {
            throw NativeArguments.refusal("wants \"x\" smaller: its square is no number here")
        }
        var writer = JSONWriter(capacity: 48)
        writer.value(product)
        return RawJSON(trusted: writer.bytes[...])
    }

    private static let sumOfSquares = NativeFunction(
        "sum_of_squares", "The sum of i² for all i from 0 to n - 1, computed one by one.",
        [NativeParameter("n", "integer")],
        pools: [.process, .thread],
    ) { arguments in
        let n = try arguments.int("n", 0...100_000_000_000)
        var sum: UInt128 = 0
        for start in stride(from: 0, to: n, by: 1 << 20) {
            try Task.checkCancellation()
            for i in start..<min(n, start + 1 << 20) { sum &+= UInt128(i) &* UInt128(i) }
        }
        return number(String(sum))
    }

    private static let primes = NativeFunction(
        "primes", "How many primes there are below a number; a sieve by segments.",
        [NativeParameter("below", "integer")],
        pools: [.process, .thread],
    ) { arguments in
        number(String(try PrimeSieve.count(below: try arguments.int("below", 0...10_000_000_000))))
    }

    private static let sha256 = NativeFunction(
        "sha256", "The SHA-256 of a text's UTF-8 bytes, in lower-case hexadecimal.",
        [NativeParameter("text", "string")],
        pools: [.thread, .process],
    ) { arguments in
        let hash = SHA256()
        hash.add(Array(try arguments.text("text").utf8))
        var writer = JSONWriter(capacity: 80)
        writer.value(hash.finish().hexadecimal)
        return RawJSON(trusted: writer.bytes[...])
    }

    private static let wordCount = NativeFunction(
        "word_count",
        "Counts the words of a text or of a file on the server (64 MiB at most): an object of"
            + " words, lower-cased, to their number, the most frequent first.",
        [
            NativeParameter("path", "string", isRequired: false),
            NativeParameter("text", "string", isRequired: false),
        ],
        pools: [.thread, .process],
    ) { arguments in
        let bytes: [UInt8]
        if arguments.optional("text") != nil {
            bytes = Array(try arguments.text("text").utf8)
        } else {
            bytes = try readFile(try arguments.text("path"), limit: 64 << 20)
        }
        return WordCount(bytes).json
    }

    private static func number(_ digits: String) -> RawJSON {
        RawJSON(trusted: Array(digits.utf8)[...])
    }

    /// Reads a regular file whole.
    private static func readFile(_ path: String, limit: Int) throws(Failure) -> [UInt8] {
        func refused(_ why: String) -> Failure {
            Failure(.exception, type: "FileError", message: "\(path): \(why)")
        }
        // Non-blocking: a named pipe must not hold a thread for ever.
        let fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard fd >= 0 else { throw refused(String(cString: strerror(errno))) }
        defer { close(fd) }
        var status = stat()
        guard fstat(fd, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
            throw refused("not a regular file")
        }
        guard status.st_size <= limit else { throw refused("larger than \(limit) bytes") }
        var bytes = [UInt8](repeating: 0, count: Int(status.st_size))
        var filled = 0
        while filled < bytes.count {
            let count = bytes.withUnsafeMutableBytes {
                read(fd, $0.baseAddress.map { $0 + filled }, $0.count - filled)
            }
            guard count >= 0 else { throw refused(String(cString: strerror(errno))) }
            if count == 0 { break }
            filled += count
        }
        return Array(bytes.prefix(filled))
    }
}

/// Counts primes with a sieve of odd numbers, a segment at a time, in a few hundred kilobytes.
private enum PrimeSieve {
    static func count(below limit: Int) throws -> Int {
        guard limit > 2 else { return 0 }
        let base = smallPrimes(through: Int(Double(limit).squareRoot()) + 1)
        let span = 1 << 18
        var count = 1  // the prime 2
        var low = 3
        while low < limit {
            try Task.checkCancellation()
            let high = min(low + 2 * span, limit)
            count += countOdd(from: low, below: high, base: base)
            low += 2 * span
        }
        return count
    }

    private static func countOdd(from low: Int, below high: Int, base: [Int]) -> Int {
        var composite = [Bool](repeating: false, count: (high - low + 1) / 2)
        for prime in base {
            if prime * prime >= high { break }
            var multiple = max(prime * prime, (low + prime - 1) / prime * prime)
            if multiple % 2 == 0 { multiple += prime }
            while multiple < high {
                composite[(multiple - low) / 2] = true
                multiple += 2 * prime
            }
        }
        return composite.count { !$0 }
    }

    private static func smallPrimes(through limit: Int) -> [Int] {
        var composite = [Bool](repeating: false, count: limit + 1)
        var primes: [Int] = []
        for candidate in stride(from: 3, through: limit, by: 2) where !composite[candidate] {
            primes.append(candidate)
            for multiple in stride(from: candidate * candidate, through: limit, by: candidate) {
                composite[multiple] = true
            }
        }
        return primes
    }
}

/// Words are runs of letters and digits, of which only ASCII is lower-cased.
private struct WordCount {
    private var counts: [ArraySlice<UInt8>: Int] = [:]

    init(_ bytes: [UInt8]) {
        let text = bytes.map { byte in
            (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(byte) ? byte | 0x20 : byte
        }
        var start = 0
        for (index, byte) in text.enumerated() where !Self.isWordByte(byte) {
            if index > start { counts[text[start..<index], default: 0] += 1 }
            start = index + 1
        }
        if start < text.count { counts[text[start...], default: 0] += 1 }
    }

    private static func isWordByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"),
            0x80...0xff:
            true
        default: false
        }
    }

    var json: RawJSON {
        let sorted = counts.map { (String(decoding: $0.key, as: UTF8.self), $0.value) }
            .sorted { ($1.1, $0.0) < ($0.1, $1.0) }
        var writer = JSONWriter(capacity: 32 * sorted.count)
        writer.beginObject()
        for (word, count) in sorted {
            writer.key(named: word)
            writer.value(count)
        }
        writer.endObject()
        return RawJSON(trusted: writer.bytes[...])
    }
}

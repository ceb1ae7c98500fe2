import Glibc
import Jobs

/// Cuts what a command writes to its standard error into lines.
struct StandardError {
    private let descriptor: Int32
    private let source: CallSource?
    private var rest: [UInt8] = []
    private var taken = 0
    private(set) var isOpen = true

    /// Bytes after which no more is told of a command; a job keeps less.
    private static let limitBytes = 2 << 20

    init(_ descriptor: Int32, of source: CallSource?) {
        self.descriptor = descriptor
        self.source = source
        _ = fcntl(descriptor, F_SETFL, O_NONBLOCK)
    }

    var watched: pollfd { pollfd(fd: isOpen ? descriptor : -1, events: Int16(POLLIN), revents: 0) }

    /// Takes what is there now.
    mutating func read(_ buffer: inout [UInt8]) {
        while isOpen {
            let count = Glibc.read(descriptor, &buffer, buffer.count)
            if count < 0, errno == EAGAIN || errno == EINTR { return }
            guard count > 0 else { return finish() }
            guard taken < Self.limitBytes else { continue }
            taken += count
            rest += buffer[..<count]
            tellLines()
        }
    }

    /// Takes what comes until the process ends, lest the pipe fill up and hold it.
    mutating func read(until pidfd: Int32, _ buffer: inout [UInt8]) {
        while isOpen {
            var watched = [watched, pollfd(fd: pidfd, events: Int16(POLLIN), revents: 0)]
            poll(&watched, 2, -1)
            read(&buffer)
            if watched[1].revents != 0 { return }
        }
    }

    private mutating func tellLines() {
        var lines = rest.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
        let last = lines.removeLast()
        var told = lines.map { LogLine(.stderr, String(decoding: $0, as: UTF8.self)) }
        if last.count > LogLine.limitBytes {
            told.append(LogLine(.stderr, String(decoding: last, as: UTF8.self)))
            rest = []
        } else {
            rest = Array(last)
        }
        if let source, !told.isEmpty { source.reporter.log(told, of: source.job) }
    }

    /// Tells the last line, whether it was ended or not.
    mutating func finish() {
        guard isOpen else { return }
        isOpen = false
        close(descriptor)
        if let source, !rest.isEmpty {
            source.reporter.log(
                [LogLine(.stderr, String(decoding: rest, as: UTF8.self))], of: source.job)
        }
    }
}

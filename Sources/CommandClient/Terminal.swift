import Glibc
import Synchronization

/// What commands print and where.
enum Terminal {
    static let isOutput = isatty(STDOUT_FILENO) == 1
    static let isError = isatty(STDERR_FILENO) == 1

    /// A line on stdout.
    static func say(_ line: String) { write(Array(line.utf8) + [0x0a]) }

    /// A line on stderr.
    static func complain(_ line: String) {
        write(Array("martlet: \(printable(line))\n".utf8), to: STDERR_FILENO)
    }

    /// Writes all of it; an output that is closed ends the command by its signal.
    static func write(_ bytes: some Sequence<UInt8>, to fd: Int32 = STDOUT_FILENO) {
        var rest = Array(bytes)[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Glibc.write(fd, $0.baseAddress, $0.count) }
            if count < 0, errno == EINTR { continue }
            // A disk that is full: the shell must not take a cut result for a whole one.
            if count < 0 { exit(ExitStatus.refused.rawValue) }
            rest = rest.dropFirst(count)
        }
    }

    /// Columns of the terminal; 80 when there is none.
    static var width: Int {
        var size = winsize()
        guard ioctl(STDERR_FILENO, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0 else { return 80 }
        return Int(size.ws_col)
    }

    static var height: Int {
        var size = winsize()
        guard ioctl(STDOUT_FILENO, UInt(TIOCGWINSZ), &size) == 0, size.ws_row > 0 else { return 24 }
        return Int(size.ws_row)
    }

    /// Without control characters but line feeds and tabs: names and errors come from others and
    /// must not command the terminal.
    static func printable(_ text: String) -> String {
        String(
            String.UnicodeScalarView(
                text.unicodeScalars.map { scalar in
                    let isControl = scalar.value < 0x20 || (0x7f...0x9f).contains(scalar.value)
                    return isControl && scalar != "\n" && scalar != "\t" ? "\u{fffd}" : scalar
                }))
    }

    /// Columns as wide as their widest cell, two spaces apart; the last is left as it is.
    static func table(_ rows: [[String]]) -> String {
        let rows = rows.map { $0.map { printable($0).filter { $0 != "\n" } } }
        var widths: [Int] = []
        for row in rows {
            for (column, cell) in row.enumerated() {
                if column == widths.count { widths.append(0) }
                widths[column] = max(widths[column], cell.count)
            }
        }
        return rows.map { row in
            row.enumerated().map { column, cell in
                let pad = column == row.count - 1 ? 0 : widths[column] - cell.count + 2
                return cell + String(repeating: " ", count: pad)
            }.joined()
        }.map { $0 + "\n" }.joined()
    }
}

/// A bar on the last line of the terminal (stderr), above which results are printed.
final class ProgressBar: Sendable {
    private let isShown: Bool
    private let line = Mutex("")

    init() { isShown = Terminal.isError }

    func show(done: Int, total: Int, failed: Int) {
        guard isShown else { return }
        let counts = "\(done)/\(total)" + (failed > 0 ? ", \(failed) failed" : "")
        let room = max(10, min(50, Terminal.width - counts.count - 12))
        let part = total > 0 ? Double(done) / Double(total) : 1
        let full = Int(part * Double(room))
        let bar =
            String(repeating: "█", count: full) + String(repeating: "░", count: room - full)
        line.withLock { line in
            line = "\(bar) \(Int(part * 100)) % \(counts)"
            draw(line)
        }
    }

    /// Prints to stdout without disturbing the bar.
    func print(_ bytes: [UInt8]) {
        line.withLock { line in
            if isShown, Terminal.isOutput, !line.isEmpty { erase() }
            Terminal.write(bytes)
            if isShown, Terminal.isOutput, !line.isEmpty { draw(line) }
        }
    }

    /// Takes the bar away.
    func end() {
        line.withLock { line in
            if isShown, !line.isEmpty { erase() }
            line = ""
        }
    }

    private func draw(_ line: String) {
        Terminal.write("\r\u{1b}[K\(line)".utf8, to: STDERR_FILENO)
    }

    private func erase() { Terminal.write("\r\u{1b}[K".utf8, to: STDERR_FILENO) }
}

import Foundation
import GRDB
import Glibc
package import Jobs

/// What a person does with a store: make its file small, copy it.
package enum StoreUpkeep {
    /// Writes the file anew without what is free in it.
    ///
    /// It takes as much room again as the store while it lasts.
    ///
    /// - Returns: bytes before and after.
    /// - Throws: `locked` when a server uses the folder; the store is as it was.
    package static func compact(
        _ directory: String,
    ) throws(StoreError) -> (before: Int64, after: Int64) {
        let queue = try StoreFile.open(in: directory, readonly: false)
        let lock = try StoreLock(directory: directory)
        defer { lock.release() }
        let before = StoreFile.bytes(in: directory)
        do {
            try queue.inDatabase { database in
                try database.execute(sql: "PRAGMA synchronous = FULL; VACUUM")
                try database.checkpoint(.truncate)
            }
            try queue.close()
        } catch {
            throw StoreError(error)
        }
        return (before, StoreFile.bytes(in: directory))
    }

    /// Copies the store as it is at one moment, while a server may use it, and reads the copy.
    ///
    /// The copy is one file: what the store has in files of their own is in its rows.
    ///
    /// - Parameters:
    ///   - directory: the data folder.
    ///   - path: of a file that is not there yet; it comes to be only when it is whole.
    /// - Returns: its bytes.
    /// - Throws: when the file is there, cannot be written, or the store cannot be read.
    package static func backUp(_ directory: String, to path: String) throws(StoreError) -> Int64 {
        guard access(path, F_OK) != 0 else {
            throw .failed("\(path) is there already; name a new file.")
        }
        let source = try StoreFile.open(in: directory, readonly: true)
        let part = path + ".part"
        // What the copy names stays until it is in the copy, whatever a server forgets meanwhile.
        let files = PayloadFiles(in: directory)
        let hold = PayloadHold(files, .reading)
        defer { hold?.release() }
        do {
            unlink(part)  // of a backup that was broken off
            try source.inDatabase { database in
                try database.execute(sql: "VACUUM INTO ?", arguments: [part])
            }
            try PayloadInlining.run(part, files)
            try check(part)
            try sync(part)
            guard rename(part, path) == 0 else { throw failure("cannot make \(path)") }
            try sync(URL(fileURLWithPath: path).deletingLastPathComponent().path)
        } catch {
            unlink(part)
            throw StoreError(error)
        }
        let attributes = try? FileManager.default.attributesOfItem(atPath: path)
        return (attributes?[.size] as? Int64) ?? 0
    }

    private static func check(_ path: String) throws {
        var configuration = Configuration()
        configuration.readonly = true
        let copy = try DatabaseQueue(path: path, configuration: configuration)
        let found = try copy.inDatabase { try String.fetchOne($0, sql: "PRAGMA quick_check(1)") }
        try copy.close()
        guard found == "ok" else {
            throw StoreError.failed("The copy is damaged: \(found ?? ""). See martlet doctor.")
        }
    }

    private static func sync(_ path: String) throws {
        let file = Glibc.open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { throw failure("cannot open \(path)") }
        defer { Glibc.close(file) }
        guard fsync(file) == 0 else { throw failure("cannot sync \(path)") }
    }

    private static func failure(_ what: String) -> StoreError {
        .failed("\(what): \(String(cString: strerror(errno)))")
    }
}

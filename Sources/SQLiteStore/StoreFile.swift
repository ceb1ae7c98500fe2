import Foundation
import GRDB
import Jobs

/// The file of a store, for those who look after it while no server does, or beside one.
enum StoreFile {
    static func path(in directory: String) -> String { directory + "/martlet.sqlite" }

    /// Throws when there is no store in a data folder.
    static func require(in directory: String) throws(StoreError) {
        let path = path(in: directory)
        guard FileManager.default.fileExists(atPath: path) else {
            throw .failed("There is no store in \(directory): \(path) is not there.")
        }
    }

    /// Opens the file of a data folder, which must be there.
    static func open(in directory: String, readonly: Bool) throws(StoreError) -> DatabaseQueue {
        try require(in: directory)
        let path = path(in: directory)
        var configuration = Configuration()
        configuration.readonly = readonly
        configuration.busyMode = .timeout(30)
        do {
            let queue = try DatabaseQueue(path: path, configuration: configuration)
            guard try !queue.inDatabase(isLater) else {
                throw StoreError.failed("\(path) was written by a later version of Martlet.")
            }
            return queue
        } catch {
            throw StoreError(error)
        }
    }

    /// Whether a later version has written the file; no, if its version lies on a damaged page:
    /// then the caller will find more of these.
    private static func isLater(_ database: Database) throws -> Bool {
        do {
            return try Schema.migrator.hasBeenSuperseded(database)
        } catch let error as DatabaseError where error.resultCode == .SQLITE_CORRUPT {
            return false
        }
    }

    /// Bytes of the file and its log.
    static func bytes(in directory: String) -> Int64 {
        [path(in: directory), path(in: directory) + "-wal"].reduce(0) { sum, path in
            // A file that is not there has none.
            let attributes = try? FileManager.default.attributesOfItem(atPath: path)
            return sum + ((attributes?[.size] as? Int64) ?? 0)
        }
    }
}

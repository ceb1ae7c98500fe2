import Glibc
import GRDB
package import Jobs

/// How the store does.
extension SQLiteJobStore {
    package var statistics: StoreStatistics {
        var statistics = writer.statistics
        statistics.bytes = payloads.bytes
        for suffix in ["", "-wal"] {
            var status = stat()
            if stat(path + suffix, &status) == 0 { statistics.bytes += Int(status.st_size) }
        }
        return statistics
    }

    package func probe() async throws(StoreError) {
        try await writer.perform { database, _ in
            // A page of the file is written, whatever the version is.
            let version = try Int.fetchOne(database, sql: "PRAGMA user_version") ?? 0
            try database.execute(sql: "PRAGMA user_version = \(version &+ 1 & 0xffff)")
        }
    }
}

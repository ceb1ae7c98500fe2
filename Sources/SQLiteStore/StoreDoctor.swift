import Foundation
import GRDB
package import Jobs
import RawJSON

/// Examines a store: SQLite's own check, and what must hold between the tables.
package struct StoreDoctor {
    /// Something that is not as it should be.
    package struct Finding: Sendable {
        package let text: String
        package var isMended = false
    }

    /// What an examination has found.
    package struct Report: Sendable {
        package var findings: [Finding] = []
        /// Jobs looked at.
        package var jobs = 0
        /// The copy of the file as it was, made before something was mended.
        package var copy: String?
        /// Whether a server uses the store.
        package var isInUse = false
    }

    private let directory: String
    private var report = Report()

    private init(directory: String) { self.directory = directory }

    /// Looks at the store of a data folder, which a server may use meanwhile.
    ///
    /// - Throws: when there is none.
    package static func examine(_ directory: String) throws(StoreError) -> Report {
        var doctor = StoreDoctor(directory: directory)
        try StoreFile.require(in: directory)
        let queue: DatabaseQueue
        do throws(StoreError) {
            queue = try StoreFile.open(in: directory, readonly: true)
        } catch {
            doctor.note("The file cannot be opened. \(error)")
            return doctor.report
        }
        do throws(StoreError) {
            let lock = try StoreLock(directory: directory)
            lock.release()
        } catch {
            if case .locked = error { doctor.report.isInUse = true }
        }
        return doctor.examine(queue)
    }

    /// Looks at the store, mends what is safe to mend, and looks again.
    ///
    /// Safe is what can be told from the jobs themselves: indexes, buckets, tags, parts of jobs that
    /// are gone, times that are missing. The database is copied before.
    ///
    /// - Throws: `locked` when a server uses the store.
    package static func repair(_ directory: String) throws(StoreError) -> Report {
        let before = try examine(directory)
        guard !before.findings.isEmpty else { return before }
        let lock = try StoreLock(directory: directory)
        defer { lock.release() }
        var after: Report
        let copy: String
        do {
            copy = try copyFile(directory)
            let queue = try StoreFile.open(in: directory, readonly: false)
            try queue.inDatabase { database in
                try database.execute(sql: "PRAGMA synchronous = FULL")
                try StoreRepair.run(database)
                let named = try PayloadStatements.files(database)
                _ = try PayloadFiles(in: directory).removeOrphans(but: named)
            }
            try queue.close()
        } catch {
            throw StoreError(error)
        }
        after = try examine(directory)
        after.copy = copy
        after.isInUse = false
        let left = Set(after.findings.map(\.text))
        after.findings += before.findings.filter { !left.contains($0.text) }.map {
            Finding(text: $0.text, isMended: true)
        }
        return after
    }

    private static func copyFile(_ directory: String) throws -> String {
        let path = StoreFile.path(in: directory)
        let copy = path + ".before-repair"
        for suffix in ["", "-wal"] where FileManager.default.fileExists(atPath: path + suffix) {
            if FileManager.default.fileExists(atPath: copy + suffix) {
                try FileManager.default.removeItem(atPath: copy + suffix)
            }
            try FileManager.default.copyItem(atPath: path + suffix, toPath: copy + suffix)
        }
        return copy
    }

    // MARK: Looking

    private mutating func examine(_ queue: DatabaseQueue) -> Report {
        // Beside a server: the files of the moment that is looked at stay meanwhile.
        let hold = PayloadHold(PayloadFiles(in: directory), .reading)
        defer { hold?.release() }
        do {
            try queue.inDatabase { database in
                // One snapshot for all, beside a server, too.
                try database.inTransaction(.deferred) {
                    try look(database)
                    return .commit
                }
            }
            try queue.close()
        } catch {
            note("The file cannot be read. \(StoreError(error))")
        }
        return report
    }

    private mutating func look(_ database: Database) throws {
        do {
            guard try Schema.migrator.hasCompletedMigrations(database) else {
                return note(
                    "The store is of an earlier version: start the server once, which converts it.")
            }
            for line in try String.fetchAll(database, sql: "PRAGMA integrity_check(20)")
            where line != "ok" {
                note("SQLite: \(line)")
            }
            let census = try JobCensus(database, PayloadFiles(in: directory))
            report.jobs = census.jobs
            for text in census.findings { note(text) }
            try lookAtParts(database)
            try lookAtFiles(database)
        } catch let error as DatabaseError {
            note("The jobs cannot be read to the end: \(error.message ?? "\(error.resultCode)")")
        }
    }

    private mutating func lookAtParts(_ database: Database) throws {
        for (sql, what) in Self.partChecks {
            let count = try Int.fetchOne(database, sql: sql) ?? 0
            if count > 0 { note("\(count) \(what)") }
        }
    }

    private mutating func lookAtFiles(_ database: Database) throws {
        let folder = PayloadFiles(in: directory)
        let named = try PayloadStatements.files(database)
        let missing = try named.filter { try folder.size(of: $0.name) != $0.bytes }
        if let first = missing.first {
            note("\(missing.count) files are not there or cut short; the first is \(first.name)")
        }
        // A server may be about to name the others.
        guard !report.isInUse else { return }
        let orphans = Set(try folder.names()).subtracting(named.map(\.name))
        if !orphans.isEmpty { note("\(orphans.count) files belong to no job") }
    }

    /// What is counted, and its name in a finding.
    private static let partChecks = [
        (
            "SELECT count(*) FROM items WHERE NOT EXISTS (SELECT 1 FROM jobs WHERE id = items.job)",
            "results of items belong to no job"
        ),
        (
            "SELECT count(*) FROM logs WHERE NOT EXISTS (SELECT 1 FROM jobs WHERE id = logs.job)",
            "lines of logs belong to no job"
        ),
        (
            """
            SELECT count(*) FROM (
                SELECT first + count AS next, lead(first) OVER (PARTITION BY job ORDER BY first)
                    AS follower FROM items)
            WHERE follower < next
            """, "results of items overlap"
        ),
        (
            """
            SELECT count(*) FROM job_tags WHERE NOT EXISTS (
                SELECT 1 FROM jobs, json_each(jobs.tags) WHERE jobs.id = job_tags.job
                    AND jobs.bucket = job_tags.bucket AND value = job_tags.tag)
            """, "tags belong to no job"
        ),
        (
            """
            SELECT count(*) FROM jobs, json_each(jobs.tags) WHERE jobs.tags IS NOT NULL
                AND NOT EXISTS (SELECT 1 FROM job_tags WHERE tag = value
                    AND bucket = jobs.bucket AND job = jobs.id)
            """, "tags of jobs are not found by lists"
        ),
        (
            "SELECT count(*) FROM payloads WHERE \(StoreRepair.isUnnamed)",
            "files are listed that no job names"
        ),
    ]

    private mutating func note(_ text: String) { report.findings.append(Finding(text: text)) }
}

import GRDB
package import Jobs

/// Items of large maps.
extension SQLiteJobStore {
    package func appendItems(
        _ piece: ItemPiece, to id: JobID,
    ) async throws(StoreError) -> Bool {
        try await writer.perform { _, statements in
            try statements.uploads.append(piece, to: id.sequence)
        }
    }

    package func endUpload(_ id: JobID) async throws(StoreError) {
        try await writer.perform { _, statements in
            try statements.uploads.endUpload(id.sequence)
        }
    }

    package func unfinishedUploads() async throws(StoreError) -> [JobID] {
        try await read { database in
            var found: [JobID] = []
            let statement = try RowStatement(
                cached: """
                    SELECT jobs.id, jobs.uuid_low FROM uploads JOIN jobs ON jobs.id = uploads.job
                    """, database)
            try statement.rows({ _ in }) { row in
                found.append(JobRow.id(row.number(0), low: row.number(1)))
                return true
            }
            return found
        }
    }

    package func pieceRanges(
        _ id: JobID, from first: Int,
    ) async throws(StoreError) -> [Range<Int>] {
        try await read { database in
            var found: [Range<Int>] = []
            let statement = try RowStatement(
                cached: """
                    SELECT first, count FROM item_pieces WHERE job = ? AND first >= ?
                    ORDER BY first
                    """, database)
            try statement.rows {
                $0.add(id.sequence)
                $0.add(first)
            } _: { row in
                let first = Int(row.number(0))
                found.append(first..<first + Int(row.number(1)))
                return true
            }
            return found
        }
    }

    package func piece(_ id: JobID, at first: Int) async throws(StoreError) -> ItemPiece? {
        try await read { database in
            let statement = try RowStatement(
                cached: "SELECT count, items FROM item_pieces WHERE job = ? AND first = ?", database
            )
            return try statement.first(
                {
                    $0.add(id.sequence)
                    $0.add(first)
                },
                { ItemPiece(first: first, count: Int($0.number(0)), items: $0.bytes(1)[...]) })
        }
    }
}

import GRDB
import Jobs

/// The changes of large maps' items, prepared once; made and used as `JobStatements` are.
struct UploadStatements {
    private let insertPiece: RowStatement
    private let count: RowStatement
    private let begin: RowStatement
    private let end: RowStatement
    private let deletePieces: RowStatement

    init(_ database: Database) throws {
        insertPiece = try RowStatement(
            database, "INSERT INTO item_pieces (job, first, count, items) VALUES (?, ?, ?, ?)")
        count = try RowStatement(
            database, "UPDATE jobs SET item_count = ? WHERE id = ? RETURNING 1")
        begin = try RowStatement(database, "INSERT INTO uploads (job) VALUES (?)")
        end = try RowStatement(database, "DELETE FROM uploads WHERE job = ?")
        deletePieces = try RowStatement(database, "DELETE FROM item_pieces WHERE job = ?")
    }

    /// Keeps the items of a new job.
    func insert(_ job: Job) throws {
        for piece in job.pieces { try insert(piece, of: job.id.sequence) }
        if job.isUploading { try begin.run { $0.add(job.id.sequence) } }
    }

    /// Adds items to a job; false when it is not there.
    func append(_ piece: ItemPiece, to id: Int64) throws -> Bool {
        let isThere = try count.first(
            {
                $0.add(piece.range.upperBound)
                $0.add(id)
            }, { _ in true })
        guard isThere != nil else { return false }
        try insert(piece, of: id)
        return true
    }

    private func insert(_ piece: ItemPiece, of id: Int64) throws {
        try insertPiece.run { row in
            row.add(id)
            row.add(piece.first)
            row.add(piece.count)
            row.add(piece.items)
        }
    }

    func endUpload(_ id: Int64) throws { try end.run { $0.add(id) } }

    func delete(_ id: Int64) throws {
        try end.run { $0.add(id) }
        try deletePieces.run { $0.add(id) }
    }
}

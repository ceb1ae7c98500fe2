import Jobs
import RawJSON
import Testing

/// What every store promises of large maps.
@Suite struct ItemStoreTests {
    let make = JobMaker()

    private func piece(_ first: Int, _ items: String) -> ItemPiece {
        ItemPiece(
            first: first, count: items.split(separator: ",").count, items: Array(items.utf8)[...])
    }

    private func map(isUploading: Bool = false) throws -> Job {
        var job = try make.job(#"{"function":"add","map":[]}"#)
        job.isUploading = isUploading
        return job
    }

    @Test(arguments: StoreKind.allCases)
    func `a job's pieces are stored with it, and go with it`(kind: StoreKind) async throws {
        try await kind.withStore { store in
            var job = try map()
            job.pieces = [piece(0, "1,2,3"), piece(3, "4")]
            job.submission.setItemCount(4)
            _ = try await store.insert([job])
            let found = try #require(try await store.job(job.id))
            #expect(found.pieces.isEmpty)
            #expect(found.submission.work.itemCount == 4)
            #expect(try await store.pieceRanges(job.id, from: 0) == [0..<3, 3..<4])
            #expect(try await store.pieceRanges(job.id, from: 3) == [3..<4])
            #expect(try await store.piece(job.id, at: 0) == piece(0, "1,2,3"))
            #expect(try await store.piece(job.id, at: 1) == nil)
            #expect(try await store.unfinishedUploads().isEmpty)
            #expect(try await store.delete(job.id))
            #expect(try await store.pieceRanges(job.id, from: 0).isEmpty)
        }
    }

    @Test(arguments: StoreKind.allCases)
    func `an upload grows its job and is unfinished until its end`(kind: StoreKind) async throws {
        try await kind.withStore { store in
            let (job, other) = (try map(isUploading: true), try map(isUploading: true))
            _ = try await store.insert([job, other])
            #expect(try await store.appendItems(piece(0, "1,2"), to: job.id))
            #expect(try await store.appendItems(piece(2, "3"), to: job.id))
            // An attempt that ends meanwhile knows less of the items.
            var older = job
            older.state = .running
            try await store.update(older, adding: [])
            #expect(try await store.job(job.id)?.submission.work.itemCount == 3)
            try await store.endUpload(other.id)
            #expect(try await store.unfinishedUploads() == [job.id])
            try await store.endUpload(job.id)
            #expect(try await store.unfinishedUploads().isEmpty)
        }
    }

    @Test(arguments: StoreKind.allCases)
    func `a job that is gone takes no items`(kind: StoreKind) async throws {
        try await kind.withStore { store in
            let job = try map(isUploading: true)
            _ = try await store.insert([job])
            #expect(try await store.delete(job.id))
            #expect(try await !store.appendItems(piece(0, "1"), to: job.id))
            #expect(try await store.pieceRanges(job.id, from: 0).isEmpty)
            #expect(try await store.unfinishedUploads().isEmpty)
        }
    }

    @Test func `a large map is taken apart and put together byte for byte`() throws {
        let items = (0..<50_000).map { "\($0) , " }.joined() + "null"
        let text = #"{ "function":"add", "map" : [ \#(items) ] , "tags":["map"] }"#
        var submission = try JobSubmission(parsing: RawJSON(validating: Array(text.utf8)))
        let pieces = submission.takeItems()
        #expect(pieces.count > 1)
        #expect(pieces.allSatisfy { $0.items.count <= ItemPiece.sizeBytes })
        #expect(pieces.map(\.range.upperBound).last == 50_001)
        #expect(submission.work.itemCount == 50_001)
        let (head, tail) = try #require(submission.documentAroundItems)
        let whole = Array(head) + pieces.map { Array($0.items) }.joined(separator: [0x2c]) + tail
        let again = RawJSON(trusted: whole[...])
        #expect(again.member("map")?.elementCount == 50_001)
        #expect(String(decoding: head, as: UTF8.self) == #"{ "function":"add", "map" : ["#)
        #expect(String(decoding: tail, as: UTF8.self) == #"] , "tags":["map"] }"#)
    }

    @Test func `a small map keeps its items`() throws {
        let text = Array(#"{"function":"add","map":[1,2]}"#.utf8)
        var submission = try JobSubmission(parsing: RawJSON(validating: text))
        #expect(submission.takeItems().isEmpty)
        #expect(submission.documentAroundItems == nil)
        #expect(submission.document.bytes.elementsEqual(text))
    }
}

import Foundation
import Testing
import Threads

@testable import Blobs

@Suite struct BlobFolderTests {
    /// The SHA-256 of "abc", FIPS 180-2, appendix B.1.
    private static let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"

    private func withFolder(
        mostBytes: Int = 1 << 20, _ body: (BlobFolder) async throws -> Void,
    ) async throws {
        let path = NSTemporaryDirectory() + "martlet-blobs-\(UUID().uuidString)"
        defer { try? FileManager.default.removeItem(atPath: path) }
        let folder = try BlobFolder(at: path, mostBytes: mostBytes)
        try await body(folder)
        folder.stop()
    }

    /// Keeps bytes under their own name, which a refusal tells.
    private func keep(_ bytes: [UInt8], in folder: BlobFolder) async throws -> BlobDigest {
        let guess = try #require(BlobDigest(Self.abc))
        let probe = try await folder.upload(guess)
        try await probe.add(bytes)
        do throws(BlobError) {
            try await probe.finish()
            return guess
        } catch {
            guard case .mismatch(let actual) = error else { throw error }
            let upload = try await folder.upload(actual)
            for start in stride(from: 0, to: bytes.count, by: 7) {
                try await upload.add(Array(bytes[start..<min(start + 7, bytes.count)]))
            }
            try await upload.finish()
            return actual
        }
    }

    private func read(_ digest: BlobDigest, in folder: BlobFolder) async throws -> [UInt8]? {
        guard let file = try await folder.content(of: digest) else { return nil }
        var bytes: [UInt8] = []
        while bytes.count < file.count {
            bytes += try await file.read(from: bytes.count, 1 << 16)
        }
        return bytes
    }

    private func files(_ folder: BlobFolder) throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: folder.path)
    }

    @Test func `what is kept is read again`() async throws {
        try await withFolder { folder in
            let digest = try #require(BlobDigest(Self.abc))
            #expect(try await folder.bytes(of: digest) == nil)
            let upload = try await folder.upload(digest)
            try await upload.add(Array("ab".utf8))
            try await upload.add(Array("c".utf8))
            #expect(try await folder.bytes(of: digest) == nil, "it is there before its end")
            try await upload.finish()
            #expect(try await folder.bytes(of: digest) == 3)
            #expect(try await read(digest, in: folder) == Array("abc".utf8))
            let large = (0..<700_000).map { UInt8(truncatingIfNeeded: $0 &* 31) }
            let other = try await keep(large, in: folder)
            #expect(try await read(other, in: folder) == large)
            #expect(try await folder.remove(other))
            #expect(try await folder.remove(other) == false)
            #expect(try await read(other, in: folder) == nil)
        }
    }

    @Test func `other bytes than the name says are refused and leave nothing`() async throws {
        try await withFolder { folder in
            let digest = try #require(BlobDigest(Self.abc))
            do {
                let upload = try await folder.upload(digest)
                try await upload.add(Array("abd".utf8))
                await #expect(throws: BlobError.self) { try await upload.finish() }
                let left = try await folder.upload(digest)
                try await left.add(Array("ab".utf8))
            }
            // The threads remove the drafts when the uploads are gone.
            for _ in 0..<3000 where try !files(folder).isEmpty {
                try await Task.sleep(for: .milliseconds(10))
            }
            #expect(try files(folder) == [])
        }
    }

    @Test func `past the bound what was used longest ago goes`() async throws {
        try await withFolder(mostBytes: 250) { folder in
            let first = try await keep([UInt8](repeating: 1, count: 100), in: folder)
            try await Task.sleep(for: .milliseconds(20))
            let second = try await keep([UInt8](repeating: 2, count: 100), in: folder)
            try await Task.sleep(for: .milliseconds(20))
            #expect(try await folder.bytes(of: first) == 100)  // used again
            let third = try await keep([UInt8](repeating: 3, count: 100), in: folder)
            #expect(try await folder.bytes(of: first) == 100)
            #expect(try await folder.bytes(of: second) == nil)
            #expect(try await folder.bytes(of: third) == 100)
        }
    }

    @Test func `drafts of an earlier server are removed`() async throws {
        try await withFolder { folder in
            let kept = try await keep([1, 2, 3], in: folder)
            let draft = folder.path + "/\(kept).7.part"
            #expect(FileManager.default.createFile(atPath: draft, contents: Data([1])))
            let again = try BlobFolder(at: folder.path, mostBytes: 10)
            #expect(try files(again) == [kept.description])
            again.stop()
        }
    }

    @Test(arguments: ["", "abc", String(repeating: "A", count: 64), abc + "0", "../../etc/passwd"])
    func `only a digest is a name`(text: String) {
        #expect(BlobDigest(text) == nil)
    }
}

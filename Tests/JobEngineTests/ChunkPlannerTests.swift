import Jobs
import Testing

@testable import JobEngine

@Suite struct ChunkPlannerTests {
    private func drain(_ planner: inout ChunkPlanner, seconds: Double) -> [Range<Int>] {
        var chunks: [Range<Int>] = []
        while let chunk = planner.next() {
            chunks.append(chunk)
            planner.note(chunk.count, seconds: seconds * Double(chunk.count))
        }
        return chunks
    }

    @Test func `every item is given out once, tiny ones in large chunks`() {
        var planner = ChunkPlanner(count: 100_000, done: [], size: .auto, width: 2)
        let chunks = drain(&planner, seconds: 1e-7)
        #expect(chunks.flatMap(Array.init) == Array(0..<100_000))
        #expect(chunks.first?.count == 1)
        #expect(chunks.count < 100)
    }

    @Test func `long items come one by one`() {
        var planner = ChunkPlanner(count: 5, done: [], size: .auto, width: 2)
        #expect(drain(&planner, seconds: 1).allSatisfy { $0.count == 1 })
    }

    @Test func `items that have ended are left out`() {
        var planner = ChunkPlanner(
            count: 10, done: [0..<3, 5..<6], size: .items(4), width: 1)
        #expect(planner.left == 6)
        #expect(drain(&planner, seconds: 1) == [3..<5, 6..<10])
    }

    @Test func `a chunk that failed as a whole is run item by item`() {
        var planner = ChunkPlanner(count: 4, done: [], size: .items(4), width: 1)
        #expect(planner.next() == 0..<4)
        planner.runSingly(0..<4)
        #expect(drain(&planner, seconds: 1) == [0..<1, 1..<2, 2..<3, 3..<4])
        #expect(planner.left == 0)
    }
}

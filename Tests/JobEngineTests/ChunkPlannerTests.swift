import Jobs
import Testing

@testable import JobEngine

@Suite struct ChunkPlannerTests {
    private func planner(
        _ count: Int, done: [Range<Int>] = [], size: ChunkSize, width: Int,
    ) -> ChunkPlanner {
        var planner = ChunkPlanner(done: done, size: size, width: width)
        planner.add([0..<count])
        return planner
    }

    private func drain(_ planner: inout ChunkPlanner, seconds: Double) -> [Range<Int>] {
        var chunks: [Range<Int>] = []
        while let chunk = planner.next() {
            chunks.append(chunk)
            planner.note(chunk.count, seconds: seconds * Double(chunk.count))
        }
        return chunks
    }

    @Test func `every item is given out once, tiny ones in large chunks`() {
        var planner = planner(100_000, size: .auto, width: 2)
        let chunks = drain(&planner, seconds: 1e-7)
        #expect(chunks.flatMap(Array.init) == Array(0..<100_000))
        #expect(chunks.first?.count == 1)
        #expect(chunks.count < 100)
    }

    @Test func `long items come one by one`() {
        var planner = planner(5, size: .auto, width: 2)
        #expect(drain(&planner, seconds: 1).allSatisfy { $0.count == 1 })
    }

    @Test func `items that have ended are left out`() {
        var planner = planner(10, done: [0..<3, 5..<6], size: .items(4), width: 1)
        #expect(planner.left == 6)
        #expect(drain(&planner, seconds: 1) == [3..<5, 6..<10])
    }

    @Test func `a chunk that failed as a whole is run item by item`() {
        var planner = planner(4, size: .items(4), width: 1)
        #expect(planner.next() == 0..<4)
        planner.runSingly(0..<4)
        #expect(drain(&planner, seconds: 1) == [0..<1, 1..<2, 2..<3, 3..<4])
        #expect(planner.left == 0)
    }

    @Test func `no chunk is of two pieces, and what is done is left out of each`() {
        var planner = ChunkPlanner(done: [2..<5, 7..<12], size: .items(100), width: 1)
        planner.add([0..<4, 4..<8, 8..<10, 10..<15])
        #expect(planner.left == 7)
        #expect(drain(&planner, seconds: 1) == [0..<2, 5..<7, 12..<15])
    }

    @Test func `pieces that come later follow those that there were`() {
        var planner = ChunkPlanner(done: [0..<1], size: .items(2), width: 1)
        planner.add([0..<3])
        #expect(planner.next() == 1..<3)
        #expect(planner.next() == nil)
        planner.add([3..<4, 4..<9])
        planner.add([9..<10])
        #expect(planner.left == 7)
        #expect(drain(&planner, seconds: 1) == [3..<4, 4..<6, 6..<8, 8..<9, 9..<10])
    }
}

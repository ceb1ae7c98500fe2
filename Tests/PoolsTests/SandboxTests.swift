import Foundation
import Testing

@testable import Pools

@Suite struct SandboxTests {
    private let folder: String

    init() throws {
        let made = FileManager.default.temporaryDirectory
            .appendingPathComponent("sandbox-\(UUID().uuidString)")
        for name in ["shown/data/blobs", "beside"] {
            try FileManager.default.createDirectory(
                at: made.appendingPathComponent(name), withIntermediateDirectories: true)
        }
        try Data("secret".utf8).write(to: made.appendingPathComponent("shown/token"))
        try FileManager.default.createSymbolicLink(
            at: made.appendingPathComponent("link"),
            withDestinationURL: made.appendingPathComponent("shown"))
        folder = made.path
    }

    private func options(
        shown: [String], hidden: [String] = [], again: [String] = [],
    ) -> [String] {
        func paths(_ names: [String]) -> [String] { names.map { "\(folder)/\($0)" } }
        return Sandbox(
            program: "/usr/bin/bwrap", shown: paths(shown), hidden: paths(hidden),
            shownAgain: paths(again)
        ).wrapping(["/bin/true", "x"])
    }

    /// Where words stand one after the other.
    private func place(_ words: [String], in all: [String]) -> Int? {
        all.indices.first { all[$0...].starts(with: words) }
    }

    @Test func `what is shown comes over the private tmp, and the program comes last`() throws {
        let all = options(shown: ["shown"])
        let scratch = try #require(place(["--tmpfs", "/tmp"], in: all))
        let path = "\(folder)/shown"
        let bind = try #require(place(["--ro-bind-try", path, path], in: all))
        let closed = try #require(place(["--remount-ro", "/", "--chdir", "/tmp"], in: all))
        #expect(scratch < bind && bind < closed)
        #expect(all.suffix(3) == ["--", "/bin/true", "x"])
        #expect(all.first == "/usr/bin/bwrap")
    }

    @Test func `what lies in another that is shown is not bound twice`() {
        let all = options(shown: ["shown/data", "shown", "shown/data/blobs"])
        let path = "\(folder)/shown/data"
        #expect(place(["--ro-bind-try", path, path], in: all) == nil)
    }

    @Test(arguments: ["shown", "link"])
    func `a secret is hidden by whatever name it can be reached`(name: String) throws {
        let all = options(
            shown: [name], hidden: ["shown/data", "shown/token", "beside"],
            again: ["shown/data/blobs"])
        let data = try #require(place(["--tmpfs", "\(folder)/\(name)/data"], in: all))
        let blobs = "\(folder)/shown/data/blobs"
        let again = try #require(place(["--ro-bind-try", blobs, blobs], in: all))
        #expect(data < again)
        #expect(place(["--ro-bind", "/dev/null", "\(folder)/\(name)/token"], in: all) != nil)
        // Nobody sees it: there is nothing to hide.
        #expect(place(["--tmpfs", "\(folder)/beside"], in: all) == nil)
    }

    @Test func `it knows what it shows`() {
        let sandbox = Sandbox(program: "bwrap", shown: ["/srv/a"], shownAgain: ["/srv/b"])
        #expect(sandbox.shows("/srv/a/x") && sandbox.shows("/srv/a") && sandbox.shows("/srv/b"))
        #expect(!sandbox.shows("/srv/ax") && !sandbox.shows("/srv"))
    }

    @Test(
        arguments: [
            (139 << 8, true, nil, 11), (137 << 8, true, nil, 9), (9, true, nil, 9),
            (128 << 8, true, 128, nil), (200 << 8, true, 200, nil), (7 << 8, true, 7, nil),
            (0, true, 0, nil), (139 << 8, false, 139, nil),
        ] as [(Int32, Bool, Int?, Int?)])
    func `a signal inside is told by bubblewrap's status`(
        word: Int32, isSandboxed: Bool, status: Int?, signal: Int?,
    ) {
        let end = ProcessEnd(status: word, usage: rusage(), isSandboxed: isSandboxed)
        #expect(end.status == status)
        #expect(end.signal == signal)
    }
}

import Foundation
import Testing

/// Keeps the walls of the house: which module may not import which.
@Suite struct HouseTests {
    private static let root = URL(fileURLWithPath: #filePath)
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

    /// Each module and what it may import: the graph of ARCHITECTURE.md, and the system's C library.
    private static let allowed: [String: Set<String>] = [
        "RawJSON": [],
        "HTTPWire": [],
        "Digests": ["COpenSSL"],
        "Threads": ["CLinux", "DequeModule", "Glibc"],
        "Sockets": ["CLinux", "COpenSSL", "Glibc", "HeapModule", "Threads"],
        "WebClient": ["CCurl", "CLinux", "DequeModule", "Glibc", "Sockets"],
        "Tracing": ["DequeModule", "Logging", "RawJSON", "WebClient"],
        "WebServer": [
            "CLinux", "CNghttp2", "CZlib", "CZstd", "Glibc", "HTTPWire", "Sockets", "Threads",
            "Tracing",
        ],
        "Jobs": ["Glibc", "RawJSON", "Threads"],
        "Blobs": ["CLinux", "Digests", "Glibc", "Threads"],
        "Functions": ["CEmbedded", "CLinux", "Digests", "Glibc", "Jobs", "RawJSON", "WebClient"],
        "SQLiteStore": [
            "CLinux", "CSQLite", "Foundation", "GRDB", "GRDBSQLite", "Glibc", "Jobs", "Logging",
            "RawJSON", "Threads",
        ],
        "Pools": [
            "CLinux", "DequeModule", "Functions", "Glibc", "HeapModule", "Jobs", "Logging",
            "RawJSON", "Sockets", "Threads",
        ],
        "JobEngine": [
            "DequeModule", "Functions", "HeapModule", "Jobs", "Logging", "Pools", "RawJSON",
            "Sockets", "Threads", "Tracing",
        ],
        "JobsAPI": [
            "Blobs", "CEmbedded", "Functions", "Glibc", "HTTPWire", "JobEngine", "Jobs", "Pools",
            "RawJSON", "Threads", "Tracing", "WebServer",
        ],
        "Dashboard": ["CEmbedded", "HTTPWire", "WebServer"],
        "CommandClient": [
            "ArgumentParser", "CLinux", "Glibc", "RawJSON", "Sockets", "Threads", "WebClient",
        ],
        "Daemon": [
            "ArgumentParser", "Blobs", "CLinux", "CNoICUData", "CYaml", "CommandClient",
            "Dashboard", "Functions", "Glibc", "HTTPWire", "JobEngine", "Jobs", "JobsAPI",
            "Logging", "Pools", "RawJSON", "SQLiteStore", "Sockets", "Threads", "Tracing",
            "WebClient", "WebServer",
        ],
        "martlet": ["Daemon"],
    ]

    /// Of the standard library.
    private static let everybodys: Set<String> = ["Synchronization"]

    /// The imports of a module, with the files that they stand in.
    private static func imports(of module: String) throws -> [(name: String, file: String)] {
        let folder = root.appendingPathComponent("Sources/\(module)")
        let files = try FileManager.default.contentsOfDirectory(
            at: folder, includingPropertiesForKeys: nil
        ).filter { $0.pathExtension == "swift" }
        #expect(!files.isEmpty)
        return try files.flatMap { file in
            try String(contentsOf: file, encoding: .utf8).split(separator: "\n")
                .compactMap(Self.imported).map { ($0, file.lastPathComponent) }
        }
    }

    /// The module that a line imports, with whatever attributes, access and kind of declaration.
    private static func imported(_ line: Substring) -> String? {
        let statement =
            /\s*(?:@\w+\s+)*(?:\w+\s+)?import\s+(?:\w+\s+)?(\w+)(?:\.\w+)*\s*(?:\/\/.*)?/
        return line.wholeMatch(of: statement).map { String($0.1) }
    }

    @Test(
        arguments: [
            ("import A", "A"), ("package import A", "A"), ("import struct A.B", "A"),
            ("@preconcurrency internal import A  // why", "A"), ("    import A", "A"),
            ("/// to import A", nil), ("let import_ = A", nil), ("import a, b", nil),
        ] as [(String, String?)])
    func `imports are seen in whatever form`(line: String, module: String?) {
        #expect(Self.imported(line[...]) == module)
    }

    @Test func `all modules have their place in the house`() throws {
        let sources = Self.root.appendingPathComponent("Sources").path
        let modules = try FileManager.default.contentsOfDirectory(atPath: sources)
            .filter { name in
                (try? FileManager.default.contentsOfDirectory(atPath: sources + "/" + name))?
                    .contains { $0.hasSuffix(".swift") } == true
            }
        #expect(Set(modules) == Set(Self.allowed.keys))
    }

    @Test(arguments: allowed.keys.sorted())
    func `a module imports only what lies below it`(module: String) throws {
        let allowed = try #require(Self.allowed[module]).union(Self.everybodys)
        for (name, file) in try Self.imports(of: module) {
            #expect(allowed.contains(name), "\(file) imports \(name)")
        }
    }

    @Test func `the fuzzers' package has the modules that its own import`() throws {
        func modules(in folder: String) throws -> Set<String> {
            let path = Self.root.appendingPathComponent(folder).path
            return Set(try FileManager.default.contentsOfDirectory(atPath: path))
        }
        let linked = try modules(in: "Fuzzing/Sources")
        let ours = try modules(in: "Sources")
        #expect(linked.contains("WebServer"))
        for module in linked.intersection(ours) where !module.hasPrefix("C") {
            for (name, file) in try Self.imports(of: module) where ours.contains(name) {
                #expect(linked.contains(name), "\(file) imports \(name)")
            }
        }
    }

    @Test func `there is no SwiftNIO in the package graph`() throws {
        let manifest = Self.root.appendingPathComponent("Package.swift")
        let text = try String(contentsOf: manifest, encoding: .utf8)
        #expect(!text.contains("swift-nio"))
        // Wherever the build folder is, what it holds is written down here.
        let pins = Self.root.appendingPathComponent("Package.resolved")
        let resolved = try String(contentsOf: pins, encoding: .utf8)
        #expect(resolved.contains("grdb.swift"))
        #expect(!resolved.contains("swift-nio"))
    }
}

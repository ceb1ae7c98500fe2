import Foundation
import Testing

/// Keeps the walls of the house: which module may not import which.
@Suite struct HouseTests {
    private static let root = URL(fileURLWithPath: #filePath)
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

    private static let forbidden: [String: [String]] = [
        "RawJSON": ["Foundation", "Glibc", "Jobs", "Sockets"],
        "HTTPWire": ["Foundation", "Glibc", "Sockets", "Jobs", "RawJSON"],
        "WebClient": ["Foundation", "Jobs", "RawJSON", "WebServer", "HTTPWire"],
        "Tracing": ["Foundation", "Jobs", "JobEngine", "WebServer", "HTTPWire"],
        "WebServer": ["Foundation", "Jobs", "JobEngine", "Pools", "RawJSON"],
        "Jobs": ["Foundation", "Sockets", "WebServer", "GRDB"],
        "Functions": ["Foundation", "WebServer", "Pools", "JobEngine"],
        "Blobs": ["Foundation", "Jobs", "WebServer", "HTTPWire"],
        "Pools": ["Foundation", "WebServer", "JobEngine", "SQLiteStore"],
        "JobEngine": ["Foundation", "WebServer", "HTTPWire", "SQLiteStore", "GRDB"],
        "CommandClient": [
            "Foundation", "Jobs", "JobEngine", "Pools", "Functions", "SQLiteStore", "WebServer",
        ],
        "Dashboard": ["Foundation", "Jobs", "JobEngine", "SQLiteStore", "Sockets"],
        "JobsAPI": ["Foundation", "SQLiteStore", "Sockets"],
    ]

    /// The imports of a module, with the files that they stand in.
    private static func imports(of module: String) throws -> [(name: String, file: String)] {
        let folder = root.appendingPathComponent("Sources/\(module)")
        let files = try FileManager.default.contentsOfDirectory(
            at: folder, includingPropertiesForKeys: nil
        ).filter { $0.pathExtension == "swift" }
        #expect(!files.isEmpty)
        return try files.flatMap { file in
            try String(contentsOf: file, encoding: .utf8).split(separator: "\n")
                .filter { $0.hasPrefix("import ") || $0.hasPrefix("package import ") }
                .map { (String($0.split(separator: " ").last ?? ""), file.lastPathComponent) }
        }
    }

    @Test(arguments: forbidden.keys.sorted())
    func `a module imports only what lies below it`(module: String) throws {
        for (name, file) in try Self.imports(of: module) {
            #expect(
                Self.forbidden[module]?.contains(name) == false, "\(file) imports \(name)")
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

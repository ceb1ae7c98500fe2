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

    @Test(arguments: forbidden.keys.sorted())
    func `a module imports only what lies below it`(module: String) throws {
        let folder = Self.root.appendingPathComponent("Sources/\(module)")
        let files = try FileManager.default.contentsOfDirectory(
            at: folder, includingPropertiesForKeys: nil
        ).filter { $0.pathExtension == "swift" }
        #expect(!files.isEmpty)
        for file in files {
            let text = try String(contentsOf: file, encoding: .utf8)
            for line in text.split(separator: "\n") where line.contains("import ") {
                let name = line.split(separator: " ").last.map(String.init) ?? ""
                guard line.hasPrefix("import ") || line.hasPrefix("package import ") else {
                    continue
                }
                #expect(
                    Self.forbidden[module]?.contains(name) == false,
                    "\(file.lastPathComponent) imports \(name)")
            }
        }
    }

    @Test func `there is no SwiftNIO in the package graph`() throws {
        let manifest = Self.root.appendingPathComponent("Package.swift")
        let text = try String(contentsOf: manifest, encoding: .utf8)
        #expect(!text.contains("swift-nio"))
        let checkouts = Self.root.appendingPathComponent(".build/checkouts").path
        let names = try FileManager.default.contentsOfDirectory(atPath: checkouts)
        #expect(!names.contains { $0.hasPrefix("swift-nio") })
    }
}

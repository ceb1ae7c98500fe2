// swift-tools-version: 6.2
import PackageDescription

/// Settings of every Swift target: language mode 6, explicit imports, warnings are errors in our own code.
let house: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
    .treatAllWarnings(as: .error),
]

/// Release builds of the server's own path leave out the run-time check that no two accesses to a
/// variable overlap, which debug builds and tests keep: it costs a twentieth of a request.
let unchecked: [SwiftSetting] = [
    .unsafeFlags(["-enforce-exclusivity=unchecked"], .when(configuration: .release))
]

/// One module of the house and what it may import; the table of ARCHITECTURE.md in code.
func module(
    _ name: String, _ dependencies: [Target.Dependency] = [], more: [SwiftSetting] = [],
) -> Target {
    .target(name: name, dependencies: dependencies, swiftSettings: house + more)
}

func tests(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
    .testTarget(name: name, dependencies: dependencies, swiftSettings: house)
}

let deque = Target.Dependency.product(name: "DequeModule", package: "swift-collections")
let heap = Target.Dependency.product(name: "HeapModule", package: "swift-collections")
let logging = Target.Dependency.product(name: "Logging", package: "swift-log")

let package = Package(
    name: "martlet",
    products: [.executable(name: "martlet", targets: ["martlet"])],
    dependencies: [
        .package(url: "https://github.com/groue/GRDB.swift", from: "7.10.0"),
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/apple/swift-collections", from: "1.6.0"),
    ],
    targets: [
        // Ground, known to both sides.
        .target(name: "CLinux"),
        .target(name: "CSQLite"),
        .target(name: "CNoICUData"),
        .target(name: "CEmbedded", cSettings: [.unsafeFlags(["-std=gnu23"])]),
        module("RawJSON", more: unchecked),
        .systemLibrary(name: "COpenSSL"),
        .systemLibrary(name: "CNghttp2"),
        .systemLibrary(name: "CCurl"),
        .systemLibrary(name: "CZlib"),
        .systemLibrary(name: "CZstd"),
        .systemLibrary(name: "CYaml"),
        module("Digests", ["COpenSSL"]),
        module("Threads", ["CLinux", deque], more: unchecked),
        module("Sockets", ["Threads", "CLinux", "COpenSSL", heap], more: unchecked),
        module("WebClient", ["Sockets", "CCurl", "CLinux", deque]),
        module("Tracing", ["WebClient", "RawJSON", deque, logging]),
        // HTTP side: knows no jobs.
        module("HTTPWire", more: unchecked),
        module(
            "WebServer",
            [
                "HTTPWire", "Tracing", "Sockets", "Threads", "CLinux", "CNghttp2", "CZlib", "CZstd",
            ],
            more: unchecked),
        // Jobs side: knows no HTTP server.
        module("Jobs", ["RawJSON", "Threads"], more: unchecked),
        module(
            "SQLiteStore",
            [
                "Jobs", "RawJSON", "Threads", "CLinux", "CSQLite",
                .product(name: "GRDB", package: "GRDB.swift"),
                .product(name: "GRDBSQLite", package: "GRDB.swift"), logging,
            ], more: unchecked),
        module("Blobs", ["Threads", "Digests", "CLinux"]),
        module(
            "Functions", ["WebClient", "Jobs", "RawJSON", "CEmbedded", "CLinux", "Digests"],
            more: unchecked),
        module(
            "Pools",
            ["Functions", "Jobs", "RawJSON", "Sockets", "Threads", "CLinux", deque, heap, logging],
            more: unchecked),
        module(
            "JobEngine",
            [
                "Pools", "Functions", "Jobs", "Tracing", "RawJSON", "Sockets", "Threads", deque,
                heap,
                logging,
            ], more: unchecked),
        // Both.
        module(
            "JobsAPI",
            [
                "Blobs", "JobEngine", "Pools", "Functions", "Jobs", "RawJSON", "WebServer",
                "HTTPWire", "Tracing", "Threads", "CEmbedded",
            ]),
        module("Dashboard", ["WebServer", "HTTPWire", "CEmbedded"]),
        // Knows the HTTP interface alone.
        module(
            "CommandClient",
            [
                "WebClient", "Sockets", "Threads", "RawJSON", "CLinux",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ]),
        module(
            "Daemon",
            [
                "CommandClient", "Dashboard",
                "JobsAPI", "JobEngine", "Pools", "Functions", "SQLiteStore", "Blobs", "Jobs",
                "WebServer", "WebClient", "HTTPWire", "Tracing",
                "Sockets", "Threads", "RawJSON", "CLinux", "CYaml", "CNoICUData", logging,
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ]),
        tests("RawJSONTests", ["RawJSON"]),
        tests("JobsTests", ["Jobs", "RawJSON"]),
        tests("HTTPWireTests", ["HTTPWire"]),
        tests("WebClientTests", ["WebClient", "Sockets", "CCurl"]),
        tests("SocketsTests", ["Sockets", "Threads"]),
        tests("TracingTests", ["Tracing", "RawJSON"]),
        tests("WebServerTests", ["WebServer", "HTTPWire", "Sockets", "Threads", "CNghttp2"]),
        .target(
            name: "TestSupport", dependencies: ["Jobs", "RawJSON", "Threads"],
            path: "Tests/Support",
            swiftSettings: house),
        tests(
            "SQLiteStoreTests",
            [
                "SQLiteStore", "TestSupport", "Jobs", "RawJSON", "Threads",
                .product(name: "GRDB", package: "GRDB.swift"), logging,
            ]),
        tests(
            "JobEngineTests",
            [
                "JobEngine", "Functions", "Jobs", "RawJSON", "Sockets", "TestSupport", "Threads",
                logging,
            ]),
        tests(
            "PoolsTests", ["Pools", "Functions", "Jobs", "RawJSON", "Sockets", "Threads", logging]),
        tests("BlobsTests", ["Blobs", "Threads"]),
        tests("HouseTests", []),
        // Built by `make bench-http` alone.
        .executableTarget(
            name: "decode-server",
            dependencies: [
                "JobsAPI", "JobEngine", "Pools", "Functions", "Jobs", "Blobs", "WebServer",
                "HTTPWire", "Sockets", "TestSupport", logging,
            ], path: "Benchmarks/http/decode-server", swiftSettings: house),
        .executableTarget(name: "martlet", dependencies: ["Daemon"], swiftSettings: house),
    ]
)

// swift-tools-version: 6.2
import PackageDescription

// Built by `make fuzz` alone. The modules are those of the product, through links, so that they can
// be compiled with the fuzzer's instrumentation.

let house: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
]

func module(_ name: String, _ dependencies: [Target.Dependency] = []) -> Target {
    .target(name: name, dependencies: dependencies, swiftSettings: house)
}

func fuzzer(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
    .executableTarget(
        name: name, dependencies: dependencies + ["CLibFuzzer"], swiftSettings: house)
}

let deque = Target.Dependency.product(name: "DequeModule", package: "swift-collections")

let package = Package(
    name: "martlet-fuzzing",
    dependencies: [
        .package(url: "https://github.com/apple/swift-collections", from: "1.6.0"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
    ],
    targets: [
        .target(name: "CLinux"),
        .target(name: "CLibFuzzer"),
        .systemLibrary(name: "COpenSSL"),
        .systemLibrary(name: "CNghttp2"),
        .systemLibrary(name: "CCurl"),
        .systemLibrary(name: "CZlib"),
        .systemLibrary(name: "CZstd"),
        module("RawJSON"),
        module("Threads", ["CLinux", deque]),
        module(
            "Sockets",
            [
                "Threads", "CLinux", "COpenSSL",
                .product(name: "HeapModule", package: "swift-collections"),
            ]),
        module("HTTPWire"),
        module("WebClient", ["Sockets", "CCurl", "CLinux", deque]),
        module(
            "Tracing",
            ["WebClient", "RawJSON", deque, .product(name: "Logging", package: "swift-log")]),
        module(
            "WebServer",
            [
                "HTTPWire", "Tracing", "Sockets", "Threads", "CLinux", "CNghttp2", "CZlib", "CZstd",
            ]),
        fuzzer("FuzzHTTP1", ["HTTPWire"]),
        fuzzer("FuzzRawJSON", ["RawJSON"]),
        fuzzer("FuzzHTTP2", ["WebServer", "HTTPWire", "CNghttp2"]),
    ]
)

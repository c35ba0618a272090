// swift-tools-version: 6.2
import PackageDescription

/// A target of the library: Swift 6 mode comes with the tools version; warnings are errors here and nowhere downstream.
let strict: [SwiftSetting] = [
    .treatAllWarnings(as: .error),
    .enableUpcomingFeature("ExistentialAny"),
]

let log: Target.Dependency = .product(name: "Logging", package: "swift-log")
let metrics: Target.Dependency = .product(name: "Metrics", package: "swift-metrics")
let tracing: Target.Dependency = .product(name: "Tracing", package: "swift-distributed-tracing")
let httpTypes: Target.Dependency = .product(name: "HTTPTypes", package: "swift-http-types")
let lifecycle: Target.Dependency = .product(name: "ServiceLifecycle", package: "swift-service-lifecycle")
let signals: Target.Dependency = .product(name: "UnixSignals", package: "swift-service-lifecycle")

// An incremental build follows direct dependencies only: who did not name a module that stands behind another would keep object
// files that were compiled against what it no longer is. So each target names all modules of ours that it sees.
let contracts: [Target.Dependency] = ["DovetailCore", "DovetailContracts"]
let events = contracts + ["DovetailEvents"]
let crypto: Target.Dependency = .product(name: "Crypto", package: "swift-crypto")

let modules = events + ["DovetailResilience", "DovetailCQRS", "DovetailSagas", "DovetailModules"]

/// The umbrella with all that it re-exports.
let dovetail = [
    "Dovetail", "DovetailCQRS", "DovetailContracts", "DovetailCore", "DovetailEvents", "DovetailHTTP",
    "DovetailModules",
    "DovetailObservability", "DovetailPlatform", "DovetailPrivacy", "DovetailResilience", "DovetailSagas",
]
let umbrella = dovetail.map { Target.Dependency.target(name: $0) }

func library(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
    .target(name: name, dependencies: dependencies, swiftSettings: strict)
}

func tests(_ name: String, _ dependencies: [Target.Dependency], path: String? = nil) -> Target {
    .testTarget(name: name, dependencies: dependencies, path: path, swiftSettings: strict)
}

let package = Package(
    name: "dovetail",
    platforms: [.macOS(.v15)],
    products: [
        .library(name: "Dovetail", targets: dovetail),
        .library(name: "DovetailCore", targets: ["DovetailCore"]),
        .library(name: "DovetailContracts", targets: ["DovetailContracts"]),
        .library(name: "DovetailResilience", targets: ["DovetailResilience"]),
        .library(name: "DovetailEvents", targets: ["DovetailEvents"]),
        .library(name: "DovetailCQRS", targets: ["DovetailCQRS"]),
        .library(name: "DovetailSagas", targets: ["DovetailSagas"]),
        .library(name: "DovetailPrivacy", targets: ["DovetailPrivacy"]),
        .library(name: "DovetailModules", targets: ["DovetailModules"]),
        .library(name: "DovetailSQLite", targets: ["DovetailSQLite"]),
        .library(name: "DovetailMemory", targets: ["DovetailMemory"]),
        .library(name: "DovetailHTTP", targets: ["DovetailHTTP"]),
        .library(name: "DovetailGateway", targets: ["DovetailGateway"]),
        .library(name: "DovetailObservability", targets: ["DovetailObservability"]),
        .library(name: "DovetailPlatform", targets: ["DovetailPlatform"]),
        .library(name: "DovetailTesting", targets: ["DovetailTesting"]),
        .executable(name: "dovetail", targets: ["dovetail-cli"]),
        .executable(name: "hello", targets: ["Hello"]),
        .executable(name: "shop", targets: ["Shop"]),
        .executable(name: "shop-demo", targets: ["ShopDemo"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-log", from: "1.6.0"),
        .package(url: "https://github.com/apple/swift-metrics", from: "2.5.0"),
        .package(url: "https://github.com/apple/swift-distributed-tracing", from: "1.2.0"),
        .package(url: "https://github.com/apple/swift-http-types", from: "1.6.0"),
        .package(url: "https://github.com/apple/swift-collections", from: "1.1.0"),
        .package(url: "https://github.com/apple/swift-atomics", from: "1.2.0"),
        .package(url: "https://github.com/apple/swift-nio", from: "2.80.0"),
        .package(url: "https://github.com/apple/swift-nio-ssl", from: "2.30.0"),
        .package(url: "https://github.com/apple/swift-nio-http2", from: "1.40.0"),
        .package(url: "https://github.com/apple/swift-certificates", from: "1.0.0"),
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.5.0"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.6.0"),
        .package(url: "https://github.com/swift-server/async-http-client", from: "1.24.0"),
        .package(url: "https://github.com/hummingbird-project/hummingbird", from: "2.5.0"),
        .package(url: "https://github.com/apple/swift-crypto", "3.0.0"..<"5.0.0"),
        .package(url: "https://github.com/vapor/jwt-kit", from: "5.1.0"),
        .package(url: "https://github.com/jpsim/Yams", from: "6.0.0"),
    ],
    targets: [
        // Layer 0
        library("DovetailCore", [log, metrics, tracing, httpTypes]),
        // Layer 1
        library("DovetailContracts", ["DovetailCore"]),
        library("DovetailResilience", ["DovetailCore"]),
        library(
            "DovetailEvents",
            [
                "DovetailCore", "DovetailContracts", lifecycle,
                .product(name: "Collections", package: "swift-collections"),
            ]),
        // Layer 2
        library("DovetailPrivacy", events + [lifecycle, crypto]),
        library("DovetailCQRS", events),
        library("DovetailSagas", events + ["DovetailCQRS", "DovetailResilience"]),
        library("DovetailModules", events + ["DovetailCQRS", "DovetailSagas", "DovetailResilience"]),
        // Layer 3
        .systemLibrary(
            name: "CSQLite", pkgConfig: "sqlite3", providers: [.apt(["libsqlite3-dev"]), .brew(["sqlite"])]),
        .target(name: "CDiskWatch", dependencies: ["CSQLite"]),
        library("SQLiteBinding", events + ["CSQLite", "CDiskWatch"]),
        .target(name: "CChecksum"),
        library("DovetailSQLite", events + ["DovetailPrivacy", "SQLiteBinding", "CChecksum"]),
        library("DovetailMemory", events + ["DovetailPrivacy", "SQLiteBinding"]),
        library(
            "DovetailHTTP",
            contracts + [
                lifecycle,
                .product(name: "Hummingbird", package: "hummingbird"),
                .product(name: "AsyncHTTPClient", package: "async-http-client"),
                crypto,
            ]),
        library(
            "DovetailGateway",
            [
                "DovetailCore", "DovetailResilience", lifecycle,
                .product(name: "Atomics", package: "swift-atomics"),
                .product(name: "Collections", package: "swift-collections"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "NIOTLS", package: "swift-nio"),
                .product(name: "NIOSSL", package: "swift-nio-ssl"),
                .product(name: "NIOHTTP2", package: "swift-nio-http2"),
                .product(name: "NIOHPACK", package: "swift-nio-http2"),
                .product(name: "X509", package: "swift-certificates"),
                crypto,
                .product(name: "JWTKit", package: "jwt-kit"),
            ]),
        library("DovetailObservability", ["DovetailCore"]),
        // Layer 4
        library(
            "DovetailPlatform",
            modules + [
                "DovetailSQLite", "DovetailMemory", "DovetailHTTP", "DovetailGateway", "DovetailPrivacy",
                "DovetailObservability", signals,
                .product(name: "Yams", package: "Yams"),
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "JWTKit", package: "jwt-kit"),
            ]),
        // Layer 6
        library("Dovetail", ["DovetailPlatform"]),
        .executableTarget(
            name: "dovetail-cli", dependencies: umbrella, packageAccess: false, swiftSettings: strict),
        .executableTarget(
            name: "Hello", dependencies: umbrella, path: "Examples/Hello", exclude: ["platform.yaml"],
            packageAccess: false, swiftSettings: strict),
        .executableTarget(
            name: "Shop", dependencies: umbrella, path: "Examples/Shop", exclude: ["platform.yaml"],
            packageAccess: false, swiftSettings: strict),
        .executableTarget(
            name: "ShopDemo",
            dependencies: umbrella + [.product(name: "ArgumentParser", package: "swift-argument-parser")],
            path: "Examples/ShopDemo", packageAccess: false, swiftSettings: strict),
        .target(
            name: "Patterns", dependencies: umbrella + ["DovetailTesting"], path: "Examples/Patterns",
            exclude: ["privacy.yaml", "retention.yaml"], packageAccess: false, swiftSettings: strict),
        // Testing
        library(
            "DovetailTesting",
            modules + ["DovetailPrivacy", "DovetailMemory"]),
        .target(name: "TestSupport", path: "Tests/Support", swiftSettings: strict),
        .executableTarget(
            name: "fuzz-inputs",
            dependencies: modules + [
                "DovetailGateway", "DovetailPlatform", .product(name: "NIOCore", package: "swift-nio"),
            ],
            path: "Tests/Fuzz", swiftSettings: strict),
        .executableTarget(
            name: "crash-subject",
            dependencies: events + [
                "DovetailCQRS", "DovetailPrivacy", "DovetailResilience", "DovetailSagas", "DovetailSQLite",
                "SQLiteBinding",
            ],
            path: "Tests/CrashSubject", swiftSettings: strict),
        tests("DovetailCoreTests", ["DovetailCore"]),
        tests("DovetailContractsTests", contracts + ["TestSupport"]),
        tests("DovetailResilienceTests", ["DovetailCore", "DovetailResilience"]),
        tests("DovetailEventsTests", events + ["TestSupport"]),
        tests(
            "DovetailCQRSTests",
            events + ["DovetailCQRS", "DovetailMemory", "DovetailPrivacy", "DovetailSQLite", "DovetailTesting"]),
        tests(
            "DovetailSagasTests",
            events + [
                "DovetailCQRS", "DovetailPrivacy", "DovetailResilience", "DovetailSagas", "DovetailMemory",
                "DovetailSQLite", "DovetailTesting", "TestSupport",
            ]),
        tests(
            "DovetailPrivacyTests",
            events + [
                "DovetailCQRS", "DovetailModules", "DovetailPrivacy", "DovetailResilience", "DovetailSagas",
                "DovetailMemory", "DovetailSQLite", "DovetailTesting", "TestSupport",
            ]),
        tests("DovetailModulesTests", modules + ["DovetailMemory", "DovetailPrivacy"]),
        tests("DovetailHTTPTests", contracts + ["DovetailHTTP"]),
        tests(
            "DovetailGatewayTests",
            [
                "DovetailCore", "DovetailResilience", "DovetailGateway", "TestSupport",
                crypto,
                .product(name: "_CryptoExtras", package: "swift-crypto"),
                .product(name: "NIOEmbedded", package: "swift-nio"),
                .product(name: "NIOHPACK", package: "swift-nio-http2"),
                .product(name: "NIOHTTP1", package: "swift-nio"),
                .product(name: "NIOHTTP2", package: "swift-nio-http2"),
                .product(name: "X509", package: "swift-certificates"),
            ]),
        tests("DovetailObservabilityTests", ["DovetailCore", "DovetailObservability", "TestSupport"]),
        tests(
            "DovetailPlatformTests",
            modules + [
                "DovetailMemory", "DovetailSQLite", "DovetailHTTP", "DovetailGateway", "DovetailPlatform",
                "DovetailPrivacy",
                "TestSupport",
            ]),
        tests(
            "ConformanceTests",
            events + [
                "DovetailCQRS", "DovetailTesting", "DovetailSQLite", "DovetailMemory", "DovetailPrivacy",
                "SQLiteBinding",
            ]),
        tests("ShopTests", umbrella + ["Shop", "DovetailTesting"]),
        tests(
            "IntegrationTests",
            umbrella + ["DovetailSQLite", "SQLiteBinding", "DovetailTesting", "crash-subject", "Patterns"]),
        // Benchmarks: each a product that pulls in no more than it measures
        .target(
            name: "BenchmarkSupport", dependencies: ["DovetailCore", "DovetailEvents"], path: "Benchmarks/support",
            swiftSettings: strict),
        .executableTarget(
            name: "json-bench", dependencies: ["DovetailCore"], path: "Benchmarks/json", swiftSettings: strict),
        .executableTarget(
            name: "events-bench", dependencies: events + ["BenchmarkSupport", "DovetailPrivacy", "DovetailSQLite"],
            path: "Benchmarks/events",
            exclude: ["peers"],
            swiftSettings: strict),
        .executableTarget(
            name: "cqrs-bench",
            dependencies: events + ["BenchmarkSupport", "DovetailCQRS", "DovetailPrivacy", "DovetailSQLite"],
            path: "Benchmarks/cqrs",
            exclude: ["peers"], swiftSettings: strict),
        .executableTarget(
            name: "sagas-bench",
            dependencies: events + [
                "BenchmarkSupport", "DovetailCQRS", "DovetailPrivacy", "DovetailResilience", "DovetailSagas",
                "DovetailSQLite",
            ],
            path: "Benchmarks/sagas", exclude: ["peers"], swiftSettings: strict),
        .executableTarget(
            name: "gateway-bench",
            dependencies: ["DovetailCore", "DovetailResilience", "DovetailGateway", lifecycle],
            path: "Benchmarks/gateway",
            exclude: ["backend.c", "load.lua"], swiftSettings: strict),
    ]
)

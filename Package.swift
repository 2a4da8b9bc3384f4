// swift-tools-version: 6.2
import PackageDescription

let settings: [SwiftSetting] = [
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("InternalImportsByDefault"),
]

let package = Package(
    name: "capstan",
    platforms: [.macOS(.v15)],
    products: [
        .library(name: "CaptionerClient", targets: ["CaptionerClient"]),
        .executable(name: "capstand", targets: ["capstand"]),
        .executable(name: "capstan", targets: ["capstan"]),
    ],
    dependencies: [
        .package(url: "https://github.com/hummingbird-project/hummingbird", from: "2.28.1", traits: ["FullFoundation"]),
        .package(url: "https://github.com/groue/GRDB.swift", from: "7.10.0"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
        .package(url: "https://github.com/swift-server/async-http-client", from: "1.37.0"),
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-configuration", from: "1.4.0"),
        .package(url: "https://github.com/apple/swift-http-types", from: "1.8.0"),
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/apple/swift-crypto", from: "4.5.2"),
        .package(url: "https://github.com/apple/swift-system", from: "1.8.1"),
        .package(url: "https://github.com/HdrHistogram/hdrhistogram-swift", from: "0.2.0"),
        .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
    ],
    targets: [
        // Values only: words, questions, answers, errors. No I/O.
        .target(name: "DatastoreCore", swiftSettings: settings),

        // Vectors, not captions.
        .target(
            name: "CFaiss",
            // Also in debug builds: every score of every test is computed here.
            cxxSettings: [.headerSearchPath("openmp"), .unsafeFlags(["-O2"], .when(configuration: .debug))],
            linkerSettings: [
                .linkedLibrary("faiss"), .linkedLibrary("openblas"), .linkedLibrary("gomp"), .linkedLibrary("stdc++"),
            ]
        ),
        .systemLibrary(name: "CLZ4", path: "Sources/CLZ4", pkgConfig: "liblz4", providers: [.apt(["liblz4-dev"])]),
        .target(name: "VectorIndex", dependencies: ["CFaiss", "CLZ4", "DatastoreCore"], swiftSettings: settings),

        // Versions as one file: tar in LZ4 frames, made and checked.
        .target(
            name: "Bundles",
            dependencies: ["CLZ4", "DatastoreCore", .product(name: "Crypto", package: "swift-crypto")],
            swiftSettings: settings
        ),

        // Everything that speaks SQL or knows the files of a data directory.
        .target(
            name: "Migrations",
            path: "Migrations",
            resources: [
                .embedInCode("catalog_0001_initial.sql"),
                .embedInCode("catalog_0002_jobs.sql"),
                .embedInCode("catalog_0003_keys.sql"),
                .embedInCode("catalog_0004_plans.sql"),
                .embedInCode("catalog_0005_history.sql"),
                .embedInCode("catalog_0006_checked.sql"),
                .embedInCode("entries_0001_initial.sql"),
                .embedInCode("pending_0001_initial.sql"),
                .embedInCode("pending_0002_progress.sql"),
                .embedInCode("pending_0003_keys.sql"),
                .embedInCode("pending_0004_deletions.sql"),
            ],
            swiftSettings: settings
        ),
        .target(
            name: "DatastoreStorage",
            dependencies: [
                "DatastoreCore", "Migrations", "VectorIndex",
                .product(name: "GRDB", package: "GRDB.swift"),
                .product(name: "GRDBSQLite", package: "GRDB.swift"),
                .product(name: "Crypto", package: "swift-crypto"),
            ],
            swiftSettings: settings
        ),

        // Bytes in, records and rejects out.
        .systemLibrary(name: "CZlib", path: "Sources/CZlib", pkgConfig: "zlib", providers: [.apt(["zlib1g-dev"])]),
        .target(name: "DatastoreImport", dependencies: ["DatastoreCore", "CZlib"], swiftSettings: settings),

        // Snapshots, searches, prompts, versions, jobs.
        .target(
            name: "RetrievalEngine",
            dependencies: [
                "Bundles", "DatastoreCore", "DatastoreImport", "DatastoreStorage", "VectorIndex",
                .product(name: "AsyncHTTPClient", package: "async-http-client"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOHTTP1", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
            ],
            swiftSettings: settings
        ),
        .target(
            name: "CapstanServer",
            dependencies: [
                "DatastoreCore", "DatastoreStorage", "RetrievalEngine",
                .product(name: "Crypto", package: "swift-crypto"),
                .product(name: "HTTPTypes", package: "swift-http-types"),
                .product(name: "Hummingbird", package: "hummingbird"),
                .product(name: "HummingbirdCore", package: "hummingbird"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
                .product(name: "_NIOFileSystem", package: "swift-nio"),
            ],
            resources: [.embedInCode("Resources/openapi.yaml")],
            swiftSettings: settings
        ),
        .executableTarget(
            name: "capstand",
            dependencies: [
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "SystemPackage", package: "swift-system"),
                "CapstanServer", "DatastoreCore", "RetrievalEngine", "VectorIndex",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "Configuration", package: "swift-configuration"),
                .product(name: "Hummingbird", package: "hummingbird"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
                .product(name: "UnixSignals", package: "swift-service-lifecycle"),
            ],
            swiftSettings: settings
        ),

        // The thin client and the command: no FAISS, no SQLite.
        .target(
            name: "CaptionerClient",
            dependencies: [
                "DatastoreCore",
                .product(name: "AsyncHTTPClient", package: "async-http-client"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOHTTP1", package: "swift-nio"),
            ],
            swiftSettings: settings
        ),
        .executableTarget(
            name: "capstan",
            dependencies: [
                "Bundles", "CaptionerClient", "DatastoreCore",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "Crypto", package: "swift-crypto"),
            ],
            swiftSettings: settings
        ),

        // Times of questions and imports: Tools/bench-query, bench-import, bench-search and the others build and run it.
        .systemLibrary(
            name: "COpenBLAS", path: "Sources/COpenBLAS", pkgConfig: "openblas",
            providers: [.apt(["libopenblas-dev"])]),
        .executableTarget(
            name: "bench",
            dependencies: [
                "COpenBLAS", "CaptionerClient", "DatastoreCore", "DatastoreImport", "RetrievalEngine", "VectorIndex",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "Histogram", package: "hdrhistogram-swift"),
            ],
            path: "Tools/Benchmarks/bench",
            swiftSettings: settings
        ),

        // Tests. What they share: temporary folders, the samples, an independent exact search, the built daemon.
        .target(
            name: "CBruteForce", path: "Tests/CBruteForce",
            linkerSettings: [
                .linkedLibrary("faiss"), .linkedLibrary("openblas"), .linkedLibrary("gomp"), .linkedLibrary("stdc++"),
            ]),
        .target(
            name: "TestSupport",
            dependencies: [
                "Bundles", "CBruteForce", "CaptionerClient", "DatastoreCore", "DatastoreImport",
                .product(name: "AsyncHTTPClient", package: "async-http-client"),
                .product(name: "Hummingbird", package: "hummingbird"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOHTTP1", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
            ],
            path: "Tests/TestSupport",
            swiftSettings: settings
        ),
        .testTarget(name: "DatastoreCoreTests", dependencies: ["DatastoreCore"], swiftSettings: settings),
        .testTarget(
            name: "BundlesTests", dependencies: ["Bundles", "DatastoreCore", "TestSupport"], swiftSettings: settings),
        .testTarget(
            name: "VectorIndexTests", dependencies: ["DatastoreCore", "TestSupport", "VectorIndex"],
            swiftSettings: settings),
        .testTarget(
            name: "DatastoreStorageTests",
            dependencies: [
                "DatastoreCore", "DatastoreStorage", "Migrations", "TestSupport",
                .product(name: "GRDB", package: "GRDB.swift"),
            ],
            swiftSettings: settings),
        .testTarget(
            name: "DatastoreImportTests", dependencies: ["CZlib", "DatastoreCore", "DatastoreImport", "TestSupport"],
            swiftSettings: settings),
        .testTarget(
            name: "RetrievalEngineTests",
            dependencies: [
                "DatastoreCore", "DatastoreStorage", "RetrievalEngine", "TestSupport", "VectorIndex",
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOHTTP1", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
            ],
            swiftSettings: settings),
        .testTarget(
            name: "CapstanServerTests",
            dependencies: [
                "Bundles", "CapstanServer", "DatastoreCore", "RetrievalEngine", "TestSupport",
                .product(name: "Hummingbird", package: "hummingbird"),
                .product(name: "HummingbirdTesting", package: "hummingbird"),
                .product(name: "HTTPTypes", package: "swift-http-types"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "Yams", package: "Yams"),
            ],
            swiftSettings: settings),
        .testTarget(
            name: "CaptionerClientTests",
            dependencies: [
                "CaptionerClient", "DatastoreCore", "TestSupport",
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOHTTP1", package: "swift-nio"),
            ],
            swiftSettings: settings),
        .testTarget(
            name: "EndToEndTests",
            dependencies: [
                "Bundles", "capstan", "capstand", "CaptionerClient", "DatastoreCore", "DatastoreImport", "TestSupport",
                "VectorIndex",
            ],
            swiftSettings: settings),
    ],
    cxxLanguageStandard: .cxx17
)

package import Foundation

/// Where tests find real captions and vectors.
package enum TestData {
    /// The root of the package.
    package static let package = URL(filePath: #filePath)
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

    /// The datastores that ship with the project.
    package static let samples = package.appending(path: "Datastores")
    package static let captionSamples = ["everyday-photos", "views-from-above", "shop-products"]

    /// Public captions and embeddings that may not be shipped: `CAPSTAN_TEST_DATA`, else `../shared/data`.
    package static let shared: URL =
        ProcessInfo.processInfo.environment["CAPSTAN_TEST_DATA"].map { URL(filePath: $0) }
        ?? package.deletingLastPathComponent().appending(path: "shared/data")

    /// Tests on `shared` are enabled by this, so that they are shown as skipped where it is absent.
    package static let hasShared = FileManager.default.fileExists(atPath: shared.appending(path: "sets").path)
}

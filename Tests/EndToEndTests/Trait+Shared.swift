import TestSupport
import Testing

/// What the tests of a suite share: made once for all of them, and ended after the last.
protocol SharedScene: Sendable {
    static func with(_ tests: (Self) async throws -> Void) async throws
}

struct Sharing<Scene: SharedScene>: SuiteTrait, TestScoping {
    func provideScope(
        for test: Test, testCase: Test.Case?, performing function: @Sendable () async throws -> Void
    ) async throws {
        try await Scene.with { scene in
            try await SharedScenes.$current.withValue(scene) { try await function() }
        }
    }
}

enum SharedScenes {
    @TaskLocal static var current: (any SharedScene)?
}

extension SharedScene {
    /// The scene of the suite that runs, which must have the trait `.sharing`.
    static var current: Self {
        get throws { try #require(SharedScenes.current as? Self) }
    }
}

extension SuiteTrait {
    static func sharing<Scene: SharedScene>(_: Scene.Type) -> Self where Self == Sharing<Scene> { Sharing() }
}

extension Trait where Self == ConditionTrait {
    /// Runs where the real data is, and the Python that computes what is to be expected.
    static var withReference: Self {
        .enabled(
            if: TestData.hasShared && PythonTools.areInstalled,
            """
            needs real data at CAPSTAN_TEST_DATA (default ../shared/data), which may not be shipped with the project, and \
            the Python environment that Tools/python/setup makes
            """)
    }
}

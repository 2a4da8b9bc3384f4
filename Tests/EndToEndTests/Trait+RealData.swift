import TestSupport
import Testing

extension Trait where Self == ConditionTrait {
    /// Runs where the public captions and embeddings are that may not be shipped, and says so where they are not.
    static var withRealData: Self {
        .enabled(
            if: TestData.hasShared,
            "needs real data at CAPSTAN_TEST_DATA (default ../shared/data), which may not be shipped with the project")
    }
}

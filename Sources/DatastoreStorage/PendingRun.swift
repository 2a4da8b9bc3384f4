import DatastoreCore

/// Committed changes that are all new entries, in the order of their ids without a gap, whose vectors of one dense key lie
/// in the same order end to end in one file: what a first import leaves, and most of what a version is made of.
package struct PendingRun: Sendable {
    let job: String
    package let ids: ClosedRange<Int64>
    /// Number of the first change; those of the others follow as the ids do.
    let firstSequence: Int64
    package let dim: Int
    /// Whether the vectors are 16-bit floats, else 32-bit ones.
    package let isHalfPrecision: Bool
    /// Byte of the file at which the first vector begins.
    package let offset: Int64
}

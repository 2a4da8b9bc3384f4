package import DatastoreCore

/// What a job is to do, kept in the catalog so that it can start again.
package enum JobRequest: Codable, Sendable, Hashable {
    /// Reads rows into pending changes, then builds a version unless told not to. The files are in the staging folder
    /// of the job. `vectors` is for the first dense key, `keyVectors`, which earlier releases did not write, for others
    /// by name.
    case importUpload(
        rows: String, vectors: String?, keyVectors: [String: String]? = nil, options: ImportOptions)
    /// The same from files below an import root.
    case importPaths(
        rows: String, vectors: String?, keyVectors: [String: String]? = nil, options: ImportOptions)
    /// Builds a version of the newest one and what is pending; plan and gate are the datastore's where nil. `ifChanged`,
    /// which earlier releases did not write, builds only when something is pending as it starts.
    case build(plan: IndexPlan? = nil, recallGate: Double? = nil, ifChanged: Bool? = nil)
    /// Builds a version without the entries that a filter drops.
    case filter(FilterRequest)
    /// Answers the questions of a file; the files are in the staging folder of the job.
    case dump(domain: String, revision: Int, queries: String, ids: String, options: DumpOptions)

    /// Takes in the version that a bundle holds. The file is in the staging folder of the job. `creates` when the
    /// datastore was made for it, and goes again when nothing comes of it.
    case restore(bundle: String, creates: Bool)
    /// Compares a version with its manifest, and its indexes with its vectors.
    case verify(version: Int)

    package var kind: JobKind {
        switch self {
        case .importUpload, .importPaths: .import
        case .build: .build
        case .filter: .filter
        case .dump: .dump
        case .restore: .restore
        case .verify: .verify
        }
    }

    /// The domain that it asks.
    package var domain: String? {
        if case .dump(let domain, _, _, _, _) = self { domain } else { nil }
    }
}

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
    /// Builds a version of what is pending; plan and gate are the datastore's where nil.
    case build(plan: IndexPlan? = nil, recallGate: Double? = nil)
    /// Builds a version without the entries that a filter drops.
    case filter(FilterRequest)
    /// Answers the questions of a file; the files are in the staging folder of the job.
    case dump(domain: String, revision: Int, queries: String, ids: String, options: DumpOptions)

    package var kind: JobKind {
        switch self {
        case .importUpload, .importPaths: .import
        case .build: .build
        case .filter: .filter
        case .dump: .dump
        }
    }

    /// The domain that it asks.
    package var domain: String? {
        if case .dump(let domain, _, _, _, _) = self { domain } else { nil }
    }
}

package import DatastoreCore

/// What a job is to do, kept in the catalog so that it can start again.
package enum JobRequest: Codable, Sendable, Hashable {
    /// Reads rows into pending changes, then builds a version unless told not to. The files are in the staging folder
    /// of the job.
    case importUpload(rows: String, vectors: String?, options: ImportOptions)
    /// The same from files below an import root.
    case importPaths(rows: String, vectors: String?, options: ImportOptions)
    /// Builds a version of what is pending.
    case build

    package var kind: JobKind {
        switch self {
        case .importUpload, .importPaths: .import
        case .build: .build
        }
    }
}

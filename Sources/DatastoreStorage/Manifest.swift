package import DatastoreCore
package import Foundation

/// `manifest.json` of a version: what it holds, what it is made from, and the checksum of every other file.
package struct Manifest: Codable, Sendable, Hashable {
    /// The newest format that this release reads and the one it writes.
    package static let currentFormat = 4
    package static let fileName = "manifest.json"

    /// 1 and 2 have an index file for every key; 2 has several keys, or sparse ones; 4 has compact codes.
    package var format: Int
    package var datastore: String
    package var version: Int
    package var kind: DatastoreKind
    package var entries: Int
    package var keys: [Key]
    package var files: [VersionFile]
    package var lineage: Lineage
    package var tools: [String: String]
    package var createdAt: Date

    package init(
        id: VersionID, kind: DatastoreKind, entries: Int, keys: [Key], files: [VersionFile], lineage: Lineage,
        tools: [String: String], createdAt: Date
    ) {
        format = Self.currentFormat
        datastore = id.datastore
        version = id.number
        self.kind = kind
        self.entries = entries
        self.keys = keys
        self.files = files
        self.lineage = lineage
        self.tools = tools
        self.createdAt = createdAt
    }

    package struct Key: Codable, Sendable, Hashable {
        package var spec: KeySpec
        /// File of the original vectors.
        package var vectors: String
        /// File of a dense key's compact codes; nil in formats 1 to 3.
        package var codes: String?
        /// File of the index; nil where every search looks at the original vectors. Formats 1 and 2 have one that is not
        /// needed then.
        package var index: String?
        /// File of the words of a sparse key's terms; nil when they have numbers only.
        package var vocabulary: String?
        /// How the index was planned, with all its numbers: `exact`, also for the postings of a sparse key.
        package var plan: IndexPlan
        /// Why the plan is this one, where the daemon chose it.
        package var reason: String?
        /// What an approximate index was measured with.
        package var recall: RecallReport?

        package init(spec: KeySpec, hasVocabulary: Bool = false) {
            self.spec = spec
            switch spec.kind {
            case .dense:
                vectors = "\(spec.name).vectors"
                codes = "\(spec.name).codes"
            case .sparse:
                vectors = "\(spec.name).sparse"
                index = "\(spec.name).postings"
                if hasVocabulary { vocabulary = "\(spec.name).terms" }
            }
            plan = .exact
        }

        /// Gives a dense key an index file.
        package mutating func setIndex(_ plan: IndexPlan, reason: String?, recall: RecallReport?) {
            self.plan = plan
            self.reason = reason
            self.recall = recall
            index = Self.indexFile(of: spec, plan)
        }

        /// The file of a dense key's index; nil where every search is exact.
        package static func indexFile(of spec: KeySpec, _ plan: IndexPlan) -> String? {
            switch plan.method {
            case .exact, .auto: nil
            case .ivfSQ4: "\(spec.name).lists"
            case .hnsw: "\(spec.name).graph"
            case .ivfFlat, .ivfSQ8, .ivfPQ: "\(spec.name).faiss"
            }
        }

        /// All its files.
        package var files: [String] { [vectors] + [codes, index, vocabulary].compactMap(\.self) }
    }

    package struct Lineage: Codable, Sendable, Hashable {
        package var baseVersion: Int?
        package var jobID: String
        /// The last pending change that is in it.
        package var pendingThrough: Int64
        /// The largest id that an entry of it has; ids go on after it.
        package var lastEntryID: Int64
        package var added: Int
        package var replaced: Int
        /// Entries that were deleted or that a filter left out; nil when there was neither.
        package var removed: Int?

        package init(
            baseVersion: Int?, jobID: String, pendingThrough: Int64, lastEntryID: Int64, added: Int, replaced: Int,
            removed: Int? = nil
        ) {
            self.removed = removed
            self.baseVersion = baseVersion
            self.jobID = jobID
            self.pendingThrough = pendingThrough
            self.lastEntryID = lastEntryID
            self.added = added
            self.replaced = replaced
        }

        enum CodingKeys: String, CodingKey {
            case added, replaced, removed
            case baseVersion = "base_version"
            case jobID = "job_id"
            case pendingThrough = "pending_through"
            case lastEntryID = "last_entry_id"
        }
    }

    enum CodingKeys: String, CodingKey {
        case format, datastore, version, kind, entries, keys, files, lineage, tools
        case createdAt = "created_at"
    }

    package var id: VersionID { VersionID(datastore: datastore, number: version) }

    /// Reads a manifest after a look at its format number alone.
    ///
    /// - Throws: `newer_format`, or `version_damaged` when it is not a manifest.
    package static func read(_ data: Data) throws -> Manifest {
        struct FormatOnly: Decodable { var format: Int }
        do {
            let format = try WireJSON.decode(FormatOnly.self, from: data).format
            guard format <= currentFormat else {
                throw DatastoreError(
                    .newerFormat,
                    "\(fileName): format \(format), this release reads up to \(currentFormat); upgrade capstand")
            }
            return try WireJSON.decode(Manifest.self, from: data)
        } catch let error as DatastoreError where error.code != .newerFormat {
            throw DatastoreError(.versionDamaged, "\(fileName): \(error.detail)")
        }
    }
}

package import DatastoreCore
package import DatastoreStorage
import VectorIndex

/// A look at the entries of a datastore, without a question.
extension CapstanEngine {
    /// Entries in the order of their ids.
    ///
    /// - Parameters:
    ///   - version: nil is the newest.
    ///   - pending: whether pending changes count; they are beside the newest version only.
    ///   - page: its key is the id of the last entry of the page before.
    /// - Throws: `unknown_datastore`, `unknown_version`, `version_damaged`, `invalid_value`, `too_many_pending`.
    package func entries(
        of datastore: String, version number: Int?, pending: Bool, filter: QueryFilter?, _ page: PageRequest
    ) async throws -> [EntryInfo] {
        try filter?.validate(field: "filter")
        guard !pending || number == nil else { throw Self.pendingBesideNewest }
        let after = page.after.flatMap { Int64($0) } ?? 0
        return try await control { [self] in
            let (version, rows) = try contents(of: datastore, version: number, pending: pending)
            var found: [EntryInfo] = []
            if let version {
                let passing = try filter.map { try version.filters.rows($0, of: version) }
                var ids: [Int64] = []
                var row = version.firstRow(after: after)
                while row < version.count, ids.count < page.limit {
                    let id = version.ids[row]
                    if passing?.contains(row) ?? true, !rows.hidden.contains(id) { ids.append(id) }
                    row += 1
                }
                found = try version.entries.entries(ids).map { EntryInfo(entry: $0, version: version.id.number) }
            }
            let test = filter.map(FieldTest.init)
            rows.forEachEntry { _, entry in
                guard entry.id > after, test?.passes(entry.fields) ?? true else { return }
                found.append(EntryInfo(entry: entry, version: nil))
            }
            found.sort { $0.id < $1.id }
            return Array(found.prefix(page.limit))
        }
    }

    /// One entry: of a version, or as it is now, with what is pending.
    ///
    /// - Parameter version: nil is what is pending, else the newest.
    /// - Throws: `unknown_datastore`, `unknown_version`, `version_damaged`, `unknown_entry`.
    package func entry(
        _ id: Int64, of datastore: String, version number: Int?, vectors: Bool
    ) async throws -> EntryInfo {
        try await control { [self] in
            let keys = try catalog.datastore(datastore).keys
            func info(_ entry: Entry, _ version: Int?, _ numbers: [KeyVector]) -> EntryInfo {
                let named = zip(keys, numbers).map { ($0.name, EntryVector($1)) }
                return EntryInfo(
                    entry: entry, version: version,
                    vectors: vectors ? Dictionary(named, uniquingKeysWith: { first, _ in first }) : nil)
            }
            let unknown = DatastoreError(.unknownEntry, "datastore \"\(datastore)\" has no entry \(id)")
            // A change that is in the newest version may not be forgotten yet.
            let built = try catalog.latestVersion(of: datastore)?.pendingThrough ?? 0
            if number == nil, let change = try pendingChanges(datastore).entry(id), change.sequence > built {
                guard !change.isDeletion else {
                    throw DatastoreError(
                        .unknownEntry,
                        "entry \(id) of datastore \"\(datastore)\" is deleted; versions made before may have it (version=N)"
                    )
                }
                return info(change.entry, nil, change.vectors.map(\.vector))
            }
            guard let version = try contents(of: datastore, version: number, pending: false).version,
                let row = version.row(ofID: id)
            else { throw unknown }
            return info(try version.entries.entries([id])[0], version.id.number, version.vectors(row: row))
        }
    }

    private static let pendingBesideNewest = DatastoreError.field(
        .invalidValue, "pending", "pending changes are beside the newest version only, got a version too")

    /// A version, and what is pending beside it.
    private func contents(
        of datastore: String, version number: Int?, pending: Bool
    ) throws -> (version: OpenVersion?, rows: PendingRows) {
        _ = try catalog.datastore(datastore)
        // What is pending first: what goes into a version meanwhile is in both then, and counts once.
        let view = pending ? try pendingView(datastore) : nil
        var version: OpenVersion?
        if let number {
            version = try open(VersionID(datastore: datastore, number: number))
        } else if let latest = try catalog.latestVersion(of: datastore) {
            version = try open(latest.id)
        }
        return (version, view?.rows(after: version) ?? .none)
    }
}

extension OpenVersion {
    /// The first row whose id is greater; `count` when there is none.
    fileprivate func firstRow(after id: Int64) -> Int {
        var low = 0
        var high = count
        while low < high {
            let middle = (low + high) / 2
            if ids[middle] <= id { low = middle + 1 } else { high = middle }
        }
        return low
    }
}

extension EntryVector {
    fileprivate init(_ vector: KeyVector) {
        switch vector {
        case .dense(let numbers): self = .dense(numbers)
        case .sparse(let weights): self = .sparse(weights)
        }
    }
}

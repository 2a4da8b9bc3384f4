import DatastoreCore
import DatastoreStorage
import Synchronization
import VectorIndex

/// The rows of one version that filters let through, remembered for the filters that were asked for last.
///
/// Thread-safe. The first filter by origin, language or source reads these of all entries, 12 bytes each from then on;
/// the first with another payload looks at every payload.
final class VersionFilters: Sendable {
    private let entries: EntryReader
    private let attributes = Mutex<EntryAttributes?>(nil)
    private let known = Mutex(Known())

    fileprivate struct Known {
        /// Filters without images, those used last behind.
        var filters: [(filter: ExactText, rows: RowSet)] = []
    }

    /// Bytes of the rows that are remembered, and filters.
    fileprivate static let maximumBytes = 16 << 20
    fileprivate static let maximumFilters = 64

    init(_ entries: EntryReader) {
        self.entries = entries
    }

    /// The rows of `version`, whose filters these are, that `filter` lets through. Blocks.
    func rows(_ filter: QueryFilter, of version: OpenVersion) throws -> RowSet {
        var lasting = filter
        lasting.imageIDs = nil
        var rows = lasting.isEmpty ? nil : try lastingRows(lasting, of: version)
        if let images = filter.imageIDs {
            // Found by an index, and too many to remember.
            let own = RowSet(
                capacity: version.count, rows: try entries.ids(ofImages: images).lazy.compactMap(version.row(ofID:)))
            rows = rows?.intersection(own) ?? own
        }
        return rows ?? RowSet(capacity: version.count) { _ in true }
    }

    private func lastingRows(_ filter: QueryFilter, of version: OpenVersion) throws -> RowSet {
        // As JSON, in which no text can look like two.
        let name = ExactText(String(decoding: try WireJSON.encode(filter.arguments), as: UTF8.self))
        if let rows = known.withLock({ $0.use(name) }) { return rows }
        var rows = try attributeRows(filter, of: version)
        if let payload = filter.payload {
            let own = RowSet(
                capacity: version.count, rows: try entries.ids(payload: payload).lazy.compactMap(version.row(ofID:)))
            rows = rows?.intersection(own) ?? own
        }
        let found = rows ?? RowSet(capacity: version.count) { _ in true }
        known.withLock { $0.keep(name, found) }
        return found
    }

    private func attributeRows(_ filter: QueryFilter, of version: OpenVersion) throws -> RowSet? {
        guard filter.origin != nil || filter.lang != nil || filter.source != nil else { return nil }
        let attributes = try attributes.withLock { known in
            let read = try known ?? entries.attributes()
            known = read
            return read
        }
        var rows: RowSet?
        func take(_ column: EntryAttributes.Column, _ values: [String]?) {
            guard let values else { return }
            let wanted = Set(values.compactMap(column.code))
            let own = RowSet(capacity: version.count) { wanted.contains(column.codes[$0]) }
            rows = rows?.intersection(own) ?? own
        }
        take(attributes.origins, filter.origin?.map(\.rawValue))
        take(attributes.langs, filter.lang)
        take(attributes.sources, filter.source)
        return rows
    }
}

extension VersionFilters.Known {
    mutating func use(_ filter: ExactText) -> RowSet? {
        guard let place = filters.firstIndex(where: { $0.filter == filter }) else { return nil }
        let found = filters.remove(at: place)
        filters.append(found)
        return found.rows
    }

    mutating func keep(_ filter: ExactText, _ rows: RowSet) {
        filters.removeAll { $0.filter == filter }
        filters.append((filter, rows))
        let limit = max(1, min(VersionFilters.maximumFilters, VersionFilters.maximumBytes / max(1, rows.capacity / 8)))
        if filters.count > limit { filters.removeFirst(filters.count - limit) }
    }
}

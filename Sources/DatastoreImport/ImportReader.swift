package import DatastoreCore

/// Reads captions, or names, with their vectors, from a file of any `ImportFormat`, plain or gzip, and optionally
/// NumPy files of vectors, one for a key.
///
/// Row n of each NumPy file belongs to the nth row of the rows file, whether that row is accepted or rejected, so rows
/// and vectors never shift. Options fill what rows do not say, and filters refuse rows after they were read.
///
/// ```swift
/// let reader = try ImportReader(
///     rowsPath: "captions.ndjson", vectors: ["text": "text.npy"], keys: keys, termIndex: { vocabulary.index(of: $1) })
/// while let record = try reader.next() {
///     switch record {
///     case .row(let row): try store.add(row)
///     case .reject(let reject): try store.keep(reject)
///     }
/// }
/// ```
///
/// Memory: a few chunks, the longest row, and 128 bits and a number for each external id (and, to drop duplicates, each
/// caption). Not thread-safe: one thread reads at a time.
package final class ImportReader {
    private let window: ByteWindow
    private let rows: any RowSource
    private let files: VectorFiles
    private let keys: [KeySpec]
    private let encodes: Set<String>
    private let options: ImportOptions
    private let filters: RowFilters
    /// Row of each external id accepted so far.
    private var rowsByExternalID: [TextDigest: Int] = [:]
    /// Row of each image and text accepted so far, when duplicates are dropped.
    private var rowsByCaption: [TextDigest: Int] = [:]
    private var failure: (any Error)?

    /// The form that was named, or found when none was; never `auto`.
    package let format: ImportFormat

    /// Rows given so far by `next()`, accepted and rejected.
    package private(set) var rowsSeen = 0

    /// Opens the files and finds out the form of the rows.
    ///
    /// - Parameters:
    ///   - vectors: for dense keys, by name, a `.npy` file with one row per row of `rowsPath`; rows carry the vectors of
    ///     the other keys themselves.
    ///   - keys: what the vectors are for.
    ///   - termIndex: finds the words of sparse keys; nil when they have none, and terms are given by their indices.
    ///   - wordless: sparse keys of which `termIndex` knows no words, because they have no vocabulary.
    ///   - encodes: dense keys of which rows may come without a vector, because an encoder makes it later; other rows
    ///     without are rejected.
    ///   - maximumRowBytes: a longer row is rejected.
    ///   - chunkSize: bytes read at a time, 1 or more.
    /// - Throws: `source_unreadable`; `format_unknown`, `format_mismatch`, `lfs_pointer`, `html_page` or
    ///   `unknown_column` about the rows; `invalid_value` for options that the form has no use for; what `VectorFiles`
    ///   throws.
    package init(
        rowsPath: String, vectors: [String: String], keys: [KeySpec], termIndex: TermIndex? = nil,
        wordless: Set<String> = [], options: ImportOptions = ImportOptions(), encodes: Set<String> = [],
        maximumRowBytes: Int = LineReader.defaultMaximumLineBytes, chunkSize: Int = ByteSource.defaultChunkSize
    ) throws {
        window = ByteWindow(source: try ByteSource(path: rowsPath), chunkSize: chunkSize)
        files = try VectorFiles(vectors, keys: keys, pool: options.pool, chunkSize: chunkSize)
        let sample = RowsSample(window)
        format = try sample.format(asked: options)
        let inline = InlineKeys(
            keys, inFiles: Set(vectors.keys), pool: options.pool, termIndex: termIndex, wordless: wordless)
        rows = try format.rows(in: window, options: options, inline: inline, maximumRowBytes: maximumRowBytes)
        self.keys = keys
        self.options = options
        self.encodes = encodes
        filters = RowFilters(options.filters)
    }

    /// Opens the files of a datastore that has one key.
    package convenience init(
        rowsPath: String, vectorsPath: String?, key: KeySpec, options: ImportOptions = ImportOptions(),
        encodes: Bool = false, maximumRowBytes: Int = LineReader.defaultMaximumLineBytes,
        chunkSize: Int = ByteSource.defaultChunkSize
    ) throws {
        try self.init(
            rowsPath: rowsPath, vectors: vectorsPath.map { [key.name: $0] } ?? [:], keys: [key], options: options,
            encodes: encodes ? [key.name] : [], maximumRowBytes: maximumRowBytes, chunkSize: chunkSize)
    }

    /// Whether every vector given for a key is a 16-bit float exactly: the originals can be stored as such without loss.
    ///
    /// - Parameter index: the key's place among the keys.
    package func vectorsAreHalfPrecision(key index: Int) -> Bool { files.areHalfPrecision(key: index) }

    /// The same of the first dense key.
    package var vectorsAreHalfPrecision: Bool {
        keys.firstIndex { $0.kind == .dense }.map(vectorsAreHalfPrecision(key:)) ?? false
    }

    /// Rows of the files of vectors, when there are any.
    package var vectorRows: Int? { files.rows }

    /// Bytes of the rows file that were used up, compressed ones when it is gzip.
    package var bytesRead: Int { window.bytesUsed }

    /// Bytes the rows file had when it was opened.
    package var totalBytes: Int { window.source.totalBytes }

    /// The next row, accepted or rejected; nil after the last.
    ///
    /// Once it threw it keeps throwing the same error.
    ///
    /// - Throws: `gzip_truncated`, `gzip_corrupt`, `npy_truncated`, `source_unreadable`; `invalid_json`,
    ///   `format_mismatch` or `unknown_split` about the whole rows file; or `rows_vectors_mismatch` when rows and
    ///   vectors are not equally many, which shows only after the rows that have both, or when a part of the file
    ///   cannot be read that may hold several rows.
    package func next() throws -> ImportRecord? {
        if let failure { throw failure }
        do {
            guard let row = try rows.next() else {
                if let vectorRows, vectorRows != rowsSeen { throw mismatch(rows: rowsSeen) }
                return nil
            }
            let record = try record(row)
            rowsSeen += 1
            return record
        } catch {
            failure = error
            throw error
        }
    }

    private func record(_ source: SourceRow) throws -> ImportRecord {
        if vectorRows != nil, source.mayHideRows, case .failure(let fault) = source.content {
            throw DatastoreError(
                .rowsVectorsMismatch,
                "\(window.source.name): byte \(source.byte), line \(source.line): cannot be read, so that it "
                    + "cannot be told how many vectors belong to it: \(fault.detail)")
        }
        guard let separate = try files.next() else { throw mismatch(rows: rowsSeen + 1 + (try countRowsLeft())) }
        let number = rowsSeen + 1
        do throws(RowFault) {
            let content = try source.content.get()
            let vectors = try vectors(of: content, separate)
            let fields = completed(content.fields)
            try filters.check(fields)
            try refuseDuplicate(fields, row: number)
            return .row(
                ImportRow(row: number, line: source.line, byte: source.byte, fields: fields, vectors: vectors))
        } catch {
            return .reject(
                RejectedRow(
                    row: number, line: source.line, byte: source.byte, code: error.code, detail: error.detail,
                    excerpt: source.excerpt))
        }
    }

    /// The vector of each key.
    ///
    /// - Parameter separate: those from files.
    private func vectors(of content: RowContent, _ separate: [[Float]?]) throws(RowFault) -> [KeyVector?] {
        if let fault = content.vectors?.fault { throw fault }
        var vectors: [KeyVector?] = []
        vectors.reserveCapacity(keys.count)
        for (index, key) in keys.enumerated() {
            let vector = separate[index].map { KeyVector.dense($0) } ?? content.vectors?.vectors[index]
            switch vector {
            case nil:
                guard key.kind == .dense, encodes.contains(key.name) else { throw missing(key) }
            case .dense(let values):
                if let fault = VectorFault.find(in: values[...], metric: key.metric) {
                    throw RowFault(fault.code, "\(field(of: index)): \(fault.message)")
                }
            case .sparse: break
            }
            vectors.append(vector)
        }
        return vectors
    }

    /// How messages name the vector of a key.
    private func field(of index: Int) -> String {
        index == keys.firstIndex { $0.kind == .dense } ? "vector" : "vectors.\(keys[index].name)"
    }

    private func missing(_ key: KeySpec) -> RowFault {
        let expected: String
        switch (key.kind, format) {
        case (.sparse, .ndjson): expected = "weights of terms in \"vectors\": {\"\(key.name)\": {…}}"
        case (.sparse, _): expected = "NDJSON rows with weights of terms in \"vectors\": {\"\(key.name)\": {…}}"
        case (.dense, .ndjson) where key == keys.first { $0.kind == .dense }:
            expected = "\"vector\" or \"vector_base64\", a file of vectors, or an encoder"
        case (.dense, .ndjson):
            expected = "a vector in \"vectors\": {\"\(key.name)\": […]}, a file of vectors, or an encoder"
        case (.dense, _): expected = "a file of vectors, or an encoder"
        }
        return RowFault(.missingVector, "key \"\(key.name)\": expected \(expected)")
    }

    private func completed(_ fields: EntryFields) -> EntryFields {
        var fields = fields
        fields.origin = fields.origin ?? options.origin
        fields.lang = fields.lang ?? options.lang
        fields.source = fields.source ?? options.source
        return fields
    }

    /// Remembers the row unless it is refused.
    private func refuseDuplicate(_ fields: EntryFields, row: Int) throws(RowFault) {
        let id = fields.externalID.map { TextDigest($0) }
        if let id, let first = rowsByExternalID.updateValue(row, forKey: id) {
            rowsByExternalID[id] = first
            throw RowFault(
                .duplicateExternalID,
                "the id \"\(fields.externalID?.prefix(80) ?? "")\" was given before, by row \(first)")
        }
        guard options.filters.dropDuplicates else { return }
        let caption = TextDigest(fields.imageID, fields.text)
        if let first = rowsByCaption.updateValue(row, forKey: caption) {
            rowsByCaption[caption] = first
            if let id { rowsByExternalID[id] = nil }
            throw RowFault(.duplicateCaption, "the same text of the same image was given before, by row \(first)")
        }
    }

    private func countRowsLeft() throws -> Int {
        var count = 0
        while try rows.next() != nil { count += 1 }
        return count
    }

    private func mismatch(rows: Int) -> DatastoreError {
        let got = "\(window.source.name) has \(rows) rows, \(files.description)"
        return DatastoreError(.rowsVectorsMismatch, "\(got); expected one vector for each row, in the same order")
    }
}

extension ImportFormat {
    /// The rows of a file of this form.
    ///
    /// - Parameters:
    ///   - window: at the file's start.
    ///   - inline: how vectors that stand in their row are read.
    /// - Throws: `unknown_column`, or `invalid_value` for options that the form has no use for.
    fileprivate func rows(
        in window: ByteWindow, options: ImportOptions, inline: InlineKeys, maximumRowBytes: Int
    ) throws -> any RowSource {
        func lines(_ form: some LineForm) -> any RowSource {
            LineRows(form, window: window, maximumRowBytes: maximumRowBytes)
        }
        func elements(_ form: some ElementForm) -> any RowSource {
            ElementRows(form, window: window, maximumRowBytes: maximumRowBytes)
        }
        func refuse(_ option: String, of forms: String) -> DatastoreError {
            DatastoreError.field(
                .invalidValue, option, "\(window.source.name) is \(rawValue); only \(forms) files have \(option)")
        }
        if !options.splits.isEmpty, self != .karpathy { throw refuse("splits", of: "karpathy") }
        if !options.columns.isEmpty, self != .csv, self != .tsv { throw refuse("columns", of: "csv and tsv") }
        switch self {
        case .auto, .ndjson: return lines(NDJSONForm(keys: inline))
        case .coco: return elements(CocoForm())
        case .karpathy: return elements(KarpathyForm(splits: options.splits, text: options.captionText))
        case .flickrToken: return lines(FlickrTokenForm())
        case .flickrResults: return lines(FlickrResultsForm())
        case .csv, .tsv:
            return try DelimitedRows(
                window: window, isTabs: self == .tsv, options: options, maximumRowBytes: maximumRowBytes)
        case .captionList: return elements(CaptionListForm())
        case .texts:
            if RowsSample(window).firstByte == UInt8(ascii: "{") {
                return KeyedTextRows(window: window, maximumRowBytes: maximumRowBytes)
            }
            return elements(TextsForm())
        case .text: return lines(TextForm())
        case .lvis: return elements(LvisForm())
        }
    }
}

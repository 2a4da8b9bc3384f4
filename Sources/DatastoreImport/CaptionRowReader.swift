package import DatastoreCore

/// Reads captions, or names, with their vectors: NDJSON rows, plain or gzip, and optionally a NumPy file of vectors.
///
/// Each line is a JSON object:
///
/// | field | meaning |
/// | --- | --- |
/// | `text` or `caption` | required; surrounding white space is taken off |
/// | `id`, `image_id` | a string, or an integer that is kept as its decimal digits |
/// | `origin` | `human`, `web` or `synthetic` |
/// | `lang`, `source` | strings |
/// | `payload` | an object |
/// | `vector` or `vector_base64` | an array of numbers, or base64 of little-endian 32-bit floats; without a NumPy file |
/// | any other | kept in the payload under its own name |
///
/// A field that is `null` counts as not given. Row n of the NumPy file belongs to the nth line that is not blank,
/// whether that row is accepted or rejected, so rows and vectors never shift.
///
/// ```swift
/// let reader = try CaptionRowReader(rowsPath: "coco.jsonl.gz", vectorsPath: "coco.npy", key: key)
/// while let record = try reader.next() {
///     switch record {
///     case .row(let row): try store.add(row)
///     case .reject(let reject): try store.keep(reject)
///     }
/// }
/// ```
///
/// Memory: a few chunks, the longest line, and the external ids seen. Not thread-safe: one thread reads at a time.
package final class CaptionRowReader {
    private let lines: LineReader
    private let vectors: NumpyReader?
    private let decoder: RowDecoder
    /// Line of each external id accepted so far.
    private var linesByExternalID: [String: Int] = [:]
    private var failure: (any Error)?

    /// Rows given so far by `next()`, accepted and rejected.
    package private(set) var rowsSeen = 0

    /// Opens the files.
    ///
    /// - Parameters:
    ///   - vectorsPath: a `.npy` file with one row per row of `rowsPath`; nil when the rows carry their vectors.
    ///   - key: what the vectors are for; its dim is every vector's.
    ///   - maximumLineBytes: a longer row is rejected.
    /// - Throws: `source_unreadable`, what `NumpyReader` throws, or `vector_dim_mismatch` when the `.npy` file has
    ///   another dim than the key.
    package init(
        rowsPath: String, vectorsPath: String?, key: KeySpec,
        maximumLineBytes: Int = LineReader.defaultMaximumLineBytes
    ) throws {
        lines = LineReader(source: try ByteSource(path: rowsPath), maximumLineBytes: maximumLineBytes)
        vectors = try vectorsPath.map { try NumpyReader(path: $0) }
        if let vectors, vectors.dim != key.dim {
            throw DatastoreError(
                .vectorDimMismatch,
                "\(vectors.name): got vectors of \(vectors.dim) numbers, expected \(key.dim) (key \(key.name))")
        }
        decoder = RowDecoder(key: key)
    }

    /// Whether every vector given is a 16-bit float exactly: the originals can be stored as such without loss.
    package var vectorsAreHalfPrecision: Bool { vectors?.elementType == .f16 }

    /// Bytes of the rows file that were used up, compressed ones when it is gzip.
    package var bytesRead: Int { lines.source.bytesRead }

    /// Bytes the rows file had when it was opened.
    package var totalBytes: Int { lines.source.totalBytes }

    /// The next row, accepted or rejected; nil after the last.
    ///
    /// Once it threw it keeps throwing the same error.
    ///
    /// - Throws: `gzip_truncated`, `gzip_corrupt`, `npy_truncated`, `source_unreadable`; or `rows_vectors_mismatch`
    ///   when rows and vectors are not equally many, which shows only after the rows that have both.
    package func next() throws -> ImportRecord? {
        if let failure { throw failure }
        do {
            let record = try readRecord()
            if record != nil { rowsSeen += 1 }
            return record
        } catch {
            failure = error
            throw error
        }
    }

    /// What became of one line.
    private enum Outcome {
        case blank
        case record(ImportRecord)
        case noVectorLeft
    }

    private func readRecord() throws -> ImportRecord? {
        while true {
            let outcome = try lines.withNextLine { line -> Outcome in
                if line.isBlank { return .blank }
                guard let vectors else { return .record(record(line, vector: nil)) }
                guard let vector = try vectors.next() else { return .noVectorLeft }
                return .record(record(line, vector: vector))
            }
            switch outcome {
            case .blank:
                continue
            case .record(let record):
                return record
            case .noVectorLeft:
                throw mismatch(rows: rowsSeen + 1 + (try countRowsLeft()))
            case nil:
                if let vectors, vectors.rows != rowsSeen { throw mismatch(rows: rowsSeen) }
                return nil
            }
        }
    }

    private func record(_ line: LineReader.Line, vector: [Float]?) -> ImportRecord {
        do throws(RowFault) {
            guard !line.isTooLong else {
                throw RowFault(
                    .rowTooLong, "got a line of \(line.length) bytes, expected at most \(lines.maximumLineBytes)")
            }
            let (fields, vector) = try decoder.decode(line.bytes, vector: vector)
            if let externalID = fields.externalID {
                if let first = linesByExternalID[externalID] {
                    throw RowFault(
                        .duplicateExternalID, "the id \"\(externalID.prefix(80))\" was given before, on line \(first)")
                }
                linesByExternalID[externalID] = line.number
            }
            return .row(ImportRow(line: line.number, fields: fields, vector: vector))
        } catch {
            return .reject(RejectedRow(line: line, fault: error))
        }
    }

    private func countRowsLeft() throws -> Int {
        var count = 0
        while let isBlank = try lines.withNextLine(\.isBlank) {
            if !isBlank { count += 1 }
        }
        return count
    }

    private func mismatch(rows: Int) -> DatastoreError {
        let got = "\(lines.source.name) has \(rows) rows, \(vectors?.name ?? "") has \(vectors?.rows ?? 0) vectors"
        return DatastoreError(.rowsVectorsMismatch, "\(got); expected one vector for each row, in the same order")
    }
}

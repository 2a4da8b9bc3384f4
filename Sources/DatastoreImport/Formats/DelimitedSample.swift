/// The first records of a file of columns, from which its delimiter, header and columns are found.
struct DelimitedSample {
    private static let maximumRecords = 500

    /// The records that could be read; blank lines are none.
    let records: [[String]]
    /// Whether the first record is the file's first.
    let beginsWithFirst: Bool

    init(_ bytes: UnsafeRawBufferPointer, syntax: DelimitedSyntax, isWhole: Bool) {
        var records: [[String]] = []
        var beginsWithFirst = true
        var position = 0
        while position < bytes.count, records.count < Self.maximumRecords {
            let rest = UnsafeRawBufferPointer(rebasing: bytes[position...])
            switch DelimitedRecord(rest, syntax: syntax, isWhole: isWhole) {
            case .fields(let fields, _, let end):
                let record = fields.map { RowText.trimmed($0.string(in: rest)) }
                if record != [""] { records.append(record) }
                position += end
            case .malformed:
                if records.isEmpty { beginsWithFirst = false }
                position = rest.newline(from: 0).map { position + $0 + 1 } ?? bytes.count
            case .unfinished:
                position = bytes.count
            }
        }
        self.records = records
        self.beginsWithFirst = beginsWithFirst
    }

    /// Fields that most records have.
    var width: Int {
        let counts = Dictionary(grouping: records, by: \.count).mapValues(\.count)
        return counts.max { ($0.value, -$0.key) < ($1.value, -$1.key) }?.key ?? 0
    }

    /// Share of the records that have `width` fields.
    func share(ofWidth width: Int) -> Double {
        records.isEmpty ? 0 : Double(records.count { $0.count == width }) / Double(records.count)
    }

    /// Share of the records of which a column, counted from 0, holds URLs or names of image files.
    func shareOfPlaces(inColumn column: Int) -> Double {
        let places = records.count { column < $0.count && Self.isPlace($0[column]) }
        return records.isEmpty ? 0 : Double(places) / Double(records.count)
    }

    /// The first record, when it is short names of which one at least is usual.
    var header: [String]? {
        guard beginsWithFirst, let first = records.first, first.allSatisfy({ $0.count <= 40 && !Self.isPlace($0) }),
            first.contains(where: { ColumnLayout.isUsual($0) })
        else { return nil }
        return first
    }

    private static let extensions = [".jpg", ".jpeg", ".png", ".gif", ".webp", ".tif", ".tiff", ".bmp"]

    /// Whether a text looks like a URL or an image file's name.
    static func isPlace(_ text: String) -> Bool {
        guard text.utf8.count > 4 else { return false }
        let text = text.lowercased()
        return text.hasPrefix("http://") || text.hasPrefix("https://") || extensions.contains(where: text.hasSuffix)
    }
}

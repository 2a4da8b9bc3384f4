import DatastoreCore

/// The start of a file of rows, by which its form is found: never by the file's name.
struct RowsSample {
    /// Bytes that are looked at, inflated.
    static let bytesWanted = 1024 * 1024
    /// Lines that are looked at when the file is not JSON.
    private static let linesWanted = 500
    /// Share of the lines that must fit a form.
    private static let share = 0.8

    private let window: ByteWindow

    /// Looks ahead in `window`, which stays where it is.
    init(_ window: ByteWindow) {
        self.window = window
        window.lookAhead(Self.bytesWanted)
    }

    private var name: String { window.source.name }
    private var bytes: UnsafeRawBufferPointer { window.bytes }
    private var isWhole: Bool { window.isAtEnd }

    /// The first byte that is not white space; nil when there is none.
    var firstByte: UInt8? { bytes.first { $0 > 0x20 } }

    /// The form of the file.
    ///
    /// - Parameter asked: a form that was named is taken, unless the file is plainly another.
    /// - Throws: `lfs_pointer`, `html_page`, `format_unknown` or `format_mismatch`.
    func format(asked options: ImportOptions) throws -> ImportFormat {
        let asked = options.format
        if let foreign = ForeignFile(bytes) { throw foreign.rowsError(name: name) }
        // Without a row any form is as good as another.
        guard let firstByte else { return asked == .auto ? .ndjson : asked }
        guard asked != .auto else {
            if let found = try JSONOutline(bytes, isWhole: isWhole).format(file: name) { return found }
            try refuseBinary()
            return lineFormat(hasColumns: !options.columns.isEmpty || options.header != nil)
        }
        let json = JSONOutline(bytes, isWhole: isWhole).known
        if let json, json != asked { throw mismatch(json, asked) }
        if json == nil, !mayBe(asked, firstByte: firstByte) { throw mismatch(nil, asked) }
        return asked
    }

    /// Whether a file, of which the structure tells nothing, may be of a form that was named: damage is left to be
    /// found row by row.
    private func mayBe(_ asked: ImportFormat, firstByte: UInt8) -> Bool {
        switch asked {
        case .coco, .karpathy: firstByte == UInt8(ascii: "{")
        case .captionList, .lvis: firstByte == UInt8(ascii: "[")
        case .texts: firstByte == UInt8(ascii: "[") || firstByte == UInt8(ascii: "{")
        case .flickrToken: lines.contains(where: Self.isFlickrToken)
        case .flickrResults: lines.contains(where: Self.isFlickrResult)
        case .tsv: bytes.contains(UInt8(ascii: "\t"))
        case .csv: !isTabbed || records(commaSyntax).header != nil || Self.isTable(records(commaSyntax))
        case .text, .ndjson, .auto: true
        }
    }

    /// Commas or semicolons, whichever makes more of the records.
    var commaSyntax: DelimitedSyntax {
        let (comma, semicolon) = (records(.comma), records(.semicolon))
        func fit(_ sample: DelimitedSample) -> Double {
            guard sample.width > 1 else { return 0 }
            return sample.share(ofWidth: sample.width) + (sample.header == nil ? 0 : 1)
        }
        return fit(semicolon) > fit(comma) ? .semicolon : .comma
    }

    func records(_ syntax: DelimitedSyntax) -> DelimitedSample {
        DelimitedSample(bytes, syntax: syntax, isWhole: isWhole)
    }

    /// The form of a file that is not JSON.
    private func lineFormat(hasColumns: Bool) -> ImportFormat {
        let lines = lines
        func most(_ isFitting: (String) -> Bool) -> Bool {
            Double(lines.count(where: isFitting)) >= Self.share * Double(lines.count)
        }
        if hasColumns { return isTabbed ? .tsv : .csv }
        if most(Self.isFlickrToken) { return .flickrToken }
        if most(Self.isFlickrResult) { return .flickrResults }
        if isTabbed { return .tsv }
        return [DelimitedSyntax.comma, .semicolon].contains { Self.isTable(records($0)) } ? .csv : .text
    }

    /// Whether most lines have as many tabs.
    private var isTabbed: Bool {
        let tabs = records(.tab)
        return tabs.width > 1 && tabs.share(ofWidth: tabs.width) >= Self.share
    }

    /// The first lines that are not blank, bytes that are no UTF-8 repaired.
    private var lines: [String] {
        var lines: [String] = []
        var position = 0
        while position < bytes.count, lines.count < Self.linesWanted {
            let end = bytes.newline(from: position)
            // A line that the sample cuts counts only when it is the only one.
            if end == nil, !isWhole, !lines.isEmpty { break }
            let line = RowText.trimmed(String(decoding: bytes[position..<(end ?? bytes.count)], as: UTF8.self))
            if !line.isEmpty { lines.append(line) }
            position = (end ?? bytes.count) + 1
        }
        return lines
    }

    private static func isFlickrToken(_ line: String) -> Bool {
        guard let tab = line.utf8.firstIndex(of: UInt8(ascii: "\t")),
            let mark = line[..<tab].utf8.lastIndex(of: UInt8(ascii: "#")), mark > line.startIndex
        else { return false }
        return line[mark...].utf8.dropFirst().first.map { (0x30...0x39).contains($0) } ?? false
    }

    private static func isFlickrResult(_ line: String) -> Bool {
        let fields = FlickrResultsForm.fields(of: line)
        guard fields.count == 3 else { return false }
        return Int(fields[1]) != nil || fields.map { $0.lowercased() } == FlickrResultsForm.header
    }

    /// Whether records have a header that names the text, or a column of URLs or file names at one side.
    private static func isTable(_ sample: DelimitedSample) -> Bool {
        if let header = sample.header {
            return header.contains { ColumnLayout.textNames.contains($0.lowercased()) }
        }
        guard sample.width > 1 else { return false }
        return [0, sample.width - 1].contains { sample.shareOfPlaces(inColumn: $0) >= share }
    }

    /// - Throws: `format_unknown` when more than one byte in a hundred, and not just a few, are no text's.
    private func refuseBinary() throws {
        let some = bytes.prefix(64 * 1024)
        let controls = some.count { $0 < 0x09 || (0x0E..<0x20).contains($0) }
        guard controls > 4, controls * 100 > some.count else { return }
        throw DatastoreError(
            .formatUnknown,
            "\(name): got binary data, expected rows as text; the forms that are read are "
                + ImportFormat.known)
    }

    private func mismatch(_ json: ImportFormat?, _ asked: ImportFormat) -> DatastoreError {
        let isBracket = firstByte == UInt8(ascii: "[") || firstByte == UInt8(ascii: "{")
        let got = json ?? (isBracket ? nil : lineFormat(hasColumns: false))
        let name = got?.rawValue ?? "JSON of another form"
        return DatastoreError(.formatMismatch, "\(self.name): got \(name), expected \(asked.rawValue) as was asked for")
    }
}

extension ImportFormat {
    /// All but `auto`, for messages.
    static var known: String {
        allCases.filter { $0 != .auto }.map(\.rawValue).joined(separator: ", ")
    }
}

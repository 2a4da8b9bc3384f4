import DatastoreCore

/// What the start of a JSON file shows of its structure: enough to tell the forms apart.
struct JSONOutline {
    private enum Ending {
        /// The value ends at this byte.
        case closed(Int)
        /// The bytes end inside the value.
        case cut
        /// It is not JSON from some byte on.
        case malformed
    }

    private let bytes: UnsafeRawBufferPointer
    private let isWhole: Bool
    /// The form, when the structure is that of one.
    private(set) var known: ImportFormat?
    /// Names of the members of the object, or of the first object in the array, as far as they were read.
    private var names: [String] = []
    /// Values of the object or array, as far as they were read.
    private var count = 0
    private var ending = Ending.malformed

    /// - Parameter isWhole: whether the bytes are the whole file.
    init(_ bytes: UnsafeRawBufferPointer, isWhole: Bool) {
        self.bytes = bytes
        self.isWhole = isWhole
        var scanner = JSONScanner(bytes)
        scanner.skipWhitespace()
        do throws(RowFault) {
            switch scanner.current {
            case UInt8(ascii: "{"): try readObject(&scanner)
            case UInt8(ascii: "["): try readArray(&scanner)
            default: return
            }
            ending = .closed(scanner.offset)
        } catch {
            if scanner.offset >= bytes.count { ending = .cut }
        }
    }

    /// The form of the file; nil when it is not JSON.
    ///
    /// - Throws: `format_unknown` when it is JSON of no known form.
    func format(file: String) throws -> ImportFormat? {
        if let known { return known }
        guard let start = bytes.firstIndex(where: { $0 > 0x20 }) else { return nil }
        let second = bytes[start...].dropFirst().first { $0 > 0x20 }
        switch bytes[start] {
        case UInt8(ascii: "{"):
            guard second == nil || second == UInt8(ascii: "\"") || second == UInt8(ascii: "}") else { return nil }
            if isObjectPerLine(from: start) { return .ndjson }
        case UInt8(ascii: "["):
            switch ending {
            case .malformed where count == 0: return nil
            // A text may begin with a bracket.
            case .closed(let end) where bytes[end...].contains { $0 > 0x20 }: return nil
            default: break
            }
        default:
            return nil
        }
        let members = names.prefix(10).map { "\"\($0.prefix(80))\"" }.joined(separator: ", ")
        let kind = bytes[start] == UInt8(ascii: "{") ? "object" : "array"
        throw DatastoreError(
            .formatUnknown,
            "\(file): got a JSON \(kind)\(members.isEmpty ? "" : " with the members \(members)") that is none of the "
                + "forms that are read: \(ImportFormat.known)")
    }

    /// Whether an object that tells nothing is a line's, not the whole document.
    private func isObjectPerLine(from start: Int) -> Bool {
        let firstEnd = bytes.newline(from: start) ?? bytes.count
        let isOneLine = bytes[firstEnd...].allSatisfy { $0 <= 0x20 }
        switch ending {
        case .closed(let end): return end <= firstEnd
        case .cut: return isOneLine
        case .malformed:
            if isOneLine { return true }
            var position = start
            while position < bytes.count {
                let end = bytes.newline(from: position) ?? bytes.count
                let line = bytes[position..<end]
                if line.first == UInt8(ascii: "{"), line.last(where: { $0 > 0x20 }) == UInt8(ascii: "}") { return true }
                position = end + 1
            }
            return false
        }
    }

    /// What ends the reading once the form is known.
    private static let enough = RowFault(.malformedRow, "")

    private mutating func readObject(_ scanner: inout JSONScanner) throws(RowFault) {
        try scanner.object { (name, scanner) throws(RowFault) in
            known = Self.format(member: name, isFirst: count == 0, scanner)
            guard known == nil else { throw Self.enough }
            names.append(name)
            count += 1
            try Self.skipValue(&scanner)
        }
    }

    private mutating func readArray(_ scanner: inout JSONScanner) throws(RowFault) {
        try scanner.array { (scanner) throws(RowFault) in
            switch scanner.current {
            case UInt8(ascii: "\""):
                known = .texts
            case UInt8(ascii: "{"):
                let members = Self.names(in: scanner)
                if names.isEmpty { names = members }
                if members.contains(where: CaptionListForm.captionNames.contains) {
                    known = .captionList
                } else if members.contains("name"), members.contains(where: ["synonyms", "synset", "def"].contains) {
                    known = .lvis
                }
            default:
                break
            }
            guard known == nil else { throw Self.enough }
            try Self.skipValue(&scanner)
            count += 1
        }
        if count == 0 { known = .texts }
    }

    /// The form that a member of the first object shows.
    private static func format(member name: String, isFirst: Bool, _ scanner: JSONScanner) -> ImportFormat? {
        let next = scanner.current
        switch name {
        case "text" where next == UInt8(ascii: "\"") || next == UInt8(ascii: "n"),
            "caption" where next == UInt8(ascii: "\"") || next == UInt8(ascii: "n"):
            return .ndjson
        case "annotations" where next == UInt8(ascii: "["):
            return .coco
        case "images" where next == UInt8(ascii: "["):
            var images = scanner
            var members: [String] = []
            try? images.array { (scanner) throws(RowFault) in
                members = names(in: scanner)
                throw enough
            }
            if members.contains(where: ["sentences", "sentids"].contains) { return .karpathy }
            return members.contains(where: ["id", "file_name", "coco_url"].contains) ? .coco : nil
        default:
            let isNumber = !name.isEmpty && name.utf8.allSatisfy { (0x30...0x39).contains($0) }
            let isText = next == UInt8(ascii: "\"") || next == UInt8(ascii: "{") || next == UInt8(ascii: "n")
            return isFirst && isNumber && isText ? .texts : nil
        }
    }

    /// Names of the members of the object that comes next, as far as they can be read.
    private static func names(in scanner: JSONScanner) -> [String] {
        var object = scanner
        var names: [String] = []
        try? object.object { (name, scanner) throws(RowFault) in
            names.append(name)
            try skipValue(&scanner)
        }
        return names
    }

    /// Goes behind the value that comes next, whatever is in it when it is an object or an array.
    private static func skipValue(_ scanner: inout JSONScanner) throws(RowFault) {
        guard scanner.current == UInt8(ascii: "{") || scanner.current == UInt8(ascii: "[") else {
            _ = try scanner.value()
            return
        }
        var extent = JSONExtent()
        do throws(JSONExtent.Fault) {
            let rest = UnsafeRawBufferPointer(rebasing: scanner.bytes[scanner.offset...])
            if let end = try extent.end(in: rest, from: 0) {
                scanner.offset += end
                return
            }
            scanner.offset = scanner.bytes.count
        } catch {
            scanner.offset += error.position
        }
        throw scanner.unexpected("the rest of a value")
    }
}

import DatastoreCore
import Foundation

/// Where answers go.
enum StandardOutput {
    /// Writes `text` and a line feed, when there is a text.
    ///
    /// When the reader has gone away the process ends as any other in a pipeline does, without a word.
    static func write(_ text: String) throws {
        guard !text.isEmpty else { return }
        try write(Data((text + "\n").utf8))
    }

    /// Writes `bytes` as they are.
    static func write(_ bytes: Data) throws {
        var bytes = bytes[...]
        while !bytes.isEmpty {
            let written = bytes.withUnsafeBytes { Foundation.write(STDOUT_FILENO, $0.baseAddress, $0.count) }
            switch (written, errno) {
            case (0..., _):
                bytes = bytes.dropFirst(written)
            case (_, EINTR):
                continue
            case (_, EPIPE):
                signal(SIGPIPE, SIG_DFL)
                raise(SIGPIPE)
            case (_, let code):
                throw DatastoreError(.storageFailed, "standard output: \(String(cString: strerror(code)))")
            }
        }
    }
}

/// Where progress, warnings and errors go. Nothing can be said when it is closed, so nothing is.
enum StandardError {
    static var isTerminal: Bool { isatty(STDERR_FILENO) == 1 }

    static func write(_ text: String, terminator: String = "\n") {
        try? FileHandle.standardError.write(contentsOf: Data((text + terminator).utf8))
    }
}

/// `text` without the control characters that would move a terminal's cursor, or break a table's row.
func printable(_ text: String) -> String {
    String(
        String.UnicodeScalarView(
            text.unicodeScalars.map { $0.properties.generalCategory == .control ? " " : $0 }))
}

/// Rows under a heading, in aligned columns.
struct Table {
    var heading: [String]
    var rows: [[String]]
    /// Columns that are numbers, aligned to the right.
    var numbers: Set<String> = []

    var text: String {
        let lines = [heading] + rows.map { $0.map(printable) }
        let widths = heading.indices.map { column in lines.map { $0[column].count }.max() ?? 0 }
        return lines.map { line in
            let cells = line.indices.map { column in
                let padding = String(repeating: " ", count: widths[column] - line[column].count)
                return numbers.contains(heading[column]) ? padding + line[column] : line[column] + padding
            }
            let joined = cells.joined(separator: "  ")
            return String(joined.reversed().drop { $0 == " " }.reversed())
        }.joined(separator: "\n")
    }
}

/// Names and values, one pair a line; pairs without a value are left out.
func properties(_ pairs: [(String, String?)]) -> String {
    let given = pairs.compactMap { name, value in value.map { (name, printable($0)) } }
    let width = given.map(\.0.count).max() ?? 0
    return given.map { $0.padding(toLength: width + 2, withPad: " ", startingAt: 0) + $1 }.joined(separator: "\n")
}

extension Date {
    /// As the wire has it, for example `2026-05-01T20:15:00Z`.
    var shown: String { formatted(.iso8601) }
}

extension Int64 {
    /// A size in bytes, for example `12.3 MB`.
    var shownAsBytes: String {
        var value = Double(self)
        var unit = "B"
        for next in ["kB", "MB", "GB", "TB"] where value >= 1000 {
            value /= 1000
            unit = next
        }
        return unit == "B" ? "\(self) B" : String(format: "%.1f %@", value, unit)
    }
}

extension Duration {
    /// For example `2 min, 5 s`.
    var shownLong: String {
        formatted(.units(allowed: [.hours, .minutes, .seconds], width: .abbreviated))
    }

    /// For example `1.2 s`.
    var shown: String {
        formatted(.units(allowed: [.seconds], width: .narrow, fractionalPart: .show(length: 1)))
    }
}

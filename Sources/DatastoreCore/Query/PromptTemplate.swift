/// SmallCap's prompt: `||` in the template is replaced by the captions.
///
/// The captions are joined with a blank line, and one `.` follows the last, as in `RitaRamo/smallcap`,
/// `src/utils.py` and `template.txt`.
public struct PromptTemplate: Sendable, Hashable {
    public static let smallCap = PromptTemplate("Similar images show\n\n||\n\nThis image shows ")

    public let template: String

    public init(_ template: String) {
        self.template = template
    }

    /// Places for the captions that a template may have, so that a prompt stays of a size.
    private static let maximumPlaces = 16
    private static let maximumBytes = 65_536

    /// - Throws: `invalid_value`.
    package func validate(field: String) throws {
        guard template.utf8.count <= Self.maximumBytes else {
            throw DatastoreError.field(
                .invalidValue, field, "got \(template.utf8.count) bytes, expected at most \(Self.maximumBytes)")
        }
        var places = 0
        var bars = 0
        for byte in template.utf8 {
            bars = byte == UInt8(ascii: "|") ? bars + 1 : 0
            if bars == 2 {
                places += 1
                bars = 0
            }
        }
        guard places <= Self.maximumPlaces else {
            throw DatastoreError.field(
                .invalidValue, field, "got \(places) places for the captions, expected at most \(Self.maximumPlaces)")
        }
    }

    /// The prompt for `captions`, nearest first; nil when there are none.
    ///
    /// Byte for byte what Python's `template.replace("||", "\n\n".join(captions) + ".")` gives: from left to right,
    /// whatever follows a bar, a combining mark too.
    public func render(_ captions: [String]) -> String? {
        guard !captions.isEmpty else { return nil }
        let joined = Array((captions.joined(separator: "\n\n") + ".").utf8)
        let bar = UInt8(ascii: "|")
        var prompt: [UInt8] = []
        var rest = Array(template.utf8)[...]
        while let index = rest.firstIndex(of: bar) {
            let isPlace = index + 1 < rest.endIndex && rest[index + 1] == bar
            prompt += isPlace ? rest[..<index] + joined : rest[...index]
            rest = rest[(index + (isPlace ? 2 : 1))...]
        }
        return String(decoding: prompt + rest, as: UTF8.self)
    }
}

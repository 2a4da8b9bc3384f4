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

    /// The prompt for `captions`, nearest first; nil when there are none.
    public func render(_ captions: [String]) -> String? {
        guard !captions.isEmpty else { return nil }
        let joined = captions.joined(separator: "\n\n") + "."
        return template.split(separator: "||", omittingEmptySubsequences: false).joined(separator: joined)
    }
}

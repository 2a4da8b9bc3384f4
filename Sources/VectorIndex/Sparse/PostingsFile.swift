import DatastoreCore
import Foundation

/// The rows of each term, mapped.
package final class PostingsFile: Sendable {
    static let header = FileHeader(magic: "CAPSTANP", format: 1)

    private let file: MappedFile
    package let terms: Int
    /// Rows of the vectors that it was made from.
    package let count: Int

    package init(path: String) throws {
        let name = (path as NSString).lastPathComponent
        file = try MappedFile(path: path)
        let numbers = try Self.header.numbers(of: file, name: name, what: "a file of postings")
        (terms, count) = (numbers[0], numbers[1])
    }
}

import DatastoreImport
package import Foundation

extension TestData {
    /// The `caption` of each line of a file of JSON lines, plain or gzip.
    package static func captions(of file: URL) throws -> [String] {
        struct Line: Decodable {
            let caption: String
        }
        let source = try ByteSource(path: file.path)
        var data = Data()
        var chunk = [UInt8](repeating: 0, count: 1 << 18)
        while true {
            let count = try chunk.withUnsafeMutableBytes { try source.read(into: $0) }
            if count == 0 { break }
            data.append(contentsOf: chunk[..<count])
        }
        let decoder = JSONDecoder()
        return try data.split(separator: UInt8(ascii: "\n")).map { try decoder.decode(Line.self, from: $0).caption }
    }
}

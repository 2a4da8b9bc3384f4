import DatastoreCore
import Foundation

/// A file that a command reads whole; `-` is standard input.
struct InputFile {
    let path: String

    /// How messages name it.
    var name: String { path == "-" ? "standard input" : path }

    init(_ path: String) {
        self.path = path
    }

    /// - Throws: `source_unreadable`.
    func data() throws -> Data {
        do {
            guard path != "-" else { return try FileHandle.standardInput.readToEnd() ?? Data() }
            return try Data(contentsOf: URL(filePath: path))
        } catch {
            throw DatastoreError(.sourceUnreadable, "\(name): cannot be read: \(error.localizedDescription)")
        }
    }

    /// The text as it is, byte for byte.
    ///
    /// - Throws: `source_unreadable`, `invalid_utf8`.
    func text() throws -> String {
        guard let text = String(validating: try data(), as: UTF8.self) else {
            throw DatastoreError(.invalidUTF8, "\(name): not UTF-8")
        }
        return text
    }

    /// The value of a JSON file.
    ///
    /// - Parameter form: what is expected, for the message.
    func json<Value: Decodable>(_ type: Value.Type, _ form: String) throws -> Value {
        do {
            return try WireJSON.decode(type, from: try data())
        } catch let error as DatastoreError where error.code != .sourceUnreadable {
            let reason = error.errors.first { $0.field.isEmpty }?.message ?? error.detail
            throw DatastoreError(error.code, "\(name): \(reason); expected \(form)")
        }
    }

    /// The picture of a file.
    ///
    /// - Throws: `source_unreadable`, `invalid_value`.
    func picture() throws -> QueryInput { .image(try QueryImage(data: try data()).dataURI) }
}

public import Foundation

/// The one way JSON is read and written on the wire and in files: sorted keys, ISO 8601 dates, no escaped slashes.
public enum WireJSON {
    /// Thread-safe: coders are values made per call.
    public static func encode<Value: Encodable>(_ value: Value, pretty: Bool = false) throws -> Data {
        let encoder = JSONEncoder()
        encoder.outputFormatting =
            pretty
            ? [.sortedKeys, .withoutEscapingSlashes, .prettyPrinted]
            : [.sortedKeys, .withoutEscapingSlashes]
        encoder.dateEncodingStrategy = .iso8601
        return try encoder.encode(value)
    }

    /// - Throws: `DatastoreError` with what was wrong and where.
    public static func decode<Value: Decodable>(_ type: Value.Type, from data: Data) throws -> Value {
        let decoder = JSONDecoder()
        decoder.dateDecodingStrategy = .iso8601
        do {
            return try decoder.decode(type, from: data)
        } catch let error as DecodingError {
            throw DatastoreError(decoding: error, data: data)
        }
    }
}

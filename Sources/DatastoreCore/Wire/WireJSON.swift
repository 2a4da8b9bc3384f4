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
            if let weight = notFiniteWeight(type, in: data) { throw weight }
            throw DatastoreError(decoding: error, data: data)
        }
    }

    /// Python's `json` writes NaN and Infinity as they are, which is no JSON: where that is a weight, the error says so.
    private static func notFiniteWeight<Value: Decodable>(_ type: Value.Type, in data: Data) -> DatastoreError? {
        let decoder = JSONDecoder()
        decoder.allowsJSON5 = true
        do {
            _ = try decoder.decode(type, from: data)
            return nil
        } catch {
            return (error as? DatastoreError).flatMap { $0.code == .weightNotFinite ? $0 : nil }
        }
    }
}

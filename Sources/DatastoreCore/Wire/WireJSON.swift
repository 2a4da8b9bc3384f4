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
    ///
    /// They are read as strings that stand for them. JSON5 has them as numbers, but Foundation's reader of it ends the process
    /// on some malformed texts.
    private static func notFiniteWeight<Value: Decodable>(_ type: Value.Type, in data: Data) -> DatastoreError? {
        guard let quoted = quotingNotFinite(data) else { return nil }
        let decoder = JSONDecoder()
        decoder.nonConformingFloatDecodingStrategy = .convertFromString(
            positiveInfinity: "Infinity", negativeInfinity: "-Infinity", nan: "NaN")
        do {
            _ = try decoder.decode(type, from: quoted)
            return nil
        } catch {
            return (error as? DatastoreError).flatMap { $0.code == .weightNotFinite ? $0 : nil }
        }
    }

    /// `data` with quotes around each `NaN`, `Infinity` and `-Infinity` outside of strings; nil when there is none.
    private static func quotingNotFinite(_ data: Data) -> Data? {
        let words = ["NaN", "-Infinity", "Infinity"].map { Array($0.utf8) }
        let starts = words.map { $0[0] }
        let bytes = [UInt8](data)
        var quoted = Data(capacity: bytes.count + 16)
        var isInString = false
        var hasWord = false
        var index = 0
        while index < bytes.count {
            let byte = bytes[index]
            if isInString {
                let length = byte == UInt8(ascii: "\\") ? min(2, bytes.count - index) : 1
                isInString = byte != UInt8(ascii: "\"")
                quoted.append(contentsOf: bytes[index..<index + length])
                index += length
            } else if starts.contains(byte), let word = words.first(where: { bytes[index...].starts(with: $0) }) {
                hasWord = true
                quoted.append(UInt8(ascii: "\""))
                quoted.append(contentsOf: word)
                quoted.append(UInt8(ascii: "\""))
                index += word.count
            } else {
                isInString = byte == UInt8(ascii: "\"")
                quoted.append(byte)
                index += 1
            }
        }
        return hasWord ? quoted : nil
    }
}

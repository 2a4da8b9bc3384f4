import DatastoreCore
import Foundation
import Testing

/// Expects that `body` throws a `DatastoreError` with `code`, and returns it.
@discardableResult
func expectError<Value>(
    _ code: ErrorCode, _ comment: Comment? = nil, sourceLocation: SourceLocation = #_sourceLocation,
    _ body: () throws -> Value
) -> DatastoreError? {
    do {
        let value = try body()
        Issue.record("expected \(code.rawValue), got \(value)", sourceLocation: sourceLocation)
    } catch let error as DatastoreError {
        #expect(error.code == code, comment ?? "\(error.detail)", sourceLocation: sourceLocation)
        return error
    } catch {
        Issue.record("expected \(code.rawValue), got \(error)", sourceLocation: sourceLocation)
    }
    return nil
}

func json(_ value: some Encodable) throws -> String {
    String(decoding: try WireJSON.encode(value), as: UTF8.self)
}

func decode<Value: Decodable>(_ type: Value.Type, _ text: String) throws -> Value {
    try WireJSON.decode(type, from: Data(text.utf8))
}

/// What Capstan throws wherever a caller can do something about it.
///
/// `detail` says what was wrong, where, what was got and what was expected; `errors` repeats it field by field.
public struct DatastoreError: Error, Sendable, Hashable {
    public let code: ErrorCode
    public let detail: String
    public let errors: [FieldError]

    public init(_ code: ErrorCode, _ detail: String, errors: [FieldError] = []) {
        self.code = code
        self.detail = detail
        self.errors = errors
    }

    /// An error about one field of a request, for example `query.vector`.
    public static func field(_ code: ErrorCode, _ field: String, _ message: String) -> DatastoreError {
        DatastoreError(code, "\(field): \(message)", errors: [FieldError(field: field, message: message)])
    }
}

extension DatastoreError: CustomStringConvertible {
    public var description: String { "\(code.rawValue): \(detail)" }
}

/// One field of a request that was refused.
public struct FieldError: Codable, Sendable, Hashable {
    /// Path of the field in the request, for example `query.vector`.
    public let field: String
    public let message: String

    public init(field: String, message: String) {
        self.field = field
        self.message = message
    }
}

/// An error as the API gives it, `application/problem+json` (RFC 9457).
public struct Problem: Codable, Sendable, Hashable {
    /// The HTTP status.
    public var status: Int
    /// A short name of the status.
    public var title: String
    /// A stable code, one of `ErrorCode` in this release; a newer daemon may send others.
    public var code: String
    public var detail: String
    public var errors: [FieldError]
    public var requestID: String?

    public init(
        status: Int, title: String, code: String, detail: String, errors: [FieldError] = [], requestID: String? = nil
    ) {
        self.status = status
        self.title = title
        self.code = code
        self.detail = detail
        self.errors = errors
        self.requestID = requestID
    }

    enum CodingKeys: String, CodingKey {
        case status, title, code, detail, errors
        case requestID = "request_id"
    }
}

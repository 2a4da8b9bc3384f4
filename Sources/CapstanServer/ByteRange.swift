import DatastoreCore
import HTTPTypes
import Hummingbird

/// The part of an answer that a request asks for (RFC 9110, 14.2): one range of bytes; several are answered with the whole.
enum ByteRange: Equatable {
    case from(Int64, through: Int64?)
    case last(Int64)

    /// The range that a request asks for, when what it has is of `etag`.
    init?(_ request: Request, etag: String) {
        guard let text = request.headers[.range] else { return nil }
        if let condition = request.headers[.ifRange], condition != etag { return nil }
        self.init(text)
    }

    /// Reads `bytes=10-`, `bytes=10-20` and `bytes=-10`; nil for what it does not know, which counts as not asked.
    init?(_ text: String) {
        guard text.hasPrefix("bytes=") else { return nil }
        let parts = text.dropFirst("bytes=".count).split(separator: "-", omittingEmptySubsequences: false)
        guard parts.count == 2, parts.allSatisfy({ $0.allSatisfy(\.isNumber) }) else { return nil }
        switch (Int64(parts[0]), Int64(parts[1])) {
        case (let first?, nil) where parts[1].isEmpty: self = .from(first, through: nil)
        case (let first?, let last?) where first <= last: self = .from(first, through: last)
        case (nil, let count?) where parts[0].isEmpty: self = .last(count)
        default: return nil
        }
    }

    /// The bytes it means of `length` in all.
    ///
    /// - Throws: `range_not_satisfiable` when there are none.
    func resolved(_ length: Int64) throws -> Range<Int64> {
        let range =
            switch self {
            case .from(let first, let last):
                first..<max(first, last.map { $0 < length ? $0 + 1 : length } ?? length)
            case .last(let count): max(0, length - count)..<length
            }
        guard !range.isEmpty else {
            throw DatastoreError.field(
                .rangeNotSatisfiable, "Range", "asks for bytes that are not there; there are \(length)")
        }
        return range
    }
}

extension Response {
    /// Headers and status of all of something, or of a range of it.
    static func bytes(
        _ range: Range<Int64>?, of length: Int64?, etag: String, contentType: String, fileName: String? = nil,
        body: ResponseBody
    ) -> Response {
        var response = Response(
            status: range == nil ? .ok : .partialContent,
            headers: [.contentType: contentType, .eTag: etag, .acceptRanges: "bytes"], body: body)
        if let range, let length {
            response.headers[.contentRange] = "bytes \(range.lowerBound)-\(range.upperBound - 1)/\(length)"
        }
        if let fileName { response.headers[.contentDisposition] = "attachment; filename=\"\(fileName)\"" }
        return response
    }
}

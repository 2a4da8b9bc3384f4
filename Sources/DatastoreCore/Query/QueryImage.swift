public import Foundation

/// A picture that a question carries: its bytes, never an address to fetch it from.
public struct QueryImage: Sendable, Hashable {
    public var data: Data
    /// For example `image/png`.
    public var mediaType: String

    /// - Throws: `invalid_value` for bytes that are no PNG, JPEG, GIF, WebP or BMP picture.
    public init(data: Data) throws {
        let start = Array(data.prefix(12))
        let kinds: [(mediaType: String, magic: [UInt8])] = [
            ("image/png", [0x89, 0x50, 0x4E, 0x47]), ("image/jpeg", [0xFF, 0xD8, 0xFF]),
            ("image/gif", Array("GIF8".utf8)), ("image/webp", Array("RIFF".utf8)), ("image/bmp", Array("BM".utf8)),
        ]
        guard let kind = kinds.first(where: { start.starts(with: $0.magic) }),
            kind.mediaType != "image/webp" || start.dropFirst(8).elementsEqual("WEBP".utf8)
        else {
            throw DatastoreError.field(
                .invalidValue, "query.image",
                "got \(data.count) bytes that are no picture, expected a PNG, JPEG, GIF, WebP or BMP file")
        }
        self.data = data
        mediaType = kind.mediaType
    }

    /// Reads base64, or a data URI of base64 (`data:image/png;base64,…`).
    ///
    /// - Throws: `invalid_base64`, `invalid_value`.
    public init(text: String) throws {
        var base64 = Substring(text)
        if text.hasPrefix("http:") || text.hasPrefix("https:") || text.hasPrefix("file:") {
            throw DatastoreError.field(
                .invalidValue, "query.image", "got a URL, expected the picture itself as base64: nothing is fetched")
        }
        if text.hasPrefix("data:") {
            guard let comma = text.firstIndex(of: ","), text[..<comma].hasSuffix(";base64") else {
                throw DatastoreError.field(
                    .invalidValue, "query.image", "got a data URI of another form, expected data:image/…;base64,…")
            }
            base64 = text[text.index(after: comma)...]
        }
        guard let data = Data(base64Encoded: String(base64)) else {
            throw DatastoreError.field(.invalidBase64, "query.image", "not valid base64")
        }
        try self.init(data: data)
    }

    /// As a question carries it.
    public var dataURI: String { "data:\(mediaType);base64,\(data.base64EncodedString())" }
}

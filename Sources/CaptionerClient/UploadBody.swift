import DatastoreCore
import Dispatch
import Foundation
import NIOCore

/// The body of an upload: bytes and files end to end, of a length known before the first is read.
struct UploadBody: Sendable {
    enum Segment: Sendable {
        case bytes(String)
        case file(URL, length: Int64)

        var length: Int64 {
            switch self {
            case .bytes(let text): Int64(text.utf8.count)
            case .file(_, let length): length
            }
        }
    }

    /// A part of a `multipart/form-data` body: a file, or a short text.
    struct Part {
        enum Content {
            case file(URL)
            case text(String)
        }

        var name: String
        var content: Content
        var type = "application/octet-stream"

        static func file(_ name: String, _ file: URL) -> Part { Part(name: name, content: .file(file)) }

        static func json(_ name: String, _ value: some Encodable) throws -> Part {
            let text = String(decoding: try WireJSON.encode(value), as: UTF8.self)
            return Part(name: name, content: .text(text), type: "application/json")
        }
    }

    let type: String
    let segments: [Segment]

    var length: Int64 { segments.reduce(0) { $0 + $1.length } }

    /// - Throws: `CaptionerError` of kind `unreadableFile`.
    init(file: URL, type: String) throws {
        self.type = type
        self.segments = [try Self.segment(of: file)]
    }

    /// - Throws: `CaptionerError` of kind `unreadableFile`.
    init(multipart parts: [Part], boundary: String = "capstan-\(UUID().uuidString)") throws {
        type = "multipart/form-data; boundary=\(boundary)"
        var segments: [Segment] = []
        for part in parts {
            let (fileName, segment): (String, Segment) =
                switch part.content {
                case .file(let file):
                    ("; filename=\"\(Self.escaped(file.lastPathComponent))\"", try Self.segment(of: file))
                case .text(let text): ("", .bytes(text))
                }
            segments.append(
                .bytes(
                    "\(segments.isEmpty ? "" : "\r\n")--\(boundary)\r\n"
                        + "Content-Disposition: form-data; name=\"\(part.name)\"\(fileName)\r\n"
                        + "Content-Type: \(part.type)\r\n\r\n"))
            segments.append(segment)
        }
        segments.append(.bytes("\r\n--\(boundary)--\r\n"))
        self.segments = segments
    }

    private static func escaped(_ fileName: String) -> String {
        fileName.replacing("\"", with: "%22").replacing("\r", with: "%0D").replacing("\n", with: "%0A")
    }

    private static func segment(of file: URL) throws -> Segment {
        var info = stat()
        guard stat(file.path(percentEncoded: false), &info) == 0 else {
            throw CaptionerError(unreadable: file, String(cString: strerror(errno)))
        }
        guard info.st_mode & S_IFMT == S_IFREG else {
            let isFolder = info.st_mode & S_IFMT == S_IFDIR
            throw CaptionerError(
                unreadable: file,
                isFolder
                    ? "a folder; give one file of it, or convert clip-retrieval's folders with Tools/python/capstan-convert"
                    : "not a regular file, whose size is known before it is sent")
        }
        return .file(file, length: Int64(info.st_size))
    }
}

extension UploadBody {
    /// The bytes of a body, read from disk as they are asked for.
    struct Chunks: AsyncSequence, Sendable {
        static let chunkBytes = 1 << 18

        let segments: [Segment]
        let totalBytes: Int64
        let progress: (@Sendable (UploadProgress) -> Void)?

        func makeAsyncIterator() -> Iterator {
            Iterator(segments: segments[...], totalBytes: totalBytes, progress: progress)
        }

        struct Iterator: AsyncIteratorProtocol {
            var segments: ArraySlice<Segment>
            let totalBytes: Int64
            let progress: (@Sendable (UploadProgress) -> Void)?
            private var bytesSent: Int64 = 0
            private var open: (reader: FileReader, remaining: Int64)?

            init(
                segments: ArraySlice<Segment>, totalBytes: Int64, progress: (@Sendable (UploadProgress) -> Void)?
            ) {
                self.segments = segments
                self.totalBytes = totalBytes
                self.progress = progress
            }

            mutating func next() async throws -> ByteBuffer? {
                guard let chunk = try await nextChunk() else { return nil }
                bytesSent += Int64(chunk.readableBytes)
                progress?(UploadProgress(bytesSent: bytesSent, totalBytes: totalBytes))
                return chunk
            }

            private mutating func nextChunk() async throws -> ByteBuffer? {
                while true {
                    if let (reader, remaining) = open {
                        guard remaining > 0 else {
                            open = nil
                            continue
                        }
                        let chunk = try await reader.read(upTo: Int(Swift.min(remaining, Int64(Chunks.chunkBytes))))
                        open = (reader, remaining - Int64(chunk.readableBytes))
                        return chunk
                    }
                    switch segments.popFirst() {
                    case nil: return nil
                    case .bytes(let text): return ByteBuffer(string: text)
                    case .file(let file, let length): open = (try FileReader(file), length)
                    }
                }
            }
        }
    }
}

/// Reads a file in order, off the threads that Swift's tasks share.
private final class FileReader: Sendable {
    private let file: URL
    private let handle: FileHandle
    private let queue = DispatchQueue(label: "capstan.upload")

    init(_ file: URL) throws {
        self.file = file
        let descriptor = open(file.path(percentEncoded: false), O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw CaptionerError(unreadable: file, String(cString: strerror(errno))) }
        handle = FileHandle(fileDescriptor: descriptor, closeOnDealloc: true)
    }

    /// The next bytes: at least one.
    func read(upTo count: Int) async throws -> ByteBuffer {
        try await withCheckedThrowingContinuation { continuation in
            queue.async { [self] in
                continuation.resume(
                    with: Result {
                        let data: Data?
                        do {
                            data = try handle.read(upToCount: count)
                        } catch {
                            throw CaptionerError(unreadable: file, error.localizedDescription)
                        }
                        guard let data, !data.isEmpty else {
                            throw CaptionerError(unreadable: file, "became shorter while it was sent")
                        }
                        return ByteBuffer(bytes: data)
                    })
            }
        }
    }
}

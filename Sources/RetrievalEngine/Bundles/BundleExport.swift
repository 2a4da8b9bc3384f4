package import Bundles
import DatastoreCore
import Synchronization

/// A version on its way out as a bundle: pieces that are made on the transfer threads as they are asked for.
///
/// Thread-safe.
package struct BundleExport: Sendable {
    let writer: BundleWriter
    let sizes: BundleSizes
    let pool: BlockingPool

    package var etag: String { writer.etag }
    /// For the client's disk.
    package var fileName: String { "\(writer.header.name).capstan" }
    package var pieceCount: Int { writer.pieceCount }

    /// - Throws: `version_damaged`, `storage_failed`, `overloaded`.
    package func piece(_ number: Int) async throws -> [UInt8] {
        try await pool.run { try make(number) }
    }

    /// Where the pieces begin, and behind them the end. Those that were not made yet are, once.
    package func offsets() async throws -> [Int64] {
        let known = sizes.sizes(of: etag)
        var offsets: [Int64] = [0]
        for number in 0..<pieceCount {
            let size: Int
            if let known = known[number] { size = known } else { size = try await piece(number).count }
            offsets.append(offsets[number] + Int64(size))
        }
        return offsets
    }

    private func make(_ number: Int) throws -> [UInt8] {
        CapstanEngine.yieldToQuestions()
        let piece = try writer.piece(number)
        sizes.note(piece.count, of: number, in: etag)
        return piece
    }
}

/// How long the pieces of the bundles are that were made last: where a download goes on that broke off. Thread-safe.
final class BundleSizes: Sendable {
    private static let bundles = 16

    private struct State {
        var sizes: [String: [Int: Int]] = [:]
        /// The one that was noted last is the last.
        var recent: [String] = []
    }

    private let state = Mutex(State())

    /// By the number of the piece.
    func sizes(of etag: String) -> [Int: Int] { state.withLock { $0.sizes[etag] ?? [:] } }

    func note(_ size: Int, of piece: Int, in etag: String) {
        state.withLock { state in
            state.sizes[etag, default: [:]][piece] = size
            if state.recent.last != etag {
                state.recent.removeAll { $0 == etag }
                state.recent.append(etag)
            }
            if state.recent.count > Self.bundles { state.sizes[state.recent.removeFirst()] = nil }
        }
    }
}

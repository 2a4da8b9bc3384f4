/// The room that one search works in, kept for the next.
///
/// `@unchecked Sendable`: one search has it at a time.
final class SparseScratch: @unchecked Sendable {
    /// The query's weight of each term, zero for terms that it does not have, and one zero more.
    let weights: UnsafeMutableBufferPointer<Float>
    /// Of each row of the window what the terms looked at so far add to its score.
    let sums: UnsafeMutableBufferPointer<Double>
    /// Of each row of the window: 0, or 1 when it has come up, 2 when its score has been computed.
    let states: UnsafeMutableBufferPointer<UInt8>
    /// The rows of the window that have come up, by their places in it; room for one more.
    let candidates: UnsafeMutableBufferPointer<UInt32>
    private var blocks = UnsafeMutableRawBufferPointer(start: nil, count: 0)

    init(terms: Int, window: Int) {
        weights = .allocate(capacity: terms + 1)
        sums = .allocate(capacity: window)
        states = .allocate(capacity: window)
        candidates = .allocate(capacity: window + 1)
        weights.initialize(repeating: 0)
        sums.initialize(repeating: 0)
        states.initialize(repeating: 0)
        candidates.initialize(repeating: 0)
    }

    deinit {
        weights.deallocate()
        sums.deallocate()
        states.deallocate()
        candidates.deallocate()
        blocks.deallocate()
    }

    /// Room for the postings of one block for each of so many lists.
    func rooms(_ count: Int) -> [PostingsFile.Room] {
        let (block, rows) = (PostingsFile.largestBlock, PostingsFile.blockSize * 4)
        if blocks.count < (count + 1) * block {
            blocks.deallocate()
            blocks = .allocate(byteCount: (count + 1) * block, alignment: 16)
        }
        guard let start = blocks.baseAddress else { return [] }
        return (1...max(1, count)).map { number in
            let room = start + number * block
            return PostingsFile.Room(
                rows: room.assumingMemoryBound(to: UInt32.self),
                weights: (room + rows).assumingMemoryBound(to: Float.self), bytes: start)
        }
    }
}

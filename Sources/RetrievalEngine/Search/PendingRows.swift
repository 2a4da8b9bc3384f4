import DatastoreCore
import DatastoreStorage
import VectorIndex

/// Pending entries beside a version: they are searched one by one, and hide the entries that they replace or delete.
struct PendingRows: Sendable {
    private(set) var blocks: [PendingBlock] = []
    /// The first slot of each block.
    private var starts: [Int] = []
    private(set) var slotCount = 0
    /// The slots of the entries that count, by id.
    private var slots: [Int64: Int] = [:]
    /// The same, one bit for each slot.
    private var counted: [UInt64] = []
    /// Entries of the version that do not count.
    private(set) var hidden: Set<Int64> = []

    static let none = PendingRows()

    /// Entries that count.
    var count: Int { slots.count }

    /// Takes the changes that came since; the slots of those before are the same.
    mutating func extend(to blocks: [PendingBlock], over version: OpenVersion?) {
        let through = version?.manifest.lineage.pendingThrough ?? 0
        let first = slotCount
        self.blocks = blocks
        starts = []
        slotCount = 0
        for block in blocks {
            starts.append(slotCount)
            slotCount += block.count
        }
        counted += [UInt64](repeating: 0, count: (slotCount + 63) / 64 - counted.count)
        for (block, start) in zip(blocks, starts) where start + block.count > first {
            for place in max(0, first - start)..<block.count where block.changes[place].sequence > through {
                take(block.changes[place], slot: start + place, over: version)
            }
        }
    }

    private mutating func take(_ change: PendingBlock.Change, slot: Int, over version: OpenVersion?) {
        let id = change.entry.id
        if version?.row(ofID: id) != nil { hidden.insert(id) }
        if let old = change.isDeletion ? slots.removeValue(forKey: id) : slots.updateValue(slot, forKey: id) {
            counted[old >> 6] &= ~(1 << UInt64(old & 63))
        }
        if !change.isDeletion { counted[slot >> 6] |= 1 << UInt64(slot & 63) }
    }

    func isCounted(_ slot: Int) -> Bool { counted[slot >> 6] >> UInt64(slot & 63) & 1 == 1 }

    /// The slot of an entry; nil when it is not pending.
    func slot(ofID id: Int64) -> Int? { slots[id] }

    private func locate(_ slot: Int) -> (block: PendingBlock, place: Int) {
        var low = 0
        var high = starts.count
        while high - low > 1 {
            let middle = (low + high) / 2
            if starts[middle] <= slot { low = middle } else { high = middle }
        }
        return (blocks[low], slot - starts[low])
    }

    func entry(_ slot: Int) -> Entry {
        let (block, place) = locate(slot)
        return block.changes[place].entry
    }

    /// The vector of an entry for a dense key.
    func vector(_ slot: Int, key position: Int) -> [Float] {
        let (block, place) = locate(slot)
        return block.vectors(position)?[place] ?? []
    }

    /// The weights of an entry for a sparse key.
    func weights(_ slot: Int, key position: Int) -> SparseVector? {
        let (block, place) = locate(slot)
        let weights = block.weights(position)
        return place < weights.count ? weights[place] : nil
    }

    /// Calls `body` with each block and its first slot.
    func forEachBlock(_ body: (PendingBlock, _ start: Int) throws -> Void) rethrows {
        for (block, start) in zip(blocks, starts) { try body(block, start) }
    }

    /// The entries that count, in no order.
    func forEachEntry(_ body: (_ slot: Int, Entry) throws -> Void) rethrows {
        try forEachBlock { block, start in
            for place in 0..<block.count where isCounted(start + place) {
                try body(start + place, block.changes[place].entry)
            }
        }
    }

    /// The slots whose entries `passes` says yes to.
    func slots(where passes: (EntryFields) -> Bool) -> RowSet {
        RowSet(capacity: slotCount) { isCounted($0) && passes(entry($0).fields) }
    }

    /// The entries of any of `images`.
    func ids(ofImages images: [String]) -> [Int64] {
        var ids: [Int64] = []
        forEachBlock { block, start in
            for image in images {
                for place in block.places(ofImage: image) where isCounted(start + place) {
                    ids.append(block.changes[place].entry.id)
                }
            }
        }
        return ids
    }

    /// The entry that counts with an external id.
    func id(ofExternalID externalID: String) -> Int64? {
        var found: Int64?
        forEachEntry { _, entry in
            if entry.fields.externalID == externalID { found = entry.id }
        }
        return found
    }
}

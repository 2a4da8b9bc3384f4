internal import DatastoreCore

/// One exact search of the postings of a sparse key, window by window of rows: MaxScore, one list after the other.
///
/// A list is a term that weighs more than zero in the query; no row of it gets more for the term than its *bound*, the
/// product of the two weights where the row's is the largest. In each window lists are added to the sums of their rows,
/// those first that have the largest bounds for the fewest postings. Meanwhile the most promising rows get their exact
/// scores, from the original vectors, and once `limit` rows have one, the least of them is the mark: when the bounds of
/// all lists that are left add up to less, no row that has come up in none so far can belong to the answer, and they are
/// left alone. In the end each row that came up and whose sum, with what is left, reaches the mark is scored. So postings
/// only ever say which rows to look at.
///
/// **No rounding loses a row.** A row's score is a sum of n products of 32-bit floats, at most one for each term of the
/// query. Each product is exact in double: 48 bits, and no exponent out of range. Let M be the sum over the terms of the
/// largest product that any row could have, without its sign, u = 2⁻⁵³, and n·u tiny (n ≤ 2²⁴). Then sums of some of these
/// products, in any order, are off by at most n·u·M: the score as it is computed; the row's sum so far; the bounds that
/// are left. Adding the latter two and what was skipped is two additions of at most 2·M. All in all the score as it is
/// computed is less than *most* = sum + left + skipped, as they are computed, plus (3n + 4)·u·M and terms of u². A row is
/// dropped when most ≤ cut = down(mark) − (4n + 16)·u·M, where down(mark) is the largest 32-bit float below the mark;
/// that difference rounds by 2·u·M at most, and the bound itself by far less than the n + 8 that remain. So the computed
/// score of a dropped row is at most down(mark), and is rounded (and clamped) to a 32-bit float that is at most
/// down(mark), because rounding keeps order: less than the mark, which only rises. Rows with the very score of the mark,
/// which the order of rows decides on, are never dropped.
struct SparseSearch: ~Copyable {
    /// A term of positive weight in the query, and how far its postings have been read.
    private struct List {
        let weight: Double
        /// What the term can add to a score at most.
        let bound: Double
        let count: Int
        var nextBlock: Int
        let endBlock: Int
        /// Of the next block, when it began in an earlier window: how many of its postings have been read.
        var position: Int?
        var room: PostingsFile.Room
    }

    private let data: UnsafeRawBufferPointer
    private let blocks: UnsafeBufferPointer<PostingsFile.Block>
    private let rows: SparseVectorFile.Rows
    private let rowCount: Int
    private let termCount: UInt32
    private var lists: [List]
    /// For each list what it and all behind it can add, and one more: what terms of negative weights can.
    private var rest: [Double]
    /// (4n + 16)·u·M
    private let slack: Double
    /// How long a row takes to score, in the postings that are added meanwhile.
    private let scoringCost: Int

    private let weights: UnsafeMutableBufferPointer<Float>
    private let sums: UnsafeMutableBufferPointer<Double>
    private let states: UnsafeMutableBufferPointer<UInt8>
    private let candidates: UnsafeMutableBufferPointer<UInt32>
    private var candidateCount = 0
    private var top: TopHits
    /// The candidates with the largest sums.
    private var best: TopHits
    private let limit: Int
    /// The rows that count; nil when all do.
    private let wanted: RowSet?
    /// Rows that reach no more than this are not in the answer.
    private var cut = -Double.infinity
    private var isDamaged = false
    // The first row of the window, and the one behind its last.
    private var base = 0
    private var end = 0
    /// What the postings of this window that were skipped can add to a score at most.
    private var skipped = 0.0

    /// Nil when no term of the query weighs more than zero in any row.
    ///
    /// - Parameters:
    ///   - limit: 1 or more.
    ///   - wanted: the rows that count; nil when all do.
    ///   - scratch: with the query's weights.
    init?(
        _ query: SparseVector, limit: Int, among wanted: RowSet?, vectors: SparseVectorFile, postings: PostingsFile,
        scratch: SparseScratch
    ) {
        let terms = postings.termTable
        let rooms = scratch.rooms(query.count)
        var magnitude = 0.0
        var negative = 0.0
        var lists: [List] = []
        lists.reserveCapacity(query.count)
        for (index, weight) in zip(query.indices, query.values) where index < postings.terms {
            let term = terms[Int(index)]
            guard term.count > 0 else { continue }
            let largest = Double(weight) * Double(term.largestWeight)
            let smallest = Double(weight) * Double(term.smallestWeight)
            magnitude += max(abs(largest), abs(smallest))
            guard weight > 0 else {
                negative += max(0, smallest)
                continue
            }
            lists.append(
                List(
                    weight: Double(weight), bound: max(0, largest), count: Int(term.count),
                    nextBlock: Int(term.firstBlock), endBlock: Int(terms[Int(index) + 1].firstBlock),
                    room: rooms[lists.count]))
        }
        guard !lists.isEmpty else { return nil }
        lists.sort { $0.bound * Double($1.count) > $1.bound * Double($0.count) }
        rest = [Double](repeating: negative, count: lists.count + 1)
        for number in lists.indices.reversed() { rest[number] = rest[number + 1] + lists[number].bound }
        slack = Double(4 * query.count + 16) * 0x1p-53 * magnitude
        self.lists = lists
        self.limit = min(limit, vectors.count)
        self.wanted = wanted
        data = postings.data
        blocks = postings.blockTable
        rows = vectors.rows
        rowCount = vectors.count
        termCount = UInt32(vectors.terms)
        (weights, sums) = (scratch.weights, scratch.sums)
        (states, candidates) = (scratch.states, scratch.candidates)
        scoringCost = 8 + vectors.weightCount / max(1, vectors.count)
        top = TopHits(limit: self.limit)
        best = TopHits(limit: self.limit)
    }

    /// The answer, nil when a block is damaged.
    mutating func run() -> [KeyIndex.Hit]? {
        while end < rowCount {
            base = end
            end = min(rowCount, base + sums.count)
            searchWindow()
        }
        return isDamaged ? nil : top.sorted()
    }

    private mutating func searchWindow() {
        (candidateCount, skipped) = (0, 0)
        var next = 0
        // A row that has not come up cannot be in the answer once what is left is at most the cut.
        while next < lists.count, rest[next] + skipped > cut {
            // Nothing has been skipped so far: once something is, what is left is at most the cut.
            if candidateCount >= limit, share(of: next) > candidateCount / 2 + limit * scoringCost {
                scoreBest(left: rest[next])
                if rest[next] <= cut { break }
            }
            add(next)
            next += 1
        }
        // From here on rows only drop out: by one more list where that is quicker than to score them all.
        if candidateCount > 4 * limit { scoreBest(left: rest[next] + skipped) }
        drop(left: rest[next] + skipped)
        while next < lists.count, candidateCount * scoringCost > share(of: next) {
            add(next, onlyToCandidates: true)
            next += 1
            if candidateCount > 4 * limit { scoreBest(left: rest[next] + skipped) }
            drop(left: rest[next] + skipped)
        }
        let left = rest[next] + skipped
        for number in 0..<candidateCount {
            let place = Int(candidates[number])
            if sums[place] + left > cut { score(place) }
            (sums[place], states[place]) = (0, 0)
        }
    }

    /// About how many postings a list has in this window.
    private func share(of number: Int) -> Int {
        Int(Double(lists[number].count) * Double(end - base) / Double(rowCount))
    }

    // MARK: Candidates

    /// Scores the candidates with the largest sums.
    private mutating func scoreBest(left: Double) {
        best.removeAll()
        var least = Float(cut - left)
        for number in 0..<candidateCount {
            let place = Int(candidates[number])
            let sum = Float(sums[place])
            if sum >= least, states[place] == 1 {
                best.offer(row: place, score: sum)
                least = max(least, best.leastScore ?? least)
            }
        }
        for hit in best.unsorted where sums[hit.row] + left > cut { score(hit.row) }
    }

    /// Drops the candidates that reach no more than the cut with what is left, and those that are scored.
    private mutating func drop(left: Double) {
        var kept = 0
        for number in 0..<candidateCount {
            let candidate = candidates[number]
            let place = Int(candidate)
            let isKept = states[place] == 1 && sums[place] + left > cut
            candidates[kept] = candidate
            kept &+= isKept ? 1 : 0
            sums[place] = isKept ? sums[place] : 0
            states[place] = isKept ? 1 : 0
        }
        candidateCount = kept
    }

    private mutating func score(_ place: Int) {
        states[place] = 2
        let score = SparseIndex.rounded(Self.dot(weights, rows[base + place], terms: termCount))
        if let least = top.leastScore, score < least { return }
        top.offer(row: base + place, score: score)
        if let least = top.leastScore { cut = Double(least.nextDown) - slack }
    }

    /// The products of the terms that a row has, added up in the order of terms. Terms that the query does not have add
    /// zero, which changes nothing.
    @inline(__always)
    static func dot(_ weights: UnsafeMutableBufferPointer<Float>, _ row: SparseVectorFile.Row, terms: UInt32) -> Double
    {
        var sum = 0.0
        for position in 0..<row.count {
            sum += Double(weights[Int(min(row.index(position), terms))]) * Double(row.weight(position))
        }
        return sum
    }

    // MARK: Postings

    /// Adds what a list has in this window to the sums; unless it is only for the candidates, without blocks whose rows
    /// cannot be in the answer when they have not come up.
    private mutating func add(_ number: Int, onlyToCandidates: Bool = false) {
        let list = lists[number]
        var position = list.position
        var next = list.nextBlock
        while next < list.endBlock {
            let block = blocks[next]
            if block.firstRow >= end { break }
            if block.lastRow >= base {
                let bound = max(0, list.weight * Double(block.largestWeight))
                if !onlyToCandidates, bound + rest[number + 1] <= cut {
                    skipped = max(skipped, bound)
                } else {
                    if position == nil, !PostingsFile.unpack(block, of: data, into: list.room) {
                        isDamaged = true
                        break
                    }
                    let first = position ?? 0
                    var last = Int(block.count)
                    if block.lastRow >= end { while last > first, list.room.rows[last - 1] >= end { last -= 1 } }
                    var begin = first
                    while begin < last, list.room.rows[begin] < base { begin += 1 }
                    if onlyToCandidates {
                        addToCandidates(list.room, begin..<last, weight: list.weight)
                    } else if let wanted {
                        addToWanted(wanted, list.room, begin..<last, weight: list.weight)
                    } else {
                        addToAll(list.room, begin..<last, weight: list.weight)
                    }
                    position = last
                }
                if block.lastRow >= end { break }
            }
            position = nil
            next += 1
        }
        (lists[number].position, lists[number].nextBlock) = (position, next)
    }

    private mutating func addToAll(_ room: PostingsFile.Room, _ range: Range<Int>, weight: Double) {
        let (sums, states, candidates) = (sums, states, candidates)
        var count = candidateCount
        for number in range {
            let place = Int(room.rows[number]) &- base
            sums[place] += weight * Double(room.weights[number])
            candidates[count] = UInt32(truncatingIfNeeded: place)
            count &+= states[place] == 0 ? 1 : 0
            states[place] = max(1, states[place])
        }
        candidateCount = count
    }

    /// As `addToAll`, of the rows that count: no other comes up.
    private mutating func addToWanted(
        _ wanted: borrowing RowSet, _ room: PostingsFile.Room, _ range: Range<Int>, weight: Double
    ) {
        for number in range where wanted.contains(Int(room.rows[number])) {
            let place = Int(room.rows[number]) &- base
            sums[place] += weight * Double(room.weights[number])
            if states[place] == 0 {
                candidates[candidateCount] = UInt32(truncatingIfNeeded: place)
                candidateCount += 1
                states[place] = 1
            }
        }
    }

    private func addToCandidates(_ room: PostingsFile.Room, _ range: Range<Int>, weight: Double) {
        let (sums, states) = (sums, states)
        for number in range {
            let place = Int(room.rows[number]) &- base
            if states[place] == 1 { sums[place] += weight * Double(room.weights[number]) }
        }
    }
}

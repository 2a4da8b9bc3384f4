package import DatastoreCore
import DatastoreStorage
import Foundation
import VectorIndex

/// BLIP's CapFilt (Li et al., ICML 2022): entries of which image and text do not fit are left out of the next version.
extension CapstanEngine {
    /// Queues a filter.
    ///
    /// - Throws: `unknown_datastore`, `unknown_key`, `invalid_value`, `no_version`.
    package func submitFilter(_ request: FilterRequest, of datastore: String, by: String? = nil) async throws -> JobInfo
    {
        try request.validate()
        return try await control { [self] in
            let record = try catalog.datastore(datastore)
            _ = try FilterScore(request.score, keys: record.keys)
            guard try catalog.latestVersion(of: datastore) != nil else {
                throw DatastoreError(.noVersion, "datastore \"\(datastore)\" has no version yet; import rows first")
            }
            return try submit(Self.newJobID(), datastore, .filter(request), Submission(by: by))
        }
    }

    func performFilter(_ job: JobQueue.Job, _ request: FilterRequest) throws {
        let record = try catalog.datastore(job.datastore)
        let pending = try pendingChanges(job.datastore)
        let output = directory.output(job: job.id, datastore: job.datastore)
        let filter = try EntryFilter(request, keys: record.keys, dropped: output)
        if request.dryRun {
            let folder = directory.staging(job: job.id).appending(path: "unused")
            let builder = try versionBuilder(job, pending, folder: folder) { try filter.keeps($0, $1) }
            _ = try builder.walk { _, _ in }
            try filter.finish()
            try catalog.update(job: job.id, report: filter.report)
            try catalog.finish(job: job.id, state: .succeeded, error: nil, at: Date())
            return
        }
        try build(job, pending) {
            try filter.keeps($0, $1)
        } beforePublishing: { [self] in
            try filter.finish()
            try catalog.update(job: job.id, report: filter.report)
        }
    }
}

/// The score of an entry by which a filter decides.
struct FilterScore {
    private enum Source {
        case keys(Int, Int)
        case payload(String)
    }

    private let source: Source

    /// - Throws: `unknown_key`, `invalid_value`.
    init(_ score: FilterRequest.Score, keys: [KeySpec]) throws {
        switch score {
        case .payload(let name): source = .payload(name)
        case .keys(let first, let second):
            let positions = try [first, second].map { name in
                guard let position = keys.firstIndex(where: { $0.name == name && $0.kind == .dense }) else {
                    throw DatastoreError.field(
                        .unknownKey, "score.keys",
                        "the datastore has no dense key \"\(name.prefix(80))\", only "
                            + keys.map { "\($0.name) (\($0.kind.rawValue))" }.joined(separator: ", ")
                    )
                }
                return position
            }
            guard positions[0] != positions[1] else {
                throw DatastoreError.field(.invalidValue, "score.keys", "got \(first) twice, expected two keys")
            }
            guard keys[positions[0]].dim == keys[positions[1]].dim else {
                throw DatastoreError.field(
                    .invalidValue, "score.keys",
                    "got \(first) of \(keys[positions[0]].dim) and \(second) of \(keys[positions[1]].dim), expected two keys "
                        + "of one dim")
            }
            source = .keys(positions[0], positions[1])
        }
    }

    /// Nil when the entry has none.
    func score(_ entry: Entry, _ vectors: [KeyVector]) -> Float? {
        switch source {
        case .keys(let first, let second):
            let numbers = (vectors[first].numbers, vectors[second].numbers)
            guard VectorFault.find(in: numbers.0[...], metric: .cosine) == nil,
                VectorFault.find(in: numbers.1[...], metric: .cosine) == nil
            else { return nil }
            return KeyQuery(numbers.0[...], metric: .cosine).score(of: numbers.1)
        case .payload(let name):
            guard case .object(let members) = entry.fields.payload else { return nil }
            let score: Float
            switch members[name] {
            case .number(let number): score = Float(number)
            case .integer(let number): score = Float(number)
            default: return nil
            }
            return score.isFinite ? score : nil
        }
    }
}

/// Decides entry by entry, counts, and keeps what it dropped as lines of JSON.
final class EntryFilter {
    private let request: FilterRequest
    private let score: FilterScore
    private let output: URL
    private let file: FileHandle
    private var waiting = Data()
    private(set) var report: FilterReport
    private static let bins = 20

    init(_ request: FilterRequest, keys: [KeySpec], dropped output: URL) throws {
        self.request = request
        self.output = output
        score = try FilterScore(request.score, keys: keys)
        try FileManager.default.createDirectory(
            at: output.deletingLastPathComponent(), withIntermediateDirectories: true)
        guard FileManager.default.createFile(atPath: output.path, contents: nil) else {
            throw DatastoreError(.storageFailed, "outputs/\(output.lastPathComponent) could not be made")
        }
        file = try FileHandle(forWritingTo: output)
        var low: Float = 0
        if case .keys = request.score { low = -1 }
        report = FilterReport(
            kept: 0, dropped: 0, unscored: 0, origins: [:],
            histogram: FilterReport.Histogram(low: low, high: 1, counts: Array(repeating: 0, count: Self.bins)),
            droppedExamples: [], keptExamples: [], dryRun: request.dryRun)
    }

    func keeps(_ entry: Entry, _ vectors: [KeyVector]) throws -> Bool {
        let score = score.score(entry, vectors)
        let origin = entry.fields.origin?.rawValue ?? "none"
        let threshold = request.thresholds[origin] ?? request.threshold
        if let score { count(score) } else { report.unscored += 1 }
        let isKept: Bool
        switch (score, threshold) {
        case (_, nil): isKept = true
        case (let score?, let threshold?): isKept = score >= threshold
        case (nil, _): isKept = request.unscored == .keep
        }
        let example = FilterReport.Example(entry: entry, score: score)
        if isKept {
            report.kept += 1
            report.origins[origin, default: .init()].kept += 1
            if threshold != nil, score != nil { keep(example, in: &report.keptExamples) { $0 < $1 } }
        } else {
            report.dropped += 1
            report.origins[origin, default: .init()].dropped += 1
            keep(example, in: &report.droppedExamples) { $0 > $1 }
            waiting += try WireJSON.encode(example)
            waiting.append(UInt8(ascii: "\n"))
            if waiting.count >= 1 << 20 { try flush() }
        }
        return isKept
    }

    /// - Throws: `invalid_value` when no entry has a score: what was meant is not what the entries have.
    func finish() throws {
        guard report.unscored < report.kept + report.dropped else {
            throw DatastoreError.field(
                .invalidValue, "score", "none of the \(report.unscored) entries has one; nothing was changed")
        }
        try flush()
        try file.synchronize()
        try file.close()
        try DurableFiles.sync(output.deletingLastPathComponent())
    }

    private func flush() throws {
        try file.write(contentsOf: waiting)
        waiting.removeAll(keepingCapacity: true)
    }

    private func count(_ score: Float) {
        let histogram = report.histogram
        let place = (score - histogram.low) / (histogram.high - histogram.low) * Float(Self.bins)
        // Within the bins first: not every number that a payload has is one that an Int can hold.
        report.histogram.counts[Int(max(0, min(Float(Self.bins - 1), place)))] += 1
    }

    /// Keeps the first few in an order of scores; of equal ones those with the lower ids.
    private func keep(
        _ example: FilterReport.Example, in examples: inout [FilterReport.Example], _ precedes: (Float, Float) -> Bool
    ) {
        guard request.examples > 0 else { return }
        let score = example.score ?? -.infinity
        let place = examples.firstIndex { precedes(score, $0.score ?? -.infinity) } ?? examples.count
        guard place < request.examples else { return }
        examples.insert(example, at: place)
        if examples.count > request.examples { examples.removeLast() }
    }
}

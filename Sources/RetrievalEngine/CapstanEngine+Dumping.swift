package import DatastoreCore
import DatastoreImport
import DatastoreStorage
package import Foundation
import VectorIndex

/// The captions of a whole split, `{image_id: [captions]}`, as SmallCap's training reads them.
extension CapstanEngine {
    /// Where the files of a dump go before it is submitted.
    ///
    /// - Throws: `unknown_domain`.
    package func stageDump(job: String, of domain: String) async throws -> URL {
        let datastores = try currentSnapshot.domain(domain).info.datastores
        return try await stageUpload(job: job, datastore: datastores[0].name)
    }

    /// Queues a dump of files that were uploaded to `stageUpload`'s folder, answered by the revision of now.
    ///
    /// - Parameters:
    ///   - queries: a NumPy file with a vector in each row.
    ///   - ids: a JSON array with the image of each row.
    /// - Throws: `unknown_domain`, and what a question with these options throws.
    package func submitDump(
        job: String, of domain: String, queries: URL, ids: URL, options: DumpOptions, by: String? = nil
    ) async throws -> JobInfo {
        let moment = try await moment(of: domain, false)
        _ = try retriever(moment, .dense, options.question(0, imageID: ""))
        return try await control { [self] in
            try DurableFiles.sync(directory.staging(job: job))
            try DurableFiles.sync(directory.staging)
            let request = JobRequest.dump(
                domain: domain, revision: moment.domain.info.revision, queries: queries.lastPathComponent,
                ids: ids.lastPathComponent, options: options)
            return try submit(job, moment.domain.info.datastores[0].name, request, Submission(by: by)) {
                // Once more: a version may have been removed since the look.
                for binding in moment.domain.info.datastores {
                    _ = try catalog.version(VersionID(datastore: binding.name, number: binding.version))
                }
            }
        }
    }

    func performDump(
        _ job: JobQueue.Job, domain: String, revision: Int, queries: URL, ids: URL, options: DumpOptions
    ) throws {
        try catalog.start(job: job.id, phase: .answering, at: Date())
        let images = try Self.images(ids)
        let vectors = try NumpyReader(path: queries.path)
        guard vectors.rows == images.count else {
            throw DatastoreError(
                .rowsVectorsMismatch,
                "the ids are \(images.count), the queries \(vectors.rows); expected one id for each, in the same order")
        }
        let moment = Moment(domain: open(try catalog.revision(revision, of: domain)), pending: [])
        var position = try catalog.position(ofJob: job.id) ?? DumpPosition(revision: revision)
        let output = try OutputFile(
            directory.output(job: job.id, datastore: job.datastore), keeping: position.bytes)
        if position.bytes == 0 { try output.write(Data("{".utf8)) }
        for _ in 0..<position.questions { _ = try vectors.next() }
        var pace = Pace(rows: position.questions)
        for number in position.questions..<images.count {
            guard let vector = try vectors.next() else { break }
            let asked = options.question(number, imageID: images[number])
            let retriever = try retriever(moment, .dense, asked)
            let query = try QueryVectors(values: vector, count: 1, field: "queries[\(number)]")
            try retriever.validate(query)
            let answer = try retriever.answer(.dense(vector), in: retriever.scope())
            if answer.shortfall != nil { position.report.short += 1 }
            var line = Data(number == 0 ? "\n".utf8 : ",\n".utf8)
            line += try WireJSON.encode(images[number])
            line += Data(": ".utf8)
            line += try WireJSON.encode(answer.results.map(\.text))
            try output.write(line)
            position.questions = number + 1
            position.report.images = number + 1
            if position.questions % Self.dumpBatch == 0 {
                try record(
                    &position, output, job,
                    pace.progress(
                        rows: position.questions, fraction: Double(position.questions) / Double(images.count)))
                try checkpoint(job.id)
            }
        }
        // The end is not among the bytes that a dump goes on behind: after a crash it is written again.
        try record(&position, output, job, nil)
        try output.write(Data("\n}\n".utf8))
        _ = try output.synchronize()
        try DurableFiles.sync(directory.output(job: "", datastore: job.datastore))
        try catalog.finish(job: job.id, state: .succeeded, error: nil, at: Date())
    }

    /// Questions after which it is on disk how far a dump is.
    private static let dumpBatch = 256

    private func record(
        _ position: inout DumpPosition, _ output: OutputFile, _ job: JobQueue.Job, _ progress: JobProgress?
    ) throws {
        position.bytes = try output.synchronize()
        try catalog.update(job: job.id, position: position, progress: progress)
    }

    /// The images of a file of ids: strings, or integers as their digits.
    ///
    /// - Throws: `invalid_json`, `invalid_value`.
    private static func images(_ file: URL) throws -> [String] {
        let values = try WireJSON.decode([JSONValue].self, from: Data(contentsOf: file))
        var seen: Set<String> = []
        return try values.enumerated().map { index, value in
            let image: String
            switch value {
            case .string(let text): image = text
            case .integer(let number): image = String(number)
            default:
                throw DatastoreError.field(.invalidValue, "ids[\(index)]", "expected a string or a whole number")
            }
            guard seen.insert(image).inserted else {
                throw DatastoreError.field(
                    .invalidValue, "ids[\(index)]", "got \"\(image.prefix(80))\" a second time; each image has one list"
                )
            }
            return image
        }
    }

    /// What a job made for who asked for it.
    ///
    /// - Throws: `unknown_job`; `no_output` when it made none, or not yet.
    package func output(ofJob id: String) async throws -> URL {
        try await control { [self] in
            let job = try catalog.job(id)
            let file = directory.output(job: id, datastore: job.datastore)
            guard job.state == .succeeded, FileManager.default.fileExists(atPath: file.path) else {
                throw DatastoreError(
                    .noOutput,
                    job.state.isFinal
                        ? "job \"\(id)\" has no output; a dump that succeeded and a filter have one"
                        : "job \"\(id)\" is \(job.state.rawValue), its output is there when it has succeeded")
            }
            return file
        }
    }
}

/// A file that grows and goes on after an interruption where it was on disk.
private final class OutputFile {
    private let file: FileHandle
    private var waiting = Data()

    init(_ url: URL, keeping bytes: Int64) throws {
        let files = FileManager.default
        try files.createDirectory(at: url.deletingLastPathComponent(), withIntermediateDirectories: true)
        if !files.fileExists(atPath: url.path), !files.createFile(atPath: url.path, contents: nil) {
            throw DatastoreError(.storageFailed, "outputs/\(url.lastPathComponent) could not be made")
        }
        file = try FileHandle(forWritingTo: url)
        guard try file.seekToEnd() >= UInt64(bytes) else {
            throw DatastoreError(.storageFailed, "outputs/\(url.lastPathComponent) is shorter than it was; dump again")
        }
        try file.truncate(atOffset: UInt64(bytes))
    }

    func write(_ data: Data) throws {
        waiting += data
        if waiting.count >= 1 << 20 { try flush() }
    }

    /// Puts all on disk.
    ///
    /// - Returns: its bytes.
    func synchronize() throws -> Int64 {
        try flush()
        try file.synchronize()
        return Int64(try file.offset())
    }

    private func flush() throws {
        try file.write(contentsOf: waiting)
        waiting.removeAll(keepingCapacity: true)
    }
}

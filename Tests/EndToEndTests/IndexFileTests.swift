import DatastoreCore
import Foundation
import TestSupport
import Testing
import VectorIndex

/// `capstand extract-vectors`, the process that may be lost: whatever the file, it ends with an answer or is ended, and
/// never leaves half a file.
struct IndexFileTests {
    private let folder: TemporaryDirectory
    private let capstand = CommandLineTool("capstand")
    private var index: URL { folder.file("captions.index") }
    private var output: URL { folder.file("vectors.npy") }

    init() throws {
        folder = try TemporaryDirectory()
    }

    private func extract(_ options: String...) throws -> CommandLineTool.Outcome {
        try capstand.run(["extract-vectors"] + options + [index.path, output.path])
    }

    private func problem(_ outcome: CommandLineTool.Outcome) throws -> IndexFileReader.Problem {
        let last = outcome.errors.split(separator: "\n").last ?? ""
        return try WireJSON.decode(IndexFileReader.Problem.self, from: Data(last.utf8))
    }

    @Test(arguments: ["Flat", "IDMap,Flat", "IVF8,Flat", "HNSW8,Flat"])
    func vectorsAreWrittenAndOneLineSaysWhichWithinTheLimits(factory: String) throws {
        let vectors = Vectors(clustered: 5000, dim: 32, seed: 1)
        try TestIndex.write(vectors, as: factory, to: index)
        let outcome = try extract()
        #expect(outcome.exitCode == 0, "\(outcome.errors)")
        #expect(outcome.errors == "")
        let summary = try WireJSON.decode(IndexFileReader.Summary.self, from: Data(outcome.output.utf8))
        #expect(summary.rows == 5000 && summary.dim == 32 && summary.metric == "inner_product" && summary.isExact)
        #expect(try Vectors(npy: output) == vectors)
    }

    @Test func aProblemIsOneLineOnStandardError() throws {
        try Data("<!doctype html>".utf8).write(to: index)
        let outcome = try extract()
        #expect(outcome.exitCode == 1)
        #expect(outcome.output == "")
        #expect(try problem(outcome).code == .htmlPage)
    }

    @Test func aFileThatTheIndexNamesIsNotOpened() throws {
        let vectors = Vectors(clustered: 500, dim: 4, seed: 1)
        try TestIndex.write(vectors, as: "IVF4,Flat", lists: folder.file("lists"), to: index)
        let problem = try problem(extract())
        #expect(problem.code == .indexFileInvalid)
        #expect(problem.detail.contains("in another file"))
    }

    @Test func memoryIsLimited() throws {
        // 240 MB of vectors do not fit where little more than the program itself does.
        try TestIndex.write(Vectors(values: [Float](repeating: 1, count: 60_000_000), dim: 1000), as: "Flat", to: index)
        let outcome = try extract("--memory-limit", String(400 << 20))
        #expect(outcome.exitCode != 0)
        #expect(!FileManager.default.fileExists(atPath: output.path))
    }

    @Test(arguments: ["Flat", "IDMap,Flat", "IVF4,Flat", "HNSW4,Flat"])
    func aDamagedFileNeverLeavesHalfAnAnswer(factory: String) throws {
        let vectors = Vectors(clustered: 200, dim: 8, seed: 1)
        try TestIndex.write(vectors, as: factory, to: index)
        let whole = try Data(contentsOf: index)
        var random = SeededGenerator(seed: 11)
        for round in 0..<50 {
            var bytes = whole
            if round.isMultiple(of: 2) {
                // The start is where sizes and types are.
                let end = round.isMultiple(of: 4) ? min(128, bytes.count) : bytes.count
                bytes[Int.random(in: 0..<end, using: &random)] = UInt8.random(in: 0...255, using: &random)
            } else {
                bytes = bytes.prefix(Int.random(in: 0..<bytes.count, using: &random))
            }
            try bytes.write(to: index)
            try? FileManager.default.removeItem(at: output)
            let outcome = try extract()
            if outcome.exitCode == 0 {
                let summary = try WireJSON.decode(IndexFileReader.Summary.self, from: Data(outcome.output.utf8))
                let read = try Vectors(npy: output)
                #expect(read.count == summary.rows && read.dim == summary.dim)
                #expect(round.isMultiple(of: 2), "\(whole.count) bytes were cut to \(bytes.count)")
            } else {
                #expect(!FileManager.default.fileExists(atPath: output.path))
                // Exit code 1 is a problem that was told; any other is a signal.
                if outcome.exitCode == 1 { #expect(try problem(outcome).code == .indexFileInvalid) }
            }
        }
    }

    @Test func theDaemonsHelpDoesNotShowIt() throws {
        let help = try capstand.run("--help")
        #expect(help.exitCode == 0)
        #expect(help.output.contains("--data-dir"))
        #expect(!help.output.contains("extract-vectors") && !help.output.contains("subcommand"))
    }
}

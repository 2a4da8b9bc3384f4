import ArgumentParser
import DatastoreCore
import Foundation
import VectorIndex

/// Takes the vectors out of one FAISS index file, in a process that such a file may corrupt.
///
/// The daemon starts it; no help shows it. It prints one line of JSON: a summary on standard output, or a problem on
/// standard error with exit code 1.
struct ExtractVectors: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "extract-vectors",
        abstract: "Writes the vectors of a FAISS index file as a .npy file, within limits on memory, time and files.",
        shouldDisplay: false)

    @Argument(help: "The index.")
    var index: String

    @Argument(help: "The .npy file to write.")
    var output: String

    @Option(help: "Bytes of memory that are not exceeded. (default: three times the file and 2 GiB)")
    var memoryLimit: Int?

    func run() throws {
        VectorIndex.useCallersThreadsOnly()
        do {
            let summary = try IndexFileReader.extractVectors(from: index, to: output) { size in
                try IndexFileLimits(fileSize: size, memoryCap: memoryLimit).impose()
            }
            try Self.say(summary, on: .standardOutput)
        } catch {
            let error = error as? DatastoreError ?? DatastoreError(.internalError, "\(error)")
            try Self.say(IndexFileReader.Problem(code: error.code, detail: error.detail), on: .standardError)
            throw ExitCode(1)
        }
    }

    private static func say(_ value: some Encodable, on handle: FileHandle) throws {
        try handle.write(contentsOf: WireJSON.encode(value) + Data("\n".utf8))
    }
}

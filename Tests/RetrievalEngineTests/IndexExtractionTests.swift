import DatastoreCore
import Foundation
import TestSupport
import Testing
import VectorIndex

@testable import RetrievalEngine

/// The process that reads an index file, however it ends.
struct IndexExtractionTests {
    private let folder: TemporaryDirectory
    private var index: URL { folder.file("captions.index") }
    private var output: URL { folder.file("vectors.npy") }
    private var partial: URL { folder.file("vectors.npy.partial") }

    private static let vectors = Vectors(clustered: 100, dim: 8, seed: 1)
    private static let summary =
        #"{"rows":3,"dim":2,"metric":"l2","kind":"IndexFlatL2","is_exact":true}"#

    init() throws {
        folder = try TemporaryDirectory()
        try TestIndex.write(Self.vectors, as: "IDMap,Flat", to: index)
    }

    /// An extraction by a script, which finds the index as `$3` and the output as `$4`.
    private func scripted(_ script: String, timeLimit: Duration? = nil) throws -> IndexExtraction {
        let file = try folder.write("reader", Data("#!/bin/sh\n\(script)\n".utf8))
        try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: file.path)
        return IndexExtraction(executable: file, timeLimit: timeLimit)
    }

    /// Runs it with no signal blocked: a process has the mask of the thread that starts it, and a script cannot change it.
    private func run(_ extraction: IndexExtraction) throws -> IndexExtraction.Summary {
        var none = sigset_t()
        var before = sigset_t()
        sigemptyset(&none)
        pthread_sigmask(SIG_SETMASK, &none, &before)
        defer { pthread_sigmask(SIG_SETMASK, &before, nil) }
        return try extraction.run(index: index.path, output: output.path) {}
    }

    /// Runs a script that leaves half a file and fails.
    private func refusal(_ script: String, timeLimit: Duration? = nil) throws -> DatastoreError? {
        let extraction = try scripted("echo half > \"$4.partial\"; echo half > \"$4\"; \(script)", timeLimit: timeLimit)
        let error = #expect(throws: DatastoreError.self) { try run(extraction) }
        #expect(!FileManager.default.fileExists(atPath: output.path))
        #expect(!FileManager.default.fileExists(atPath: partial.path))
        return error
    }

    @Test func theBuiltCommandReadsAnIndex() throws {
        let extraction = IndexExtraction(executable: Daemon.products.appending(path: "capstand"))
        let summary = try run(extraction)
        #expect(summary.rows == 100 && summary.dim == 8 && summary.isExact)
        #expect(summary.kind == "IndexIDMap(IndexFlatIP)")
        #expect(try Vectors(npy: output) == Self.vectors)

        try Data("version https://git-lfs.github.com/spec/v1\n".utf8).write(to: index)
        let error = #expect(throws: DatastoreError.self) { try run(extraction) }
        #expect(error?.code == .lfsPointer)
        #expect(error?.detail.hasPrefix("captions.index: ") == true)
    }

    @Test func theSummaryIsTheLastLineHoweverMuchIsSaid() throws {
        let extraction = try scripted(
            """
            [ "$1 $2" = "extract-vectors --" ] || exit 9
            i=0
            while [ $i -lt 3000 ]; do echo "a line of noise that no one reads"; echo "more" >&2; i=$((i+1)); done
            echo rows > "$4"; echo '\(Self.summary)'
            """)
        #expect(try run(extraction).rows == 3)
        #expect(FileManager.default.fileExists(atPath: output.path))
    }

    @Test func itsEnvironmentIsWhatItNeeds() throws {
        let extraction = try scripted(
            """
            echo rows > "$4"; echo '\(Self.summary)'
            [ -z "$HOME$USER$CAPSTAN_TEST" ] && [ "$OMP_NUM_THREADS$OPENBLAS_NUM_THREADS" = 11 ] && [ ! -t 0 ]
            """)
        #expect(try run(extraction).dim == 2)
    }

    @Test func aProblemIsThrownAsItWasSaid() throws {
        let problem = #"{"code":"html_page","detail":"captions.index: a page"}"#
        let error = try refusal("echo noise >&2; echo '\(problem)' >&2; exit 1")
        #expect(error == DatastoreError(.htmlPage, "captions.index: a page"))
    }

    @Test(arguments: [
        ("kill -SEGV $$", "signal 11"), ("kill -ABRT $$", "signal 6"),
        ("kill -XCPU $$", "600 s of the processor's time"),
        ("kill -KILL $$", "runs out of memory"), ("echo Killer >&2; exit 7", "exit code 7, saying \"Killer\""),
        ("exit 0", "no summary"), ("rm \"$4\"; echo '\(summary)'", "left no vectors"),
    ])
    func anEndWithoutAnAnswerIsTheFilesFault(script: String, part: String) throws {
        let error = try refusal(script)
        #expect(error?.code == .indexFileInvalid)
        #expect(error?.detail.hasPrefix("captions.index: ") == true)
        #expect(error?.detail.contains(part) == true, "\(error?.detail ?? "")")
        #expect(error?.detail.contains(folder.url.path) == false)
    }

    @Test func whatTakesTooLongIsEnded() throws {
        let error = try refusal("echo $$ > \"$3.pid\"; exec sleep 600", timeLimit: .seconds(2))
        #expect(error?.code == .indexFileInvalid)
        #expect(error?.detail.contains("took longer than") == true)
        try expectEnded()
    }

    @Test func whatIsCancelledIsEndedAndLeavesNothing() throws {
        let extraction = try scripted("echo half > \"$4.partial\"; echo $$ > \"$3.pid\"; exec sleep 600")
        #expect(throws: CancellationError.self) {
            try extraction.run(index: index.path, output: output.path) {
                if FileManager.default.fileExists(atPath: index.path + ".pid") { throw CancellationError() }
            }
        }
        #expect(!FileManager.default.fileExists(atPath: partial.path))
        try expectEnded()
    }

    @Test func aCommandThatIsNotThereIsNoFaultOfTheFile() throws {
        let extraction = IndexExtraction(executable: folder.file("nothing"))
        let error = #expect(throws: DatastoreError.self) { try run(extraction) }
        #expect(error?.code == .internalError)
    }

    private func expectEnded() throws {
        let pid = try String(contentsOfFile: index.path + ".pid", encoding: .utf8)
        let number = try #require(Int32(pid.trimmingCharacters(in: .newlines)))
        #expect(kill(number, 0) == -1 && errno == ESRCH)
    }
}

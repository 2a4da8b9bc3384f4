import DatastoreCore
import Foundation
import VectorIndex

/// Takes the vectors out of a FAISS index file, by a process that such a file may corrupt without harm.
///
/// ```swift
/// let extraction = IndexExtraction(executable: capstand)
/// let summary = try extraction.run(index: "captions.index", output: "staging/vectors.npy") { try job.checkCancelled() }
/// ```
///
/// Blocking; runs on a worker thread. Thread-safe: each run is a process of its own.
struct IndexExtraction: Sendable {
    typealias Summary = IndexFileReader.Summary

    /// `capstand`.
    let executable: URL
    /// What the process finds in its environment besides limits on threads: `LD_LIBRARY_PATH`, where that is needed.
    var environment: [String: String] = [:]
    /// Bytes of memory that are not exceeded, whatever the file's size.
    var memoryLimit: Int?
    /// How long it may take; nil goes by the file's size.
    var timeLimit: Duration?

    /// Writes the vectors of `index` to `output` as a `.npy` file; row r is the vector of id r.
    ///
    /// - Parameters:
    ///   - index: path of the file that `faiss.write_index` wrote.
    ///   - output: path of the `.npy` file. It is there whole, or not at all.
    ///   - checkpoint: called about ten times a second; throws to stop.
    /// - Throws: what `checkpoint` throws, `index_file_invalid`, `lfs_pointer`, `html_page`, `source_unreadable`,
    ///   `storage_failed`, or `internal_error` when the process cannot be started.
    func run(index: String, output: String, checkpoint: () throws -> Void) throws -> Summary {
        let name = (index as NSString).lastPathComponent
        do {
            let summary = try extract(index, to: output, name: name, checkpoint)
            guard FileManager.default.fileExists(atPath: output) else {
                throw invalid(name, "reading it left no vectors")
            }
            return summary
        } catch {
            try? FileManager.default.removeItem(atPath: output)
            try? FileManager.default.removeItem(atPath: IndexFileReader.partialPath(of: output))
            throw error
        }
    }

    private func extract(
        _ index: String, to output: String, name: String, _ checkpoint: () throws -> Void
    ) throws -> Summary {
        var status = stat()
        let limits = IndexFileLimits(fileSize: stat(index, &status) == 0 ? Int(status.st_size) : 0)
        let timeLimit = timeLimit ?? limits.wallClock
        let reader = ReadingProcess(executable, arguments: arguments(index, output), environment: childEnvironment)
        let end: ReadingProcess.End
        do {
            end = try reader.run(within: timeLimit, checkpoint)
        } catch is ReadingProcess.TookTooLong {
            throw invalid(name, "reading it took longer than \(timeLimit.components.seconds) s")
        }
        switch end {
        case .exit(0):
            guard let summary = reader.lastLine(of: reader.output, as: Summary.self) else {
                throw invalid(name, "reading it gave no summary")
            }
            return summary
        case .exit(let code):
            if let problem = reader.lastLine(of: reader.errors, as: IndexFileReader.Problem.self) {
                throw DatastoreError(problem.code, problem.detail)
            }
            throw invalid(name, "the process that read it ended with exit code \(code)\(reader.complaint)")
        case .signal(SIGXCPU):
            throw invalid(name, "reading it took longer than \(limits.cpuSeconds) s of the processor's time")
        case .signal(SIGKILL):
            throw invalid(
                name, "the process that read it was killed, as happens when the machine runs out of memory")
        case .signal(let signal):
            throw invalid(
                name,
                "the process that read it crashed (\(String(cString: strsignal(signal))), signal \(signal)), so the file "
                    + "is damaged, made to do harm, or takes more memory than it may\(reader.complaint)")
        }
    }

    private func arguments(_ index: String, _ output: String) -> [String] {
        ["extract-vectors"] + (memoryLimit.map { ["--memory-limit", String($0)] } ?? []) + ["--", index, output]
    }

    private var childEnvironment: [String: String] {
        let threads = ["OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "SWIFT_BACKTRACE": "enable=no"]
        return environment.merging(threads) { $1 }
    }

    private func invalid(_ name: String, _ why: String) -> DatastoreError {
        DatastoreError(.indexFileInvalid, "\(name): \(why); give the vectors as a .npy file if the index is sound")
    }
}

/// A process with nothing on its standard input, and what it says.
private final class ReadingProcess {
    enum End {
        case exit(Int32)
        case signal(Int32)
    }

    struct TookTooLong: Error {}

    private let process = Process()
    /// The end of what it printed.
    private(set) var output = Data()
    private(set) var errors = Data()

    /// More than this of what it says is of no interest.
    private static let kept = 1 << 16

    init(_ executable: URL, arguments: [String], environment: [String: String]) {
        process.executableURL = executable
        process.arguments = arguments
        process.environment = environment
        process.standardInput = FileHandle.nullDevice
    }

    /// Runs it to its end; it has ended, too, when this throws.
    func run(within timeLimit: Duration, _ checkpoint: () throws -> Void) throws -> End {
        let outputPipe = Pipe()
        let errorPipe = Pipe()
        process.standardOutput = outputPipe
        process.standardError = errorPipe
        do {
            try process.run()
        } catch {
            throw DatastoreError(
                .internalError,
                "\(process.executableURL?.lastPathComponent ?? "") cannot be started to read an index: \(error)")
        }
        let deadline = ContinuousClock.now + timeLimit
        let handles = [outputPipe.fileHandleForReading, errorPipe.fileHandleForReading]
        var polled = handles.map { pollfd(fd: $0.fileDescriptor, events: Int16(POLLIN), revents: 0) }
        do {
            while process.isRunning {
                try checkpoint()
                guard ContinuousClock.now < deadline else { throw TookTooLong() }
                // What has closed its ends is about to be gone.
                read(&polled, milliseconds: polled.contains { $0.fd >= 0 } ? 100 : 5)
            }
        } catch {
            if process.isRunning { kill(process.processIdentifier, SIGKILL) }
            while process.isRunning { read(&polled, milliseconds: 5) }
            throw error
        }
        while read(&polled, milliseconds: 0) {}
        return process.terminationReason == .uncaughtSignal
            ? .signal(process.terminationStatus) : .exit(process.terminationStatus)
    }

    /// Waits for something to be said, and takes it; false when nothing came.
    @discardableResult
    private func read(_ polled: inout [pollfd], milliseconds: Int32) -> Bool {
        guard poll(&polled, nfds_t(polled.count), milliseconds) > 0 else { return false }
        var isAny = false
        var buffer = [UInt8](repeating: 0, count: 1 << 14)
        for index in polled.indices where polled[index].fd >= 0 && polled[index].revents != 0 {
            let count = Foundation.read(polled[index].fd, &buffer, buffer.count)
            if count > 0 {
                isAny = true
                if index == 0 { Self.append(buffer[..<count], to: &output) }
                if index == 1 { Self.append(buffer[..<count], to: &errors) }
            } else if count == 0 || errno != EINTR {
                // poll passes over what is negative.
                polled[index].fd = -1
            }
        }
        return isAny
    }

    private static func append(_ bytes: ArraySlice<UInt8>, to data: inout Data) {
        data.append(contentsOf: bytes)
        if data.count > kept { data = Data(data.suffix(kept)) }
    }

    /// The last line that is a `type`; FAISS prints lines of its own.
    func lastLine<Value: Decodable>(of data: Data, as type: Value.Type) -> Value? {
        data.split(separator: UInt8(ascii: "\n")).reversed().lazy
            .compactMap { try? WireJSON.decode(type, from: Data($0)) }.first
    }

    /// What it said last, for messages.
    var complaint: String {
        let text = String(decoding: errors.suffix(300), as: UTF8.self).trimmingCharacters(in: .whitespacesAndNewlines)
        return text.isEmpty ? "" : ", saying \(text.debugDescription)"
    }
}

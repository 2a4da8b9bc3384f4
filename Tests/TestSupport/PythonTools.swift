package import Foundation

/// The Python tools of the project, run in their environment.
package enum PythonTools {
    package struct Failed: Error, CustomStringConvertible {
        package let description: String
    }

    static let python = TestData.package.appending(path: ".venv/bin/python")

    /// Whether `Tools/python/setup` has made the environment.
    package static let areInstalled = FileManager.default.isExecutableFile(
        atPath: TestData.package.appending(path: ".venv/bin/python").path)

    /// Runs a script to its end.
    package static func run(_ script: String, _ arguments: String...) throws {
        try run(python, ["-c", script] + arguments)
    }

    /// Runs a tool to its end.
    package static func run(program: String, _ arguments: String...) throws {
        try run(URL(filePath: program), arguments)
    }

    private static func run(_ executable: URL, _ arguments: [String]) throws {
        let (process, errors) = try prepared(executable, arguments)
        try process.run()
        process.waitUntilExit()
        try check(process, errors)
    }

    /// Runs a file of `Tools/python/reference` to its end, and keeps no thread waiting for it.
    package static func run(reference name: String, _ arguments: String...) async throws {
        let file = TestData.package.appending(path: "Tools/python/reference/\(name).py")
        let (process, errors) = try prepared(python, [file.path] + arguments)
        try await withCheckedThrowingContinuation { (done: CheckedContinuation<Void, any Error>) in
            process.terminationHandler = { _ in done.resume() }
            do {
                try process.run()
            } catch {
                process.terminationHandler = nil
                done.resume(throwing: error)
            }
        }
        try check(process, errors)
    }

    private static func prepared(
        _ executable: URL, _ arguments: [String]
    ) throws -> (Process, errors: TemporaryDirectory) {
        let folder = try TemporaryDirectory()
        let process = Process()
        process.executableURL = executable
        process.arguments = arguments
        process.standardOutput = FileHandle.nullDevice
        process.standardError = try FileHandle(forWritingTo: folder.write("errors", Data()))
        return (process, folder)
    }

    private static func check(_ process: Process, _ errors: TemporaryDirectory) throws {
        guard process.terminationStatus == 0 else {
            throw Failed(description: try String(contentsOf: errors.file("errors"), encoding: .utf8))
        }
    }
}

/// The encoder of `Tools/encoder`, as a process of its own on a free port; it ends with this value.
package final class LocalEncoder: @unchecked Sendable {
    /// As `capstand --encoder NAME=` takes it.
    package let url: String
    private let process = Process()

    /// Starts it and waits until it answers.
    package init(folder: TemporaryDirectory) async throws {
        let readyFile = folder.file("encoder-ready")
        let log = try folder.write("encoder-log", Data())
        process.executableURL = PythonTools.python
        process.arguments = [
            TestData.package.appending(path: "Tools/encoder/encoder_server.py").path, "--port", "0", "--ready-file",
            readyFile.path,
        ]
        process.standardOutput = FileHandle.nullDevice
        process.standardError = try FileHandle(forWritingTo: log)
        try process.run()
        var address: String?
        while address == nil {
            address = (try? String(contentsOf: readyFile, encoding: .utf8)).map { $0.trimmingCharacters(in: .newlines) }
            guard address != nil || process.isRunning else {
                throw PythonTools.Failed(
                    description: "the encoder ended: \((try? String(contentsOf: log, encoding: .utf8)) ?? "")")
            }
            try await Task.sleep(for: .milliseconds(20))
        }
        url = "http://\(address ?? "")/v1"
    }

    deinit {
        process.terminate()
    }
}

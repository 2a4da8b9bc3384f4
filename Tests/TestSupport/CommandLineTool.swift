import Foundation

/// A built command, run to its end.
package struct CommandLineTool: Sendable {
    package struct Outcome: Sendable {
        package let exitCode: Int32
        package let output: String
        package let errors: String
    }

    private let executable: URL
    private let environment: [String: String]

    /// - Parameter name: of a product of this package, `capstan` or `capstand`.
    package init(_ name: String, environment: [String: String] = [:]) {
        executable = Daemon.products.appending(path: name)
        self.environment = environment
    }

    package func run(_ arguments: String..., input: String? = nil) throws -> Outcome {
        try run(arguments, input: input)
    }

    package func run(_ arguments: [String], input: String? = nil) throws -> Outcome {
        let folder = try TemporaryDirectory()
        let process = Process()
        process.executableURL = executable
        process.arguments = arguments
        process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
        // Files, not pipes: nothing blocks however much is written.
        let output = try folder.write("output", Data())
        let errors = try folder.write("errors", Data())
        process.standardOutput = try FileHandle(forWritingTo: output)
        process.standardError = try FileHandle(forWritingTo: errors)
        process.standardInput = try FileHandle(
            forReadingFrom: folder.write("input", Data((input ?? "").utf8)))
        try process.run()
        process.waitUntilExit()
        return Outcome(
            exitCode: process.terminationStatus, output: try String(contentsOf: output, encoding: .utf8),
            errors: try String(contentsOf: errors, encoding: .utf8))
    }
}

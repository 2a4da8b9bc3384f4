import ArgumentParser
import Bundles
import CaptionerClient
import DatastoreCore
import Foundation

/// `capstan export`
struct ExportCommand: DaemonCommand {
    static let configuration = CommandConfiguration(
        commandName: "export",
        abstract: "Write a version into one file, a bundle.",
        discussion: """
            The bundle has all files of the version and what a datastore must be to take it; capstan import reads it, here or \
            at another daemon. A download that breaks off goes on where it was. The file appears when it is whole and was \
            checked; until then it is FILE.part.

              capstan export coco@7 -o coco-7.capstan
              capstan export coco -o coco.capstan        the latest
              lz4 -dc coco.capstan | tar -tv             what is in it
            """
    )

    @Argument(
        help: ArgumentHelp("The datastore and the version.", valueName: "name[@version]"),
        transform: { try DatastoreBinding(argument: $0) })
    var version: DatastoreBinding

    @Option(name: .shortAndLong, help: ArgumentHelp("The file to write.", valueName: "file"), completion: .file())
    var output: String

    @OptionGroup var connection: Connection

    private struct Outcome: Encodable {
        var datastore: String
        var version: Int
        var file: String
        var bytes: Int64
        var manifestSHA256: String
        var seconds: Double

        enum CodingKeys: String, CodingKey {
            case datastore, version, file, bytes, seconds
            case manifestSHA256 = "manifest_sha256"
        }
    }

    func run() async throws {
        let start = ContinuousClock.now
        let client = try connection.client(isPatient: true)
        let name = version.name
        var number = version.version
        if number == nil { number = try await client.datastore(name).latestVersion }
        guard let number else { throw DatastoreError(.noVersion, "\(name) has no version yet") }
        let progress = connection.json ? nil : ProgressLine("\(name)@\(number)")
        defer { progress?.end() }
        let file = URL(filePath: output)
        let part = file.appendingPathExtension("part")
        let outcome = try await FileDownload(file: part) { offset, etag in
            try await client.bundle(of: name, version: number, from: offset, etag: etag)
        }.run { progress?.update($0, of: $1, "received") }
        let reader = try BundleReader(part)
        _ = try reader.unpack(into: nil, limit: .max) { progress?.update($0, of: outcome.bytes, "checked") }
        guard rename(part.path, file.path) == 0 else {
            throw DatastoreError(.storageFailed, "\(output): \(String(cString: strerror(errno)))")
        }
        try FileTree.sync(file.deletingLastPathComponent())
        progress?.end()
        let duration = start.duration(to: .now)
        try connection.show(
            Outcome(
                datastore: name, version: number, file: file.path, bytes: outcome.bytes,
                manifestSHA256: reader.header.manifestSHA256, seconds: duration / .seconds(1))
        ) { "\($0.datastore)@\($0.version): \($0.bytes.shownAsBytes) in \(output), in \(duration.shown)" }
    }
}

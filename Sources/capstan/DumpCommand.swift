import ArgumentParser
import CaptionerClient
import DatastoreCore
import Foundation

/// `capstan dump`
struct DumpCommand: DaemonCommand {
    static let configuration = CommandConfiguration(
        commandName: "dump",
        abstract: "Answer the questions of a whole split: {image_id: [captions]}, as SmallCap trains with.",
        discussion: """
            All answers are of one revision, and each equals that of capstan query for the same vector. Captions of the \
            image that asks are left out, unless --keep-own-image.

              capstan dump street --queries images.npy --ids ids.json -n 7 -o retrieved_caps.json
              capstan dump street --queries images.npy --ids ids.json -n 7 --select sample --seed 1 | gzip > caps.json.gz
            """
    )

    @Argument(help: "The domain.")
    var domain: String

    @Option(
        help: ArgumentHelp("A NumPy file with the vector of each image.", valueName: "file.npy"),
        completion: .file(extensions: ["npy"]))
    var queries: String

    @Option(
        help: ArgumentHelp(
            "A JSON array with the id of each image, in the order of --queries.", valueName: "file.json"),
        completion: .file(extensions: ["json"]))
    var ids: String

    @Option(
        name: [.customShort("n"), .customShort("k"), .customLong("k")],
        help: "Captions of each image; else the domain's default.")
    var k: Int?

    @Option(
        name: .shortAndLong,
        help: ArgumentHelp("A file for the captions; else standard output.", valueName: "file"), completion: .file())
    var output: String?

    @Option(help: ArgumentHelp("The key that is searched; else the first dense one.", valueName: "key"))
    var using: String?

    @Flag(help: "Let captions of the image that asks be answered too.")
    var keepOwnImage = false

    @OptionGroup var filter: FilterFlags

    @Option(help: ArgumentHelp("Which results count as the same: \(Dedupe.forms).", valueName: "what"))
    var dedupe: Dedupe?

    @Option(parsing: .unconditional, help: "Leave out results below.")
    var minScore: Float?

    @OptionGroup(title: "Variety") var mmr: MMRFlags

    @OptionGroup(title: "Selection, the nth image from 0 with the seed + n") var selection: SelectionFlags

    @Flag(
        name: .customLong("no-wait"),
        help: "Leave as soon as the job is taken; capstan jobs output ID has the captions.")
    var noWait = false

    @OptionGroup var connection: Connection

    func run() async throws {
        let start = ContinuousClock.now
        let client = try connection.client()
        let options = DumpOptions(
            k: k, using: using, excludeOwnImage: !keepOwnImage, filter: try filter.value(), dedupe: dedupe,
            minScore: minScore, mmr: mmr.value, select: selection.selection)
        let progress = connection.json ? nil : ProgressLine(domain)
        defer { progress?.end() }
        let job = try await client.startDump(
            queries: URL(filePath: queries), ids: URL(filePath: ids), of: domain, options: options,
            progress: { progress?.update($0) })
        if noWait {
            progress?.end()
            return try connection.show(job) { "job \($0.id) is \($0.state.rawValue); see: capstan jobs show \($0.id)" }
        }
        let done = try await ProgressLine.follow(job, client: client, progress: progress)
        try done.throwUnlessSucceeded()
        try await OutputFile(output).write(client.output(of: done.id))
        let sentence = done.dumpReport?.sentence ?? "done"
        let summary = "\(domain): \(sentence), in \(start.duration(to: .now).shown), job \(done.id)"
        if OutputFile(output).path != nil {
            try connection.show(done) { _ in summary }
        } else if !connection.json {
            StandardError.write(summary)
        }
    }
}

extension DumpReport {
    var sentence: String {
        "captions of \(images) images, of revision \(revision)" + (short > 0 ? "; \(short) have fewer than asked" : "")
    }
}

import Foundation

/// A folder that a benchmark works in. It goes when the benchmark ends, also by a signal.
struct WorkFolder {
    let url: URL
    private let signals: [any DispatchSourceSignal]

    /// - Parameter parent: where it is made; a temporary place unless told.
    init(_ name: String, in parent: String? = nil) throws {
        signal(SIGPIPE, SIG_IGN)
        let parent = parent.map { URL(filePath: $0) } ?? FileManager.default.temporaryDirectory
        url = parent.resolvingSymlinksInPath().appending(path: "\(name)-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
        Cleanup.shared.setFolder(url)
        signals = Cleanup.shared.watchSignals()
    }

    func remove() {
        try? FileManager.default.removeItem(at: url)
        for signal in signals { signal.cancel() }
    }
}

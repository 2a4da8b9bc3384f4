package import DatastoreCore
package import Foundation

/// Where everything is, below `--data-dir`.
package struct DataDirectory: Sendable {
    package let root: URL

    package init(root: URL) {
        self.root = root.standardizedFileURL
    }

    package var lockFile: URL { root.appending(path: "capstan.lock") }
    package var catalog: URL { root.appending(path: "catalog.sqlite") }
    package var datastores: URL { root.appending(path: "datastores") }
    package var staging: URL { root.appending(path: "staging") }

    package func datastore(_ name: String) -> URL { datastores.appending(path: name) }
    package func pending(_ datastore: String) -> URL { self.datastore(datastore).appending(path: "pending.sqlite") }
    package func versions(_ datastore: String) -> URL { self.datastore(datastore).appending(path: "versions") }

    package func version(_ version: VersionID) -> URL {
        versions(version.datastore).appending(path: version.folderName)
    }

    /// Rows that an import refused.
    package func rejects(job: String, datastore: String) -> URL {
        self.datastore(datastore).appending(path: "rejects").appending(path: "\(job).jsonl")
    }

    /// What a job made for who asked for it: the answers of a dump, the entries that a filter dropped.
    package func output(job: String, datastore: String) -> URL {
        self.datastore(datastore).appending(path: "outputs").appending(path: job)
    }

    /// The words of a sparse key.
    package func vocabulary(ofKey key: String, datastore: String) -> URL {
        self.datastore(datastore).appending(path: "vocabularies").appending(path: "\(key).terms")
    }

    /// Questions that recall is measured with: what the owner gave, or what was asked.
    package func questions(ofKey key: String, datastore: String, _ source: RecallReport.Source) -> URL {
        self.datastore(datastore).appending(path: "questions").appending(path: "\(key).\(source.rawValue).npy")
    }

    /// What a job is making; removed when the job ends.
    package func staging(job: String) -> URL { staging.appending(path: job) }

    /// Makes the folders that are always there.
    package func create() throws {
        for folder in [root, datastores, staging] {
            try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        }
        try DurableFiles.sync(root)
    }

    /// Makes the folders of a datastore.
    package func create(datastore: String) throws {
        let folders = [
            versions(datastore), rejects(job: "", datastore: datastore).deletingLastPathComponent(),
            output(job: "", datastore: datastore),
            vocabulary(ofKey: "", datastore: datastore).deletingLastPathComponent(),
            questions(ofKey: "", datastore: datastore, .given).deletingLastPathComponent(),
        ]
        let missing = folders.filter { !FileManager.default.fileExists(atPath: $0.path) }
        guard !missing.isEmpty else { return }
        for folder in missing {
            try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        }
        try DurableFiles.sync(self.datastore(datastore))
        try DurableFiles.sync(datastores)
    }
}

/// A version by name and number.
package struct VersionID: Sendable, Hashable, CustomStringConvertible {
    package let datastore: String
    package let number: Int

    package init(datastore: String, number: Int) {
        self.datastore = datastore
        self.number = number
    }

    package var description: String { "\(datastore)@\(number)" }

    /// Six digits, so that names sort as numbers do.
    package var folderName: String {
        let digits = String(number)
        return String(repeating: "0", count: max(0, 6 - digits.count)) + digits
    }
}

import DatastoreCore
import DatastoreStorage
package import Foundation
import Synchronization
import VectorIndex

/// The words of sparse keys.
extension CapstanEngine {
    /// Takes the words of a sparse key, in the order of their indices. Once there are entries they stay.
    ///
    /// - Parameter file: UTF-8, one term per line; as many lines as the key has terms.
    /// - Throws: `unknown_datastore`, `unknown_key`, `vocabulary_in_use`, `invalid_value`.
    package func setVocabulary(_ file: URL, ofKey name: String, of datastore: String) async throws {
        try await control { [self] in
            let record = try catalog.datastore(datastore)
            guard let key = record.keys.first(where: { $0.name == name }), key.kind == .sparse else {
                throw DatastoreError.field(
                    .unknownKey, "key", "datastore \"\(datastore)\" has no sparse key \"\(name)\"")
            }
            var bytes = try Data(contentsOf: file)
            if bytes.starts(with: [0xEF, 0xBB, 0xBF]) { bytes = bytes.dropFirst(3) }
            guard bytes.count <= Self.maximumVocabularyBytes else {
                throw DatastoreError(
                    .bodyTooLarge,
                    "the vocabulary has \(bytes.count) bytes, expected at most \(Self.maximumVocabularyBytes)")
            }
            var terms = bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
            if terms.last?.isEmpty == true { terms.removeLast() }
            guard terms.count == key.dim else {
                throw DatastoreError.field(
                    .invalidValue, "vocabulary", "got \(terms.count) lines, expected \(key.dim), the terms of the key")
            }
            let words = try terms.enumerated().map { number, line in
                let line = line.last == UInt8(ascii: "\r") ? line.dropLast() : line
                guard let word = String(validating: line, as: UTF8.self) else {
                    throw DatastoreError.field(
                        .invalidUTF8, "vocabulary", "line \(number + 1) is not UTF-8")
                }
                return word
            }
            let aside = file.appendingPathExtension("terms")
            try VocabularyWriter.write(words, to: aside.path)
            // Neither a job nor single entries may begin in between: their weights would be of other words.
            let pending = try pendingChanges(datastore)
            try submitting.withLock { _ in
                try pending.serially {
                    let latest = try catalog.latestVersion(of: datastore)
                    let isWorked =
                        try jobs.isBusy(datastore) || catalog.unfinishedJobs().contains { $0.datastore == datastore }
                    guard try latest == nil && waitingChanges(datastore, latest) == 0 && !isWorked else {
                        throw DatastoreError(
                            .vocabularyInUse,
                            "datastore \"\(datastore)\" has entries or a job already, and their weights are of the "
                                + "vocabulary as it is; make a new datastore for another one")
                    }
                    try DurableFiles.replace(directory.vocabulary(ofKey: name, datastore: datastore), with: aside)
                }
            }
        }
    }

    private static let maximumVocabularyBytes = 1 << 30

    /// The files of the words of a datastore's sparse keys, by name; keys without words are not there.
    func vocabularies(of datastore: DatastoreRecord) -> [String: URL] {
        var files: [String: URL] = [:]
        for key in datastore.keys where key.kind == .sparse {
            let file = directory.vocabulary(ofKey: key.name, datastore: datastore.name)
            if FileManager.default.fileExists(atPath: file.path) { files[key.name] = file }
        }
        return files
    }

    /// The sparse keys of a datastore that have no vocabulary.
    func wordless(of datastore: DatastoreRecord) -> Set<String> {
        let sparse = datastore.keys.filter { $0.kind == .sparse }.map(\.name)
        return Set(sparse).subtracting(vocabularies(of: datastore).keys)
    }

    /// Finds words in the vocabularies of a datastore's keys.
    func termIndex(of datastore: DatastoreRecord) throws -> @Sendable (_ key: String, _ term: String) -> UInt32? {
        let vocabularies = try vocabularies(of: datastore).mapValues { try Vocabulary(path: $0.path) }
        return { key, term in vocabularies[key]?.index(of: term) }
    }
}

extension DatastoreRecord {
    /// Files of vectors by the names of their keys; "" stands for the first dense one.
    ///
    /// - Throws: `unknown_key`, `invalid_value`.
    func byKey(_ files: [String: String]) throws -> [String: String] {
        var named: [String: String] = [:]
        for (name, file) in files.sorted(by: { $0.key < $1.key }) {
            let key = name.isEmpty ? keys.first { $0.kind == .dense } : keys.first { $0.name == name }
            guard let key else {
                throw DatastoreError.field(
                    .unknownKey, "vectors",
                    "datastore \"\(self.name)\" has no \(name.isEmpty ? "dense key" : "key \"\(name)\""), "
                        + "only \(keys.map(\.name).joined(separator: ", "))")
            }
            guard key.kind == .dense else {
                throw DatastoreError.field(
                    .invalidValue, "vectors",
                    "key \"\(key.name)\" is sparse: its weights come with the rows, in \"vectors\"")
            }
            guard named.updateValue(file, forKey: key.name) == nil else {
                throw DatastoreError.field(.invalidValue, "vectors", "got two files for key \"\(key.name)\"")
            }
        }
        return named
    }
}

package import Bundles
package import DatastoreCore
package import DatastoreStorage
package import Foundation
import Logging
import Synchronization
import VectorIndex

/// Versions out as bundles, and in again.
extension CapstanEngine {
    // MARK: Out

    /// Opens a version's files to be sent. One that is not open is compared with its manifest first.
    ///
    /// - Throws: `unknown_datastore`, `unknown_version`, `version_damaged`, `newer_format`.
    package func exportBundle(of id: VersionID) async throws -> BundleExport {
        try await transferring { [self] in
            let datastore = try catalog.datastore(id.datastore)
            let record = try catalog.version(id)
            guard record.state == .ready else {
                throw DatastoreError(.versionDamaged, record.detail ?? "\(id) is damaged")
            }
            let manifest = try cache.opened(id)?.manifest ?? verifiedManifest(of: record)
            let folder = directory.version(id)
            let bytes = try Data(contentsOf: folder.appending(path: Manifest.fileName)).count
            let header = BundleHeader(
                datastore: id.datastore, version: id.number, kind: datastore.kind, keys: datastore.keys,
                description: datastore.description, licence: datastore.licence, plan: datastore.plan,
                recallGate: datastore.recallGate, manifestSHA256: record.manifestSHA256)
            let writer = try BundleWriter(
                header, folder: folder,
                files: [
                    VersionFile(name: Manifest.fileName, bytes: Int64(bytes), sha256: record.manifestSHA256)
                ] + manifest.files)
            return BundleExport(writer: writer, sizes: bundleSizes, pool: transferPool)
        }
    }

    private func verifiedManifest(of record: VersionRecord) throws -> Manifest {
        do {
            return try VersionFolder(
                verifying: directory.version(record.id), id: record.id, manifestSHA256: record.manifestSHA256
            ).manifest
        } catch let error as DatastoreError where error.code == .versionDamaged {
            try catalog.markDamaged(record.id, detail: error.detail)
            logger.error("a version is damaged", metadata: ["version": "\(record.id)", "detail": "\(error.detail)"])
            throw error
        }
    }

    // MARK: In

    /// Where a bundle goes before its job is submitted; the datastore may still have to be made.
    package func stageBundle(job: String) async throws -> URL {
        try await control { [self] in
            let folder = directory.staging(job: job)
            try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
            return folder
        }
    }

    /// Queues a job that takes in the version that a bundle holds. A datastore that is not there is made with the job.
    ///
    /// - Parameters:
    ///   - bundle: in `stageBundle`'s folder, synced to disk.
    ///   - digest: of the bundle, for the fingerprint of the request.
    /// - Throws: `invalid_value` for a bundle of another datastore, `incompatible_datastores`, `version_exists`,
    ///   `bundle_unreadable` and its kin, `idempotency_conflict`.
    package func submitRestore(
        job: String, datastore name: String, bundle: URL, digest: String, by: String? = nil,
        idempotencyKey: String? = nil
    ) async throws -> JobInfo {
        try await control { [self] in
            let submission = try Submission(by: by, idempotencyKey) { Data(digest.utf8) }
            let header = try BundleHeader(of: bundle)
            guard header.datastore == name else {
                throw DatastoreError.field(
                    .invalidValue, "datastore",
                    "the bundle is of \(header.name); it can be restored as datastore \"\(header.datastore)\" only, since its "
                        + "name is in its files")
            }
            try DurableFiles.sync(directory.staging(job: job))
            try DurableFiles.sync(directory.staging)
            let info = try submitting.withLock { _ in
                var created: DatastoreRecord?
                do {
                    try header.check(against: catalog.datastore(name))
                    _ = try existing(header)
                } catch let error as DatastoreError where error.code == .unknownDatastore {
                    created = DatastoreRecord(
                        name: name, kind: header.kind, keys: header.keys, description: header.description,
                        licence: header.licence, plan: header.plan ?? .exact,
                        recallGate: header.recallGate ?? DatastoreInfo.defaultRecallGate, createdAt: Date())
                }
                let info = try catalog.createJob(
                    id: job, datastore: name,
                    request: .restore(bundle: bundle.lastPathComponent, creates: created != nil),
                    submission: submission, creating: created, at: Date())
                if info.id == job { jobs.submit(JobQueue.Job(id: job, datastore: name, kind: info.kind)) }
                return info
            }
            if info.id != job { try DurableFiles.remove(directory.staging(job: job)) }
            return info
        }
    }

    /// The version of a bundle's number; nil when there is none.
    ///
    /// - Throws: `version_exists` when it is another one.
    private func existing(_ header: BundleHeader) throws -> VersionRecord? {
        let id = VersionID(datastore: header.datastore, number: header.version)
        guard try catalog.versionNumbers(of: id.datastore).contains(id.number) else { return nil }
        let record = try catalog.version(id)
        guard record.manifestSHA256 == header.manifestSHA256 else {
            throw DatastoreError(
                .versionExists,
                "\(id) is there already and is another version (manifest \(record.manifestSHA256.prefix(12)), the bundle's is "
                    + "\(header.manifestSHA256.prefix(12))); restore it on another daemon, or delete one of the two")
        }
        return record
    }

    /// Reads and checks a bundle, then publishes its version as any other.
    func performRestore(_ job: JobQueue.Job, bundle: String) throws {
        try catalog.start(job: job.id, phase: .reading, at: Date())
        let staging = directory.staging(job: job.id)
        let reader = try BundleReader(staging.appending(path: bundle))
        try reader.header.check(against: catalog.datastore(job.datastore))
        let existing = try existing(reader.header)
        if let existing, existing.state == .ready {
            try catalog.finish(
                job: job.id, state: .succeeded, error: nil, version: existing.id.number, at: Date())
            return
        }
        let staged = staging.appending(path: "version")
        // What an earlier attempt has left.
        try DurableFiles.remove(staged)
        try FileManager.default.createDirectory(at: staged, withIntermediateDirectories: true)
        let manifest = try unpack(reader, into: staged, job)
        try check(manifest, in: staged, reader.header, job)
        try checkpoint(job.id)
        try catalog.start(job: job.id, phase: .publishing, at: Date())
        if let existing {
            try repair(existing, with: staged)
            try catalog.finish(
                job: job.id, state: .succeeded, error: nil, version: existing.id.number, at: Date())
        } else {
            try publish(manifest, staged, reader.header, job)
        }
    }

    private func unpack(_ reader: BundleReader, into staged: URL, _ job: JobQueue.Job) throws -> Manifest {
        let space = try FileManager.default.attributesOfFileSystem(forPath: staged.path)[.systemFreeSize] as? NSNumber
        var pace = Pace()
        let data = try reader.unpack(
            into: staged, limit: min(configuration.maximumBundleBytes, space?.int64Value ?? .max)
        ) { [self] bytes in
            try checkpoint(job.id)
            let share = Double(bytes) / Double(max(1, reader.bytes))
            if let progress = pace.progress(rows: 0, fraction: min(1, share)) {
                try catalog.update(job: job.id, progress: progress)
            }
        }
        do {
            return try Manifest.read(data)
        } catch let error as DatastoreError where error.code == .versionDamaged {
            throw DatastoreError(.bundleInvalidManifest, error.detail)
        }
    }

    /// Makes sure that the files are of a version as it is built here, and safe to open: what has the right checksums may
    /// still have been made to do harm.
    private func check(_ manifest: Manifest, in staged: URL, _ header: BundleHeader, _ job: JobQueue.Job) throws {
        func invalid(_ why: String) -> DatastoreError {
            DatastoreError(.bundleInvalidManifest, "\(header.name): \(why)")
        }
        let largest: Int64 = 1 << 53
        guard manifest.kind == header.kind, manifest.keys.count == header.keys.count,
            zip(manifest.keys, header.keys).allSatisfy({ $0.spec.isLike($1) })
        else { throw invalid("its manifest names other keys than its header") }
        guard (1...Int64(Int32.max)).contains(Int64(manifest.entries)),
            (0...largest).contains(manifest.lineage.lastEntryID),
            (0...largest).contains(manifest.lineage.pendingThrough)
        else { throw invalid("its manifest counts what cannot be") }
        let listed = Set(manifest.files.map(\.name))
        let needed = [VersionFolder.entriesFile] + manifest.keys.flatMap(\.files)
        guard listed == Set(needed), listed.count == needed.count else {
            throw invalid(
                "it lists \(listed.sorted().joined(separator: " ")), expected \(needed.joined(separator: " "))")
        }
        for key in manifest.keys where key.plan.method == .auto {
            throw invalid("key \"\(key.spec.name)\" has the plan auto, which is none that a version can have")
        }
        // Our own files are checked for what they say; FAISS believes what it reads.
        for key in manifest.keys where key.plan.method.isOfFaiss {
            if key.plan.method.isGraph, let name = key.index, GraphIndex.isFile(staged.appending(path: name).path) {
                continue
            }
            guard configuration.indexReader != nil else {
                throw DatastoreError(
                    .indexFilesDisabled,
                    "\(header.name): key \"\(key.spec.name)\" has a FAISS index, and one from elsewhere can be made to harm the "
                        + "daemon; where bundles are trusted, start capstand with --allow-index-files")
            }
        }
        do {
            try EntriesFile.check(staged.appending(path: VersionFolder.entriesFile))
            let version = try OpenVersion(VersionFolder(written: staged, manifest: manifest))
            guard let last = version.ids.last, let first = version.ids.first, first > 0,
                last <= manifest.lineage.lastEntryID
            else { throw invalid("it has entries with ids that its manifest does not count") }
            // An answer is only as certain as the codes are those of the vectors.
            for key in version.keys { try key.dense?.checkCodes { [self] in try checkpoint(job.id) } }
        } catch let error as DatastoreError where error.code == .versionDamaged {
            throw invalid(error.detail)
        }
    }

    private func publish(
        _ manifest: Manifest, _ staged: URL, _ header: BundleHeader, _ job: JobQueue.Job
    ) throws {
        let pending = try pendingChanges(job.datastore)
        let publisher = VersionPublisher(directory: directory, onStep: configuration.onPublishStep)
        try pending.serially {
            let isNewest = try (catalog.latestVersion(of: job.datastore)?.id.number ?? 0) < manifest.version
            let isInTheWay =
                try isNewest ? pending.count() > 0 : pending.hasChanges(through: manifest.lineage.pendingThrough)
            guard !isInTheWay else {
                throw DatastoreError(
                    .changesPending,
                    "datastore \"\(job.datastore)\" has \(try pending.count()) pending changes, which are not of \(header.name)'s "
                        + "history; build a version of them first (capstan reindex \(job.datastore))")
            }
            // Ids and numbers go on behind those of the version before anyone can see it.
            try pending.goOn(
                afterID: manifest.lineage.lastEntryID, sequence: manifest.lineage.pendingThrough)
            try keepVocabularies(of: manifest, in: staged)
            var record = try publisher.place(
                sealing: staged, manifest: manifest, manifestSHA256: header.manifestSHA256
            ) { [self] in try checkpoint(job.id) }
            record.jobID = job.id
            try publish(
                record, publisher, try VersionFolder(written: directory.version(manifest.id), manifest: manifest))
        }
    }

    /// The words of sparse keys are the datastore's; a version has links to them.
    private func keepVocabularies(of manifest: Manifest, in staged: URL) throws {
        for key in manifest.keys {
            guard let name = key.vocabulary, let file = manifest.files.first(where: { $0.name == name }) else {
                continue
            }
            let known = directory.vocabulary(ofKey: key.spec.name, datastore: manifest.datastore)
            if FileManager.default.fileExists(atPath: known.path) {
                guard try FileDigest.of(known).sha256 == file.sha256 else {
                    throw DatastoreError(
                        .incompatibleDatastores,
                        "key \"\(key.spec.name)\" has other words in the bundle than in datastore \"\(manifest.datastore)\""
                    )
                }
            } else {
                try FileManager.default.linkItem(at: staged.appending(path: name), to: known)
                try DurableFiles.sync(known.deletingLastPathComponent())
            }
        }
    }

    /// Puts right files in the place of damaged ones of the same version.
    private func repair(_ record: VersionRecord, with staged: URL) throws {
        let place = directory.version(record.id)
        try VersionFolder.protect(staged)
        try DurableFiles.remove(place)
        try DurableFiles.move(staged, to: place)
        // Opened outside the lock, which it is hashed for, and held over it. Who has the damaged files open keeps them.
        verified.withLock { _ = $0.removeValue(forKey: record.id) }
        cache.drop(record.id)
        try catalog.markReady(record.id)
        let right = try open(record.id)
        reopenDomains(of: record.id)
        withExtendedLifetime(right) {}
        logger.notice("a damaged version is right again", metadata: ["version": "\(record.id)"])
    }

    /// Removes the datastore that was made for a restore which came to nothing, unless somebody uses it by now.
    func removeUnused(_ datastore: String) {
        do {
            let pending = try pendingChanges(datastore)
            let isRemoved = try pending.serially {
                guard try pending.count() == 0, try catalog.latestVersion(of: datastore) == nil else { return false }
                try changes.withLock { _ in try catalog.delete(datastore: datastore) }
                return true
            }
            if isRemoved { try removeFiles(ofDeleted: datastore) }
        } catch let error as DatastoreError
            where [.unknownDatastore, .datastoreInUse, .datastoreBusy].contains(error.code)
        {
            // It is gone, or somebody's.
        } catch {
            logger.error(
                "a datastore that a restore had made was left",
                metadata: ["datastore": "\(datastore)", "error": "\(error)"])
        }
    }
}

extension BundleHeader {
    /// - Throws: `incompatible_datastores`.
    func check(against datastore: DatastoreRecord) throws {
        guard datastore.kind == kind else {
            throw DatastoreError(
                .incompatibleDatastores,
                "datastore \"\(datastore.name)\" holds \(datastore.kind.rawValue), the bundle \(kind.rawValue)")
        }
        guard datastore.keys.count == keys.count, zip(datastore.keys, keys).allSatisfy({ $0.isLike($1) }) else {
            throw DatastoreError(
                .incompatibleDatastores,
                "datastore \"\(datastore.name)\" has the keys \(Self.shown(datastore.keys)), the bundle \(Self.shown(keys))"
            )
        }
    }

    private static func shown(_ keys: [KeySpec]) -> String {
        keys.map { key in
            let encoder = key.encoder.map { " by \($0.model)\($0.revision.map { "@\($0)" } ?? "")" } ?? ""
            return "\(key.name):\(key.kind == .sparse ? "sparse:" : "")\(key.dim):\(key.metric.rawValue)\(encoder)"
        }.joined(separator: ", ")
    }
}

extension KeySpec {
    /// Whether vectors of both can be in one datastore.
    fileprivate func isLike(_ other: KeySpec) -> Bool {
        guard (name, kind, dim, metric, pruning) == (other.name, other.kind, other.dim, other.metric, other.pruning)
        else { return false }
        guard let encoder, let second = other.encoder else { return true }
        return encoder.model == second.model
            && (encoder.revision == nil || second.revision == nil || encoder.revision == second.revision)
    }
}

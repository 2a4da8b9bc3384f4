package import DatastoreCore
package import DatastoreStorage
import Foundation
import Logging
import Synchronization

/// Names of versions, and versions that go.
extension CapstanEngine {
    /// The version that a reference names: a number, a tag, or `latest`.
    ///
    /// - Throws: `unknown_datastore`, `unknown_version`, `version_removed`, `unknown_tag`, `no_version`.
    package func versionID(_ reference: String, of datastore: String) async throws -> VersionID {
        try await control { [self] in try catalog.version(reference, of: datastore).id }
    }

    /// Gives a version a name, which keeps it.
    ///
    /// - Parameter moves: whether the name may be taken from another version.
    /// - Throws: `unknown_datastore`, `unknown_version`, `invalid_name`, `tag_exists`.
    package func tag(_ id: VersionID, _ tag: String, moves: Bool) async throws -> VersionInfo {
        try TagName.validate(tag)
        return try await control { [self] in
            _ = try catalog.datastore(id.datastore)
            return Self.info(try catalog.tag(id, tag, moves: moves, at: Date()))
        }
    }

    /// - Throws: `unknown_datastore`, `unknown_version`, `unknown_tag`.
    package func untag(_ id: VersionID, _ tag: String) async throws {
        try await control { [self] in
            _ = try catalog.datastore(id.datastore)
            try catalog.untag(id, tag)
        }
    }

    /// Removes one version for good.
    ///
    /// - Throws: `unknown_datastore`, `unknown_version`; `version_in_use` for the newest, a tagged one and one that a domain
    ///   answers from or a job reads.
    package func removeVersion(_ id: VersionID) async throws -> GCReport {
        try await control { [self] in
            _ = try catalog.datastore(id.datastore)
            return try collecting.withLock { _ in
                let reason = "removed by request"
                _ = try changes.withLock { _ in try catalog.remove(id, reason: reason, at: Date()) }
                return GCReport(dryRun: false, items: [try removeFiles(of: id, reason)])
            }
        }
    }

    /// Removes what nothing needs: versions that retention does not keep, and what ended jobs have left.
    ///
    /// What was forgotten is on disk as such before its files go, so a crash in between is finished at the next start.
    ///
    /// - Throws: `unknown_datastore`.
    package func collectGarbage(_ request: GCRequest) async throws -> GCReport {
        try await control { [self] in
            try collecting.withLock { _ in
                let all = try catalog.datastores(PageRequest(limit: -1)).map(\.name)
                let names =
                    try request.datastores.isEmpty ? all : request.datastores.map { try catalog.datastore($0).name }
                var items = try removals(of: Set(names), dryRun: request.dryRun)
                for name in names { items += try expired(name, dryRun: request.dryRun) }
                items += try jobFiles(of: names, request)
                if request.datastores.isEmpty { items += try abandonedStaging(dryRun: request.dryRun) }
                let report = GCReport(dryRun: request.dryRun, items: items)
                if !request.dryRun, !items.isEmpty {
                    logger.notice(
                        "removed what nothing needs",
                        metadata: ["items": "\(items.count)", "bytes": "\(report.freedBytes)"])
                }
                return report
            }
        }
    }

    /// What retention lets go of after a build. The build has succeeded, whatever becomes of this.
    func applyRetention(_ datastore: String) {
        do {
            let items = try collecting.withLock { _ in
                try removals(of: [datastore], dryRun: false, byJob: true) + expired(datastore, dryRun: false)
            }
            for item in items {
                logger.notice(
                    "version removed",
                    metadata: [
                        "version": "\(datastore)@\(item.version ?? 0)", "bytes": "\(item.bytes)",
                        "reason": "\(item.reason)",
                    ])
            }
        } catch {
            logger.error("retention failed", metadata: ["datastore": "\(datastore)", "error": "\(error)"])
        }
    }

    /// Start: no question is under way yet, so whatever was held is not any more.
    func finishRemovals() throws {
        for (id, reason) in try catalog.unfinishedRemovals() {
            do {
                _ = try removeFiles(of: id, reason)
                noteRecovery("removed the files of \(id), \(reason)")
            } catch {
                // What cannot be removed keeps nobody from answering.
                noteRecovery("could not remove the files of \(id): \(error)")
            }
        }
    }

    // MARK: Versions

    /// What questions held when it was removed.
    ///
    /// - Parameter byJob: whether a job of the datastore asks. Else nothing goes while one works: a restore may be bringing
    ///   the same version back.
    private func removals(of datastores: Set<String>, dryRun: Bool, byJob: Bool = false) throws -> [GCItem] {
        try catalog.unfinishedRemovals().filter { datastores.contains($0.0.datastore) }.map { id, reason in
            let waits = !byJob && jobs.isBusy(id.datastore)
            return try dryRun || waits
                ? item(id, reason, isHeld: waits || cache.isOpen(id)) : removeFiles(of: id, reason)
        }
    }

    private func expired(_ datastore: String, dryRun: Bool) throws -> [GCItem] {
        guard !dryRun else {
            return try catalog.expiredVersions(of: datastore, at: Date()).map { version, reason in
                item(version.id, reason, isHeld: false)
            }
        }
        // With the lock of switches: a domain that is being bound to a version is either bound by now, or finds it gone.
        let expired = try changes.withLock { _ in try catalog.removeExpiredVersions(of: datastore, at: Date()) }
        return try expired.map { version, reason in try removeFiles(of: version.id, reason) }
    }

    /// Removes the files of a version that is forgotten, unless questions that began before still have it open: a reader
    /// may have to open its file once more.
    private func removeFiles(of id: VersionID, _ reason: String) throws -> GCItem {
        // With the lock of publishing: it may be coming back from a bundle at this moment.
        try changes.withLock { _ in
            let isHeld = cache.release(id)
            let item = item(id, reason, isHeld: isHeld)
            if try !isHeld && !catalog.versionNumbers(of: id.datastore).contains(id.number) {
                verified.withLock { _ = $0.removeValue(forKey: id) }
                cache.drop(id)
                try DurableFiles.remove(directory.version(id))
                try catalog.finishRemoval(of: id)
            }
            return item
        }
    }

    private func item(_ id: VersionID, _ reason: String, isHeld: Bool) -> GCItem {
        GCItem(
            .version, datastore: id.datastore, version: id.number,
            bytes: DiskUsage.freed(byRemoving: directory.version(id)), reason: reason, isHeld: isHeld)
    }

    // MARK: Files of jobs

    private func jobFiles(of datastores: [String], _ request: GCRequest) throws -> [GCItem] {
        var items: [GCItem] = []
        let latest = Date().addingTimeInterval(-86400 * Double(request.jobFilesDays))
        for datastore in datastores {
            for (kind, folder) in [
                (GCItem.Kind.output, directory.output(job: "", datastore: datastore)),
                (.rejects, directory.rejects(job: "", datastore: datastore).deletingLastPathComponent()),
            ] {
                for name in try Self.names(in: folder) {
                    let id = name.hasSuffix(".jsonl") ? String(name.dropLast(6)) : name
                    let job = try knownJob(id)
                    if let job {
                        guard job.state.isFinal, job.finishedAt.map({ $0 <= latest }) ?? true else { continue }
                    }
                    let file = folder.appending(path: name)
                    let reason = job.map {
                        "its job ended \(Int(-($0.finishedAt ?? $0.createdAt).timeIntervalSinceNow) / 86400) days ago"
                    }
                    items.append(
                        GCItem(
                            kind, datastore: datastore, job: id, bytes: DiskUsage.freed(byRemoving: file),
                            reason: reason ?? "no job has this name"))
                    if !request.dryRun { try DurableFiles.remove(file) }
                }
            }
        }
        return items
    }

    /// What jobs that have ended were making. Uploads are staged before they are jobs: those get a day.
    private func abandonedStaging(dryRun: Bool) throws -> [GCItem] {
        // Backups have an end of their own.
        try Self.names(in: directory.staging).filter { !$0.hasPrefix(BackupSession.folderPrefix) }.compactMap { id in
            let folder = directory.staging(job: id)
            let reason: String
            if let job = try knownJob(id) {
                guard job.state.isFinal, !jobs.isBusy(job.datastore) else { return nil }
                reason = "its job has ended"
            } else {
                guard let change = DiskUsage.lastChange(in: folder), change.timeIntervalSinceNow < -86400 else {
                    return nil
                }
                reason = "an upload that broke off"
            }
            let item = GCItem(
                .staging, datastore: nil, job: id, bytes: DiskUsage.freed(byRemoving: folder), reason: reason)
            if !dryRun { try DurableFiles.remove(folder) }
            return item
        }
    }

    /// Nil where no job has this name; what cannot be read is an error, and nothing is removed for it.
    private func knownJob(_ id: String) throws -> JobInfo? {
        do {
            return try catalog.job(id)
        } catch let error as DatastoreError where error.code == .unknownJob {
            return nil
        }
    }

    private static func names(in folder: URL) throws -> [String] {
        guard FileManager.default.fileExists(atPath: folder.path) else { return [] }
        return try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted()
    }
}

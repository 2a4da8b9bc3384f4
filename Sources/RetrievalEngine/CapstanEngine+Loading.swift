import DatastoreCore
import DatastoreStorage
import Foundation
import Logging
import Synchronization

/// Start: what a crash left is finished or cleaned up, then what domains are bound to is opened.
extension CapstanEngine {
    func load() async throws {
        try await control { [self] in
            setReadiness(.loading, "reconciling the catalog with the files")
            try finishDeletions()
            try finishRemovals()
            try recheckDamaged()
            for datastore in try catalog.datastores(PageRequest(limit: -1)) {
                do {
                    try reconcile(datastore)
                } catch {
                    // One datastore that cannot be opened keeps no other from answering.
                    noteRecovery("could not reconcile \(datastore.name): \(error)")
                }
            }
            try reconcileJobs()
            try openDomains()
            setReadiness(.ready, "ready")
            logger.info("ready", metadata: ["domains": "\(currentSnapshot.domains.count)"])
        }
    }

    /// Opens all domains, those first of which no file has to be read. Each is asked as soon as it is open; until then it
    /// says that it is not.
    private func openDomains() throws {
        let domains = try catalog.allDomains()
        let known = try domains.filter { domain in
            try domain.datastores.allSatisfy {
                try !catalog.checked(VersionID(datastore: $0.name, number: $0.version)).isEmpty
            }
        }
        let names = Set(known.map(\.domain))
        changes.withLock { _ in
            swap { snapshot in
                for domain in domains {
                    let error = DatastoreError(.notReady, "domain \"\(domain.domain)\" is being opened; retry")
                    snapshot.domains[domain.domain] = DomainSnapshot(
                        info: domain, versions: domain.datastores.map { _ in .failure(error) })
                }
            }
        }
        answerQuestions()
        for (number, domain) in (known + domains.filter { !names.contains($0.domain) }).enumerated() {
            setReadiness(.loading, "opening domain \(domain.domain), \(number + 1) of \(domains.count)")
            let opened = open(domain)
            changes.withLock { _ in
                // Unless it was switched or deleted meanwhile.
                guard currentSnapshot.domains[domain.domain]?.info.revision == domain.revision else { return }
                swap { $0.domains[domain.domain] = opened }
            }
        }
    }

    /// Reads the manifests of versions that were checked before this start, so that a switch to one only opens its files.
    func recallChecked() async {
        do {
            try await control { [self] in
                for datastore in try catalog.datastores(PageRequest(limit: -1)) {
                    for number in try catalog.versionNumbers(of: datastore.name) {
                        let id = VersionID(datastore: datastore.name, number: number)
                        let (url, stamps) = (directory.version(id), try catalog.checked(id))
                        guard verified.withLock({ $0[id] }) == nil, !stamps.isEmpty,
                            (try? VersionFolder.isUntouched(url, stamps)) ?? false
                        else { continue }
                        let record = try catalog.version(id)
                        let folder = try? VersionFolder(
                            verifying: url, id: id, manifestSHA256: record.manifestSHA256, known: stamps)
                        guard let folder, folder.wasKnown else { continue }
                        verified.withLock { known in known[id] = known[id] ?? folder }
                    }
                }
            }
        } catch {
            // Each is read when it is opened.
            logger.warning("manifests were not read again", metadata: ["error": "\(error)"])
        }
    }

    /// Compares what was opened by its stamps alone with its checksums once more, at the priority of jobs: a disk may have
    /// lost bytes without a change of the file. A version that differs is served no more.
    func recheckOpened() async {
        let opened = Set(currentSnapshot.domains.values.flatMap(\.versions).compactMap { try? $0.get().id })
        for id in opened.sorted(by: { $0.description < $1.description }) {
            guard let folder = verified.withLock({ $0[id] }), folder.wasKnown, !Task.isCancelled else { continue }
            do {
                try await inspecting { [self] in
                    do {
                        _ = try VersionFolder(
                            verifying: folder.url, id: id, manifestSHA256: catalog.version(id).manifestSHA256
                        ) { [self] in try checkGrace() }
                    } catch let error as DatastoreError where error.code == .versionDamaged {
                        try withdraw(id, error)
                    }
                }
            } catch {
                logger.warning("a version was not read again", metadata: ["version": "\(id)", "error": "\(error)"])
            }
        }
    }

    private func finishDeletions() throws {
        for name in try catalog.deletions() {
            try removeFiles(ofDeleted: name)
            noteRecovery("removed the files of the deleted datastore \(name)")
        }
        let known = Set(try catalog.datastores(PageRequest(limit: -1)).map(\.name))
        for folder in try FileManager.default.contentsOfDirectory(atPath: directory.datastores.path).sorted()
        where !known.contains(folder) {
            noteRecovery("left alone the folder datastores/\(folder), which the catalog does not know")
        }
    }

    /// Adopts versions that were placed but not named in the catalog, and drops what never counted.
    private func reconcile(_ datastore: DatastoreRecord) throws {
        let pending = try pendingChanges(datastore.name)
        // An import that had not ended goes on behind its last batch.
        let unfinished = Set(try catalog.unfinishedJobs().filter { !$0.cancelRequested }.map(\.id))
        for job in try pending.uncommittedJobs() where !unfinished.contains(job) {
            try pending.discard(job: job)
            noteRecovery("dropped the uncommitted rows of job \(job) on \(datastore.name)")
        }
        let known = try catalog.versionNumbers(of: datastore.name)
        let folders = try FileManager.default.contentsOfDirectory(atPath: directory.versions(datastore.name).path)
        for folder in folders.sorted() {
            guard let number = Int(folder), !known.contains(number) else { continue }
            let id = VersionID(datastore: datastore.name, number: number)
            let next = try catalog.nextVersionNumber(of: datastore.name)
            do {
                guard number == next else {
                    throw DatastoreError(.versionDamaged, "the next version is \(next)")
                }
                try adopt(id)
                noteRecovery("finished publishing \(id)")
            } catch let error as DatastoreError {
                try DurableFiles.remove(directory.version(id))
                noteRecovery("removed \(id), which was never published: \(error.detail)")
            }
        }
        // The pending changes of a version go after it is in the catalog; a crash may have come between. They are the
        // only other copy of its rows, so the version is opened and checked first.
        if let latest = try catalog.latestVersion(of: datastore.name), latest.state == .ready {
            if try pending.hasChanges(through: latest.pendingThrough) {
                _ = try open(latest.id)
                try pending.consume(through: latest.pendingThrough)
                noteRecovery("forgot the pending changes that are in \(latest.id)")
            }
        }
    }

    /// Versions that were damaged when they were last opened may have got their files back.
    private func recheckDamaged() throws {
        for id in try catalog.damagedVersions() {
            let record = try catalog.version(id)
            guard
                let folder = try? VersionFolder(
                    verifying: directory.version(id), id: id, manifestSHA256: record.manifestSHA256),
                (try? OpenVersion(folder)) != nil
            else { continue }
            try catalog.markReady(id)
            noteRecovery("\(id) was damaged and is right again")
        }
    }

    private func adopt(_ id: VersionID) throws {
        let url = directory.version(id)
        let folder = try VersionFolder(verifying: url, id: id, manifestSHA256: nil)
        _ = try OpenVersion(folder)
        let manifestURL = url.appending(path: Manifest.fileName)
        let manifest = try FileDigest.of(manifestURL)
        _ = try catalog.publish(
            VersionRecord(
                manifest: folder.manifest, manifestSHA256: manifest.sha256,
                bytes: folder.manifest.files.reduce(manifest.bytes) { $0 + $1.bytes }), at: Date())
    }

    /// Jobs that had not ended start again; their staged files are kept, all others are removed.
    private func reconcileJobs() throws {
        let unfinished = try catalog.unfinishedJobs()
        let kept = Set(unfinished.map(\.id))
        for folder in try FileManager.default.contentsOfDirectory(atPath: directory.staging.path)
        where !kept.contains(folder) {
            try DurableFiles.remove(directory.staging.appending(path: folder))
            noteRecovery("removed the unfinished staging/\(folder)")
        }
        for job in unfinished {
            if job.cancelRequested {
                drop(job.id, of: job.datastore)
                noteRecovery("cancelled job \(job.id) on \(job.datastore), as it was asked before")
                continue
            }
            try catalog.requeue(job: job.id)
            jobs.submit(JobQueue.Job(id: job.id, datastore: job.datastore, kind: job.kind))
            noteRecovery("job \(job.id) on \(job.datastore) goes on")
        }
    }

    // MARK: Opening

    /// Opens what a revision is bound to. A version that cannot be opened becomes its error.
    func open(_ domain: DomainInfo) -> DomainSnapshot {
        DomainSnapshot(
            info: domain,
            versions: domain.datastores.map { binding in
                do {
                    return .success(try open(VersionID(datastore: binding.name, number: binding.version)))
                } catch let error as DatastoreError {
                    return .failure(error)
                } catch {
                    return .failure(DatastoreError(.storageFailed, "\(binding.name)@\(binding.version): \(error)"))
                }
            })
    }

    /// Versions with fewer rows need no warming.
    private static let warmedRows = 1 << 14

    /// Keeps that a version was compared with its manifest and opened.
    func remember(_ folder: VersionFolder) {
        let id = folder.manifest.id
        verified.withLock { $0[id] = folder }
        do {
            try catalog.setChecked(id, folder.stamps)
        } catch {
            // It is read once more at the next start.
            logger.warning(
                "could not keep that a version is right", metadata: ["version": "\(id)", "error": "\(error)"])
        }
    }

    /// A version that is open, or opened now after its checksums are compared: those of all its files the first time,
    /// later, also after a restart, those of files that were touched since.
    ///
    /// - Throws: `unknown_version`, `version_removed`, `version_damaged`, `newer_format`.
    func open(_ id: VersionID) throws -> OpenVersion {
        let record = try catalog.version(id)
        let id = record.id
        guard record.state == .ready else {
            throw DatastoreError(.versionDamaged, record.detail ?? "\(id) is damaged")
        }
        return try cache.version(id) {
            do {
                let before = verified.withLock { $0[id] }
                let folder =
                    try before?.unchanged()
                    ?? VersionFolder(
                        verifying: directory.version(id), id: id, manifestSHA256: record.manifestSHA256,
                        known: before?.stamps ?? catalog.checked(id))
                let version = try OpenVersion(folder)
                // Beside what follows, the transaction that names it, and behind questions, which else wait for it.
                if version.count >= Self.warmedRows {
                    SideWork { [weak version] in
                        Self.yieldToQuestions()
                        version?.warm()
                    }
                }
                if folder.wasKnown { verified.withLock { $0[id] = folder } } else { remember(folder) }
                return version
            } catch let error as DatastoreError where error.code == .versionDamaged {
                try catalog.markDamaged(id, detail: error.detail)
                logger.error("a version is damaged", metadata: ["version": "\(id)", "detail": "\(error.detail)"])
                throw error
            }
        }
    }
}

import DatastoreCore
import DatastoreStorage
import Foundation
import GRDB
import Migrations
import TestSupport
import Testing

/// Datastores and versions in the catalog.
struct CatalogDatastoreTests {
    private let folder: TemporaryDirectory
    private let catalog: Catalog

    init() throws {
        folder = try TemporaryDirectory()
        catalog = try Catalog(folder.file("catalog.sqlite"))
    }

    @Test func aDatastoreComesBackAsItWasMade() throws {
        let full = DatastoreRecord(
            name: "full", kind: .names,
            keys: [
                KeySpec(
                    name: "text", dim: 384, metric: .innerProduct,
                    encoder: Encoder(model: "ünï/model", revision: "r1", preprocessing: "a \"photo\" of")),
                KeySpec(name: "image", dim: 1, metric: .cosine, encoder: Encoder(model: "m")),
                KeySpec(name: "another", dim: 65_536, metric: .cosine),
            ], description: "🐎 'quoted'; DROP TABLE datastores", licence: "CC0-1.0", createdAt: moment)
        try catalog.create(full)
        try catalog.create(DatastoreRecord("bare"))
        #expect(try catalog.datastore("full") == full)
        #expect(try catalog.datastore("bare") == DatastoreRecord("bare"))
    }

    @Test func aNameIsTakenOnce() throws {
        try catalog.create(DatastoreRecord("d"))
        let error = expectError(.datastoreExists) { try catalog.create(DatastoreRecord("d", dim: 9)) }
        #expect(error?.errors.first?.field == "name")
        #expect(try catalog.datastore("d").keys.first?.dim == 4)
        // Names are told apart by case.
        try catalog.create(DatastoreRecord("D"))
        #expect(try catalog.datastores(PageRequest()).map(\.name) == ["D", "d"])
    }

    @Test func whatIsNotThereIsUnknown() throws {
        expectError(.unknownDatastore) { try catalog.datastore("none") }
        expectError(.unknownDatastore) { try catalog.update("none", UpdateDatastoreRequest(description: "x")) }
        expectError(.unknownDatastore) { try catalog.delete(datastore: "none") }
        expectError(.unknownDatastore) { try catalog.versions(of: "none", PageRequest()) }
        expectError(.unknownDatastore) { try catalog.publish(VersionRecord("none", 1), at: moment) }
        expectError(.unknownDatastore) {
            try catalog.createJob(id: "j", datastore: "none", request: .build(), at: moment)
        }
        expectError(.unknownVersion) { try catalog.version(VersionID(datastore: "none", number: 1)) }
        #expect(try catalog.latestVersion(of: "none") == nil)
        #expect(try catalog.versionNumbers(of: "none") == [])
    }

    @Test func listsPageByNameWithoutGapsOrRepeats() throws {
        let names = (0..<25).map { "d\($0)" }.shuffled()
        for name in names { try catalog.create(DatastoreRecord(name)) }
        for limit in [1, 7, 24, 25, 26] {
            var found: [String] = []
            var after: String?
            repeat {
                let page = try catalog.datastores(PageRequest(limit: limit, after: after)).map(\.name)
                #expect(page.count <= limit)
                found += page
                after = page.last
            } while after != nil
            #expect(found == names.sorted())
        }
        #expect(try catalog.datastores(PageRequest(limit: -1)).count == 25)
    }

    @Test func anUpdateChangesWhatItGivesAndNothingElse() throws {
        try catalog.create(DatastoreRecord("d"))
        try catalog.create(DatastoreRecord("e"))
        #expect(try catalog.update("d", UpdateDatastoreRequest(description: "words")).description == "words")
        let second = try catalog.update("d", UpdateDatastoreRequest(licence: "MIT"))
        #expect(second.description == "words")
        #expect(second.licence == "MIT")
        #expect(try catalog.update("d", UpdateDatastoreRequest()) == second)
        #expect(try catalog.update("d", UpdateDatastoreRequest(description: "")).description == "")
        #expect(try catalog.datastore("e") == DatastoreRecord("e"))
    }

    // MARK: Versions

    @Test func versionsAreNumberedAndListedNewestFirst() throws {
        try catalog.create("d", versions: 5)
        try catalog.create("e", versions: 1)
        #expect(try catalog.versions(of: "d", PageRequest()).map(\.id.number) == [5, 4, 3, 2, 1])
        #expect(try catalog.versions(of: "d", PageRequest(limit: 2)).map(\.id.number) == [5, 4])
        #expect(try catalog.versions(of: "d", PageRequest(limit: 2, after: "4")).map(\.id.number) == [3, 2])
        #expect(try catalog.versions(of: "d", PageRequest(after: "1")).isEmpty)
        #expect(try catalog.latestVersion(of: "d") == VersionRecord("d", 5))
        #expect(try catalog.version(VersionID(datastore: "d", number: 2)) == VersionRecord("d", 2))
        #expect(try catalog.versionNumbers(of: "d") == [1, 2, 3, 4, 5])
        expectError(.unknownVersion) { try catalog.version(VersionID(datastore: "d", number: 6)) }
        expectError(.unknownVersion) { try catalog.version(VersionID(datastore: "e", number: 2)) }
    }

    @Test func aVersionIsNamedOnceAndNothingChangesWhenItFails() throws {
        try catalog.create("d", versions: 2)
        try catalog.bind("street", "d")
        var other = VersionRecord("d", 2)
        other.entries = 999
        #expect(throws: (any Error).self) { try catalog.publish(other, at: moment) }
        #expect(try catalog.version(other.id) == VersionRecord("d", 2))
        #expect(try catalog.domain("street").revision == 1)
    }

    @Test func damageIsRemembered() throws {
        try catalog.create("b", versions: 2)
        try catalog.create("a", versions: 1)
        #expect(try catalog.damagedVersions() == [])
        try catalog.markDamaged(VersionID(datastore: "b", number: 2), detail: "text.vectors is missing")
        try catalog.markDamaged(VersionID(datastore: "a", number: 1), detail: "x")
        #expect(try catalog.damagedVersions().map(\.description) == ["a@1", "b@2"])
        let record = try catalog.version(VersionID(datastore: "b", number: 2))
        #expect(record.state == .damaged)
        #expect(record.detail == "text.vectors is missing")
        #expect(try catalog.version(VersionID(datastore: "b", number: 1)).state == .ready)
        #expect(try catalog.latestVersion(of: "b")?.id.number == 2)
    }

    // MARK: Deleting

    @Test func aDatastoreIsDeletedOnlyWhenNothingNeedsIt() throws {
        try catalog.create("d", versions: 2)
        try catalog.create("e", versions: 1)
        try catalog.bind("one", "d@1")
        try catalog.bind("two", "e", "d")
        let inUse = expectError(.datastoreInUse) { try catalog.delete(datastore: "d") }
        #expect(inUse?.detail.contains("one, two") == true)
        try catalog.bind("one", "e")
        let stillInUse = expectError(.datastoreInUse) { try catalog.delete(datastore: "d") }
        #expect(stillInUse?.detail.contains("one") == false)
        try catalog.delete(domain: "two")
        _ = try catalog.createJob(id: "j", datastore: "d", request: .build(), at: moment)
        expectError(.datastoreBusy) { try catalog.delete(datastore: "d") }
        try catalog.start(job: "j", phase: .building, at: moment)
        expectError(.datastoreBusy) { try catalog.delete(datastore: "d") }
        #expect(try catalog.versionNumbers(of: "d") == [1, 2])
        try catalog.finish(job: "j", state: .failed, error: nil, at: moment)
        try catalog.delete(datastore: "d")

        expectError(.unknownDatastore) { try catalog.datastore("d") }
        #expect(try catalog.versionNumbers(of: "d") == [])
        expectError(.unknownVersion) { try catalog.version(VersionID(datastore: "d", number: 1)) }
        #expect(try catalog.deletions() == ["d"])
        expectError(.unknownDatastore) { try catalog.delete(datastore: "d") }
        #expect(try catalog.datastores(PageRequest()).map(\.name) == ["e"])
        // Its jobs are still there to be looked at.
        #expect(try catalog.job("j").datastore == "d")
    }

    @Test func aNameIsFreeAgainWhenTheFilesAreGone() throws {
        try catalog.create("d", versions: 3)
        try catalog.delete(datastore: "d")
        let busy = expectError(.datastoreBusy) { try catalog.create(DatastoreRecord("d")) }
        #expect(busy?.detail.contains("\"d\"") == true)
        try catalog.finishDeletion(of: "d")
        #expect(try catalog.deletions() == [])
        try catalog.create(DatastoreRecord("d", dim: 7))
        #expect(try catalog.datastore("d").keys.map(\.dim) == [7])
        #expect(try catalog.latestVersion(of: "d") == nil)
    }

    // MARK: Opening

    @Test func openingAgainKeepsEverything() throws {
        try catalog.create("d", versions: 2)
        try catalog.bind("street", "d", defaults: QueryDefaults(k: 7, minScore: 0.25, dedupe: .text))
        try catalog.markDamaged(VersionID(datastore: "d", number: 1), detail: "x")
        let request = JobRequest.importPaths(
            rows: "/rows", vectors: "/vectors", options: ImportOptions(build: false, strict: true))
        let job = try catalog.createJob(id: "j", datastore: "d", request: request, at: moment)
        try catalog.create(DatastoreRecord("gone"))
        try catalog.delete(datastore: "gone")
        let domain = try catalog.domain("street")
        let versions = try catalog.versions(of: "d", PageRequest())
        try catalog.close()
        let again = try Catalog(folder.file("catalog.sqlite"))
        #expect(try again.datastore("d") == DatastoreRecord("d"))
        #expect(try again.versions(of: "d", PageRequest()) == versions)
        #expect(try again.domain("street") == domain)
        #expect(try again.job("j") == job)
        #expect(try again.request(ofJob: "j") == request)
        #expect(try again.deletions() == ["gone"])
        try again.close()
    }

    @Test func aCatalogOfANewerReleaseIsRefusedAndLeftAlone() throws {
        try catalog.create("d", versions: 1)
        try catalog.close()
        let url = folder.file("catalog.sqlite")
        let queue = try DatabaseQueue(path: url.path)
        try queue.write { try $0.execute(sql: "INSERT INTO grdb_migrations (identifier) VALUES ('0099_later')") }
        try queue.close()
        let error = expectError(.newerFormat) { try Catalog(url) }
        #expect(error?.detail.contains("catalog.sqlite") == true)
        let after = try DatabaseQueue(path: url.path)
        try after.read { database in
            let applied = try String.fetchAll(database, sql: "SELECT identifier FROM grdb_migrations ORDER BY 1")
            #expect(
                applied == [
                    "0001_initial", "0002_jobs", "0003_keys", "0004_plans", "0005_history", "0006_checked",
                    "0099_later",
                ])
            #expect(try String.fetchAll(database, sql: "SELECT name FROM datastores") == ["d"])
        }
        try after.close()
    }

    @Test func aCatalogOfTheFirstReleaseKeepsItsJobs() throws {
        let url = folder.file("first.sqlite")
        try firstRelease(Migration.catalog, at: url) { database in
            try database.execute(
                sql: """
                    INSERT INTO datastores (name, kind, created_at) VALUES ('d', 'captions', 1000);
                    INSERT INTO keys VALUES ('d', 0, 'text', 4, 'cosine', 'm', 'r', NULL);
                    INSERT INTO jobs (number, id, kind, datastore, request, state, phase, seen, rejected, created_at)
                    VALUES (7, 'j', 'import', 'd', '{"build":{}}', 'running', 'reading', 9, 2, 2000);
                    """)
        }
        let catalog = try Catalog(url)
        let job = try catalog.job("j")
        #expect(job.state == .running)
        #expect(job.counts.seen == 9)
        #expect(job.counts.rejected == 2)
        #expect(job.rejectedByCode == [:])
        #expect(job.createdAt == Date(timeIntervalSince1970: 2))
        #expect(try catalog.datastore("d").keys.first?.encoder == Encoder(model: "m", revision: "r"))
        // Numbers of jobs go on.
        _ = try catalog.createJob(id: "k", datastore: "d", request: .build(), at: moment)
        #expect(try catalog.jobs(datastore: nil, state: nil, PageRequest(limit: 10)).map(\.id) == ["k", "j"])
        try catalog.close()
    }

    @Test func whatIsNoDatabaseIsAnError() throws {
        let url = try folder.write("garbage.sqlite", Data(repeating: 0x41, count: 10_000))
        #expect(throws: (any Error).self) { try Catalog(url) }
    }

    @Test func manyWritersAndReadersSeeWholeTransactions() async throws {
        try catalog.create("d", versions: 1)
        try catalog.create("e", versions: 1)
        try await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 0..<2 {
                group.addTask {
                    for _ in 0..<20 { try catalog.bind("street", "d", "e@1") }
                }
            }
            group.addTask {
                for number in 2...20 { _ = try catalog.publish(VersionRecord("d", number), at: moment) }
            }
            for _ in 0..<3 {
                group.addTask {
                    var last = 0
                    for _ in 0..<200 {
                        guard let info = try? catalog.domain("street") else { continue }
                        #expect(info.revision >= last)
                        last = info.revision
                        #expect(info.datastores.map(\.name) == ["d", "e"])
                    }
                }
            }
            try await group.waitForAll()
        }
        let info = try catalog.domain("street")
        #expect(try catalog.revisions(of: "street", PageRequest()).map(\.revision) == (1...info.revision).reversed())
    }
}

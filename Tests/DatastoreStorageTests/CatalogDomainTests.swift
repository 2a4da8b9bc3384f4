import DatastoreCore
import DatastoreStorage
import Foundation
import TestSupport
import Testing

/// Domains and their revisions: every change is one more, and none is forgotten.
struct CatalogDomainTests {
    private let folder: TemporaryDirectory
    private let catalog: Catalog

    init() throws {
        folder = try TemporaryDirectory()
        catalog = try Catalog(folder.file("catalog.sqlite"))
        try catalog.create("a", versions: 3)
        try catalog.create("b", versions: 2)
        try catalog.create(DatastoreRecord("empty"))
    }

    @Test func bindingsAreResolvedToVersions() throws {
        let bound = try catalog.resolve([
            DatastoreBinding(name: "b"), DatastoreBinding(name: "a", version: 2),
            DatastoreBinding(name: "a", version: 3),
        ])
        #expect(
            bound == [
                BoundDatastore(name: "b", version: 2, followsLatest: true),
                BoundDatastore(name: "a", version: 2, followsLatest: false),
                BoundDatastore(name: "a", version: 3, followsLatest: false),
            ])
        expectError(.unknownDatastore) { try catalog.resolve([DatastoreBinding(name: "none")]) }
        expectError(.unknownVersion) { try catalog.resolve([DatastoreBinding(name: "a", version: 4)]) }
        expectError(.noVersion) { try catalog.resolve([DatastoreBinding(name: "empty")]) }
        expectError(.unknownVersion) { try catalog.resolve([DatastoreBinding(name: "empty", version: 1)]) }
    }

    @Test func newestMovesOnlyWhatFollows() throws {
        let bindings = [
            BoundDatastore(name: "a", version: 1, followsLatest: true),
            BoundDatastore(name: "b", version: 1, followsLatest: false),
            BoundDatastore(name: "gone", version: 8, followsLatest: true),
        ]
        #expect(
            try catalog.newest(bindings) == [
                BoundDatastore(name: "a", version: 3, followsLatest: true), bindings[1], bindings[2],
            ])
    }

    @Test func aRevisionComesBackAsItWasSet() throws {
        let defaults = QueryDefaults(k: 9, minScore: 0.1, dedupe: .text)
        let info = try catalog.bind("street", "b", "a@1", defaults: defaults)
        #expect(
            info
                == DomainInfo(
                    domain: "street", revision: 1, reason: .set, restoredRevision: nil, createdAt: moment,
                    datastores: [
                        BoundDatastore(name: "b", version: 2, followsLatest: true),
                        BoundDatastore(name: "a", version: 1, followsLatest: false),
                    ], defaults: defaults))
        #expect(try catalog.domain("street") == info)
        #expect(try catalog.domains(PageRequest()) == [info])
        #expect(try catalog.allDomains() == [info])
        #expect(try catalog.revisions(of: "street", PageRequest()) == [info])
    }

    @Test func preconditionsHoldOrNothingHappens() throws {
        expectError(.revisionConflict) { try catalog.bind("street", "a", precondition: .revision(1)) }
        expectError(.revisionConflict) { try catalog.bind("street", "a", precondition: .revision(0)) }
        expectError(.unknownDomain) { try catalog.domain("street") }
        #expect(try catalog.bind("street", "a", precondition: .absent).revision == 1)
        expectError(.revisionConflict) { try catalog.bind("street", "b", precondition: .absent) }
        let error = expectError(.revisionConflict) { try catalog.bind("street", "b", precondition: .revision(2)) }
        #expect(error?.detail.contains("at revision 1, expected 2") == true)
        #expect(try catalog.bind("street", "b", precondition: .revision(1)).revision == 2)
        #expect(try catalog.bind("street", "a", precondition: .none).revision == 3)
        #expect(try catalog.revisions(of: "street", PageRequest()).count == 3)
    }

    @Test func aVersionThatIsNotThereIsNotBound() throws {
        expectError(.unknownVersion) {
            try catalog.setDomain(
                "street", datastores: [BoundDatastore(name: "a", version: 9, followsLatest: false)],
                defaults: QueryDefaults(), reason: .set, precondition: .none, at: moment)
        }
        expectError(.unknownDomain) { try catalog.domain("street") }
    }

    @Test func publishMovesWhatFollowsAndLeavesWhatIsPinned() throws {
        try catalog.bind("follows", "a", defaults: QueryDefaults(k: 3))
        try catalog.bind("pinned", "a@3")
        try catalog.bind("other", "b")
        try catalog.bind("both", "b@1", "a")
        try catalog.bind("was", "a")
        try catalog.bind("was", "b")
        try catalog.bind("deleted", "a")
        try catalog.delete(domain: "deleted")
        let later = moment.addingTimeInterval(10)
        let moved = try catalog.publish(VersionRecord("a", 4), at: later)
        #expect(moved.map(\.domain) == ["both", "follows"])
        #expect(moved.map(\.revision) == [2, 2])
        #expect(moved.allSatisfy { $0.reason == .follow && $0.createdAt == later })
        #expect(
            try catalog.domain("both").datastores == [
                BoundDatastore(name: "b", version: 1, followsLatest: false),
                BoundDatastore(name: "a", version: 4, followsLatest: true),
            ])
        #expect(try catalog.domain("follows") == moved[1])
        #expect(moved[1].defaults == QueryDefaults(k: 3))
        for name in ["pinned", "other"] { #expect(try catalog.domain(name).revision == 1) }
        #expect(try catalog.domain("pinned").datastores.map(\.version) == [3])
        #expect(try catalog.domain("was").revision == 2)
        expectError(.unknownDomain) { try catalog.domain("deleted") }
        // What it was is in the history.
        #expect(try catalog.revision(toRestore: 1, of: "follows").datastores.map(\.version) == [3])
    }

    @Test func aDomainBoundTwiceToOneDatastoreMovesOnceAndOnlyWhereItFollows() throws {
        try catalog.bind("street", "a", "a@2")
        let moved = try catalog.publish(VersionRecord("a", 4), at: moment)
        #expect(moved.count == 1)
        #expect(moved.first?.datastores.map(\.version) == [4, 2])
        #expect(try catalog.domain("street").revision == 2)
    }

    @Test func revisionNumbersGoOnAfterADomainIsDeletedAndMadeAgain() throws {
        for _ in 0..<3 { try catalog.bind("street", "a") }
        try catalog.delete(domain: "street")
        expectError(.unknownDomain) { try catalog.domain("street") }
        expectError(.unknownDomain) { try catalog.delete(domain: "street") }
        expectError(.unknownDomain) { try catalog.revisions(of: "street", PageRequest()) }
        expectError(.unknownDomain) { try catalog.revision(toRestore: 1, of: "street") }
        #expect(try catalog.domains(PageRequest()).isEmpty)
        expectError(.revisionConflict) { try catalog.bind("street", "b", precondition: .revision(3)) }
        let again = try catalog.bind("street", "b", precondition: .absent)
        #expect(again.revision == 4)
        #expect(try catalog.revisions(of: "street", PageRequest()).map(\.revision) == [4, 3, 2, 1])
        #expect(try catalog.revision(toRestore: 2, of: "street").datastores.map(\.name) == ["a"])
    }

    @Test func rollbackLooksUpTheRevisionThatIsMeant() throws {
        expectError(.unknownDomain) { try catalog.revision(toRestore: nil, of: "street") }
        try catalog.bind("street", "a@1")
        let first = expectError(.unknownRevision) { try catalog.revision(toRestore: nil, of: "street") }
        #expect(first?.detail.contains("first revision") == true)
        try catalog.bind("street", "a@2")
        try catalog.bind("street", "a@3")
        #expect(try catalog.revision(toRestore: nil, of: "street").datastores.map(\.version) == [2])
        #expect(try catalog.revision(toRestore: 1, of: "street").datastores.map(\.version) == [1])
        #expect(try catalog.revision(toRestore: 3, of: "street").datastores.map(\.version) == [3])
        for absent in [-1, 0, 4] {
            let error = expectError(.unknownRevision) { try catalog.revision(toRestore: absent, of: "street") }
            #expect(error?.detail.contains("\(absent)") == true)
        }
        let restored = try catalog.setDomain(
            "street", datastores: [BoundDatastore(name: "a", version: 1, followsLatest: false)],
            defaults: QueryDefaults(), reason: .rollback, restored: 1, precondition: .revision(3), at: moment)
        #expect(restored.restoredRevision == 1)
        #expect(try catalog.domain("street") == restored)
        #expect(try catalog.domain("street").reason == .rollback)
    }

    @Test func listsPageWithoutGapsOrRepeats() throws {
        let names = (0..<12).map { "domain-\($0)" }
        for name in names.reversed() { try catalog.bind(name, "a") }
        var found: [String] = []
        var after: String?
        repeat {
            let page = try catalog.domains(PageRequest(limit: 5, after: after)).map(\.domain)
            found += page
            after = page.last
        } while after != nil
        #expect(found == names.sorted())
        for _ in 0..<9 { try catalog.bind("domain-0", "b") }
        var revisions: [Int] = []
        after = nil
        repeat {
            let page = try catalog.revisions(of: "domain-0", PageRequest(limit: 4, after: after)).map(\.revision)
            revisions += page
            after = page.last.map(String.init)
        } while after != nil
        #expect(revisions == (1...10).reversed())
    }

    @Test func historyOutlivesTheDatastoreItNames() throws {
        try catalog.bind("street", "b")
        try catalog.bind("street", "a")
        try catalog.delete(datastore: "b")
        #expect(try catalog.revisions(of: "street", PageRequest()).last?.datastores.map(\.name) == ["b"])
        let old = try catalog.revision(toRestore: 1, of: "street")
        expectError(.unknownVersion) {
            try catalog.setDomain(
                "street", datastores: old.datastores, defaults: old.defaults, reason: .rollback, restored: 1,
                precondition: .none, at: moment)
        }
        #expect(try catalog.domain("street").revision == 2)
    }
}

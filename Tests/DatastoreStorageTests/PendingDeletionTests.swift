import DatastoreCore
import Foundation
import TestSupport
import Testing

@testable import DatastoreStorage

/// Deletions among the pending changes, and readers that know a part of them.
struct PendingDeletionTests {
    private let folder: TemporaryDirectory
    private let pending: PendingChanges

    init() throws {
        folder = try TemporaryDirectory()
        pending = try PendingChanges(folder.file("pending.sqlite"))
    }

    private func change(_ text: String, id: Int64 = 0, externalID: String? = nil) -> PendingEntry {
        PendingEntry(
            entry: Entry(id: id, fields: EntryFields(externalID: externalID, text: text)), vector: [1, 2],
            isHalfPrecision: false)
    }

    private func put(_ changes: [PendingEntry], job: String) throws {
        try pending.begin(job: job)
        try pending.stage(changes, job: job)
        try pending.commit(job: job)
    }

    private func last() throws -> [PendingEntry] {
        var found: [PendingEntry] = []
        try pending.forEachEntry(through: .max) { found.append($0) }
        return found
    }

    @Test func aDeletionIsTheLastChangeOfItsEntryAndFreesTheExternalID() throws {
        try put([change("a", externalID: "x"), change("b", externalID: "y")], job: "one")
        try pending.delete([.deletion(of: 1, externalID: "x")], job: "two")
        #expect(try last().map(\.isDeletion) == [true, false])
        #expect(try pending.count() == 3)
        #expect(try pending.entries(externalIDs: ["x"])["x"]?.isDeletion == true)
        #expect(
            try pending.standings(ofIDs: [1, 2, 3])
                == [
                    1: .init(id: 1, externalID: "x", isDeleted: true),
                    2: .init(id: 2, externalID: "y", isDeleted: false),
                ])
        try put([change("again", externalID: "x")], job: "three")
        #expect(try last().map(\.entry.id) == [1, 2, 3])
        #expect(try pending.standings(ofExternalIDs: ["x"])["x"] == .init(id: 3, externalID: "x", isDeleted: false))
        #expect(try pending.layouts(through: .max).map(\.parts) == [[.dense(dim: 2, half: false)]])
    }

    @Test func whatWasDeletedWhileAnImportReadItBecomesANewEntry() throws {
        try put([change("a", externalID: "x"), change("b", externalID: "y")], job: "one")
        // The import replaces both; one of them is deleted before it counts.
        try pending.begin(job: "import")
        try pending.stage(
            [change("x2", id: 1, externalID: "x"), change("y2", id: 2, externalID: "y"), change("new")], job: "import")
        try pending.delete([.deletion(of: 1, externalID: "x")], job: "two")
        try pending.commit(job: "import")
        let entries = try last()
        #expect(entries.map(\.entry.id) == [1, 2, 3, 4])
        #expect(entries.map(\.isDeletion) == [true, false, false, false])
        #expect(entries.map(\.entry.fields.text) == ["", "y2", "new", "x2"])
        #expect(entries[3].vector == [1, 2])
        #expect(try pending.standings(ofExternalIDs: ["x"])["x"]?.id == 4)
    }

    @Test func whatWasPostedAndDeletedWhileAnImportReadItIsInItOnce() throws {
        try pending.begin(job: "import")
        try pending.stage([change("x1", externalID: "x")], job: "import")
        try put([change("posted", externalID: "x")], job: "post")
        try pending.delete([.deletion(of: 2, externalID: "x")], job: "delete")
        try pending.commit(job: "import")
        #expect(try last().filter { !$0.isDeletion }.map(\.entry.fields.text) == ["x1"])
        let standing = try #require(try pending.standings(ofExternalIDs: ["x"])["x"])
        #expect(!standing.isDeleted)
        #expect(try last().contains { $0.entry.id == standing.id && !$0.isDeletion })
        try put([change("replaced", id: standing.id, externalID: "x")], job: "replace")
        #expect(try last().filter { !$0.isDeletion }.map(\.entry.fields.text) == ["replaced"])
    }

    @Test func aReaderGetsWhatCameLaterAndAllOnceThereIsLess() throws {
        try put([change("a"), change("b")], job: "one")
        let first = try pending.news(after: 0, rewrites: nil, known: 0, limit: 100)
        #expect(first.isWhole)
        #expect(first.changes.map(\.entry.fields.text) == ["a", "b"])
        try put([change("c")], job: "two")
        try pending.delete([.deletion(of: 1, externalID: nil)], job: "three")
        let next = try pending.news(after: 2, rewrites: first.rewrites, known: 2, limit: 100)
        #expect(!next.isWhole)
        #expect(next.changes.map(\.isDeletion) == [false, true])
        #expect(next.forgottenThrough == 0)
        try pending.consume(through: 2)
        let rest = try pending.news(after: 4, rewrites: next.rewrites, known: 4, limit: 100)
        #expect(rest.isWhole)
        #expect(rest.changes.map(\.sequence) == [3, 4])
        #expect(rest.forgottenThrough == 2)
        #expect(throws: DatastoreError.self) {
            try pending.news(after: 0, rewrites: nil, known: 0, limit: 1)
        }
        #expect(throws: DatastoreError.self) {
            try pending.news(after: 4, rewrites: rest.rewrites, known: 2, limit: 1)
        }
    }

    /// An import has the numbers of its changes from when it read them: they may come between those of others.
    @Test func aReaderGetsAllWhenAnImportCommitsBetweenWhatItKnows() throws {
        try pending.begin(job: "import")
        try pending.stage([change("a")], job: "import")
        try put([change("b")], job: "post")
        let known = try pending.news(after: 0, rewrites: nil, known: 0, limit: 10)
        #expect(known.changes.map(\.entry.fields.text) == ["b"])
        try pending.commit(job: "import")
        let news = try pending.news(after: 2, rewrites: known.rewrites, known: 1, limit: 10)
        #expect(news.isWhole)
        #expect(news.changes.map(\.entry.fields.text) == ["a", "b"])
    }

    @Test func deletionsAreThereAfterAReopening() throws {
        try put([change("a", externalID: "x")], job: "one")
        try pending.delete([.deletion(of: 1, externalID: "x")], job: "two")
        try pending.close()
        let again = try PendingChanges(folder.file("pending.sqlite"))
        #expect(try again.standings(ofIDs: [1])[1]?.isDeleted == true)
        #expect(try again.entry(1)?.isDeletion == true)
        try again.consume(through: .max)
        #expect(try again.count() == 0)
        #expect(try again.entry(1) == nil)
        try again.close()
    }
}

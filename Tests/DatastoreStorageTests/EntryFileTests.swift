import DatastoreCore
import DatastoreStorage
import Foundation
import GRDB
import TestSupport
import Testing

/// The texts of a version: what is written is read, and drift from the vectors is found.
struct EntryFileTests {
    private let folder: TemporaryDirectory
    private var url: URL { folder.file("entries.sqlite") }

    init() throws {
        folder = try TemporaryDirectory()
    }

    private func write(_ entries: [Entry]) throws {
        let writer = try EntryWriter(url)
        let half = entries.count / 2
        try writer.append(Array(entries[..<half]))
        try writer.append(Array(entries[half...]))
        try writer.finish()
    }

    private static let mixed: [Entry] = [
        Entry(id: 1, fields: EntryFields(text: "bare")),
        Entry(
            id: 2,
            fields: EntryFields(
                externalID: "ü/🐎", text: "  zwei\nZeilen \u{301} \u{1F1E9}\u{1F1EA} ", imageID: "42", origin: .human,
                lang: "de", source: "a'b\"c", payload: .object(["x": .array([.null, .number(1e-300), .integer(.min)])]))
        ),
        Entry(
            id: 5,
            fields: EntryFields(externalID: "", text: "", imageID: "", lang: "", source: "", payload: .object([:]))),
        Entry(id: 9, fields: EntryFields(externalID: "U/🐎", text: "x", imageID: "42", origin: .web)),
        Entry(id: .max, fields: EntryFields(text: String(repeating: "long ", count: 50_000), origin: .synthetic)),
    ]

    @Test func whatIsWrittenIsReadInTheOrderAsked() throws {
        try write(Self.mixed)
        let reader = try EntryReader(url)
        #expect(try reader.entries([1, 2, 5, 9, .max]) == Self.mixed)
        #expect(try reader.entries([9, 1, .max, 9]) == [Self.mixed[3], Self.mixed[0], Self.mixed[4], Self.mixed[3]])
        #expect(try reader.entries([]).isEmpty)
    }

    @Test func entriesAreFoundByImageAndByExternalID() throws {
        try write(Self.mixed)
        let reader = try EntryReader(url)
        #expect(try reader.ids(ofImages: ["42"]) == [2, 9])
        #expect(try reader.ids(ofImages: ["42", "42", "none", ""]) == [2, 5, 9])
        #expect(try reader.ids(ofImages: []) == [])
        #expect(try reader.ids(ofImages: ["' OR 1=1 --"]) == [])
        let found = try reader.entries(externalIDs: ["ü/🐎", "none", ""])
        #expect(found == ["ü/🐎": Self.mixed[1], "": Self.mixed[2]])
        #expect(try reader.entries(externalIDs: []).isEmpty)
    }

    @Test func anEntryThatIsNotThereIsDamage() throws {
        try write(Self.mixed)
        let reader = try EntryReader(url)
        let error = expectError(.versionDamaged) { try reader.entries([1, 3]) }
        #expect(error?.detail.contains("no entry 3") == true)
        #expect(error?.detail.contains("entries.sqlite") == true)
        // It goes on reading.
        #expect(try reader.entries([5]) == [Self.mixed[2]])
    }

    @Test func anExternalIdAndAnIdAreUsedOnce() throws {
        let writer = try EntryWriter(url)
        try writer.append([Entry(id: 1, fields: EntryFields(externalID: "x", text: "a"))])
        #expect(throws: (any Error).self) { try writer.append([Entry(id: 1, fields: EntryFields(text: "b"))]) }
        // Seen as the index is made.
        try writer.append([Entry(id: 2, fields: EntryFields(externalID: "x", text: "b"))])
        #expect(throws: (any Error).self) { try writer.finish() }
    }

    @Test(arguments: [
        ([1, 2, 4], "equal", true), ([], "none", false), ([1, 2], "the last is missing", false),
        ([1, 4], "one in the middle is missing", false), ([2, 4], "the first is missing", false),
        ([1, 2, 4, 5], "one more at the end", false), ([0, 1, 2, 4], "one more at the start", false),
        ([1, 2, 3, 4], "one more in the middle", false), ([1, 2, 5], "the last is another", false),
        ([1, 3, 4], "one in the middle is another", false), ([4, 2, 1], "another order", false),
    ])
    func idsThatDriftFromTheVectorsAreFound(ids: [Int64], what: String, isEqual: Bool) throws {
        try write([1, 2, 4].map { Entry(id: $0, fields: EntryFields(text: "\($0)")) })
        let reader = try EntryReader(url)
        ids.withUnsafeBufferPointer { ids in
            if isEqual {
                #expect(throws: Never.self) { try reader.check(ids: ids) }
            } else {
                let error = expectError(.versionDamaged, "\(what)") { try reader.check(ids: ids) }
                #expect(error?.detail.contains("entries.sqlite") == true)
            }
        }
    }

    @Test func noEntriesAndNoVectorsAgree() throws {
        try write([])
        let reader = try EntryReader(url)
        let none: [Int64] = []
        try none.withUnsafeBufferPointer { try reader.check(ids: $0) }
        _ = [Int64(1)].withUnsafeBufferPointer { ids in
            expectError(.versionDamaged) { try reader.check(ids: ids) }
        }
    }

    @Test(arguments: ["empty", "garbage", "another database", "cut in half"])
    func whatIsNoFileOfEntriesIsRefused(what: String) throws {
        try write((1...500).map { Entry(id: Int64($0), fields: EntryFields(text: "caption \($0)")) })
        let whole = try Data(contentsOf: url)
        try FileManager.default.removeItem(at: url)
        switch what {
        case "empty": try Data().write(to: url)
        case "garbage": try Data(repeating: 0x55, count: 8192).write(to: url)
        case "another database":
            let queue = try DatabaseQueue(path: url.path)
            try queue.write { try $0.execute(sql: "CREATE TABLE other (id INTEGER)") }
            try queue.close()
        case "cut in half": try whole.prefix(whole.count / 2).write(to: url)
        default: break
        }
        let ids = (1...500).map { Int64($0) }
        let error = #expect(throws: DatastoreError.self) {
            let reader = try EntryReader(url)
            try ids.withUnsafeBufferPointer { try reader.check(ids: $0) }
            _ = try reader.entries(ids)
        }
        #expect(error?.detail.hasPrefix("entries.sqlite") == true)
        // What SQLite does not call corrupt may pass: it is not taken for damage.
        if what == "garbage" || what == "cut in half" { #expect(error?.code == .versionDamaged) }
    }

    @Test func manyTasksReadAtOnce() async throws {
        let entries = (1...400).map { number in
            Entry(
                id: Int64(number),
                fields: EntryFields(externalID: "e\(number)", text: "caption \(number)", imageID: "\(number / 4)"))
        }
        try write(entries)
        let reader = try EntryReader(url)
        try await withThrowingTaskGroup(of: Void.self) { group in
            for task in 0..<24 {
                group.addTask {
                    for turn in 0..<40 {
                        let start = (task * 13 + turn * 7) % 390
                        let wanted = Array(entries[start..<start + 10])
                        let found = try reader.entries(wanted.map(\.id))
                        #expect(found == wanted)
                        let ofImage = try reader.ids(ofImages: ["50"])
                        #expect(ofImage == [200, 201, 202, 203])
                        let byExternalID = try reader.entries(externalIDs: ["e\(start + 1)"])
                        #expect(byExternalID.values.map(\.id) == [Int64(start + 1)])
                    }
                }
            }
            try await group.waitForAll()
        }
    }

    @Test func aReaderLeavesNothingBesideTheFile() throws {
        try write(Self.mixed)
        let before = try Data(contentsOf: url)
        try FileManager.default.setAttributes([.posixPermissions: 0o444], ofItemAtPath: url.path)
        let reader = try EntryReader(url)
        _ = try reader.entries([1])
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder.url.path) == ["entries.sqlite"])
        #expect(try Data(contentsOf: url) == before)
    }
}

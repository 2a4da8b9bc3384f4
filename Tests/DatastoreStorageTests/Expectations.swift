import DatastoreCore
import DatastoreStorage
import Foundation
import GRDB
import Migrations
import Testing

/// Expects that `body` throws a `DatastoreError` with `code`, and returns it.
@discardableResult
func expectError<Value>(
    _ code: ErrorCode, _ comment: Comment? = nil, sourceLocation: SourceLocation = #_sourceLocation,
    _ body: () throws -> Value
) -> DatastoreError? {
    do {
        let value = try body()
        Issue.record("expected \(code.rawValue), got \(value)", sourceLocation: sourceLocation)
    } catch let error as DatastoreError {
        #expect(error.code == code, comment ?? "\(error.detail)", sourceLocation: sourceLocation)
        return error
    } catch {
        Issue.record("expected \(code.rawValue), got \(error)", sourceLocation: sourceLocation)
    }
    return nil
}

/// Makes a database as the first release did.
func firstRelease(_ migrations: [Migration], at url: URL, _ fill: (Database) throws -> Void) throws {
    let queue = try DatabaseQueue(path: url.path)
    var migrator = DatabaseMigrator()
    let initial = try #require(migrations.first)
    migrator.registerMigration(initial.name) { try $0.execute(sql: initial.sql) }
    try migrator.migrate(queue)
    try queue.write(fill)
    try queue.close()
}

/// A moment with no part of a millisecond, so that it comes back as it was.
let moment = Date(timeIntervalSince1970: 1_750_000_000.125)

extension DatastoreRecord {
    init(_ name: String, dim: Int = 4) {
        self.init(
            name: name, kind: .captions, keys: [KeySpec(name: "text", dim: dim, metric: .cosine)], description: nil,
            licence: nil, createdAt: moment)
    }
}

extension VersionRecord {
    init(_ datastore: String, _ number: Int, jobID: String? = nil) {
        self.init(
            id: VersionID(datastore: datastore, number: number), entries: number * 10, bytes: 1000,
            manifestSHA256: "sha-\(number)", pendingThrough: 0, jobID: jobID, createdAt: moment)
    }
}

extension Catalog {
    /// A datastore with versions 1 to `versions`.
    func create(_ name: String, versions: Int) throws {
        try create(DatastoreRecord(name))
        for number in 0..<versions { _ = try publish(VersionRecord(name, number + 1), at: moment) }
    }

    /// Binds a domain: `name` follows the latest, `name@version` is pinned.
    @discardableResult
    func bind(
        _ domain: String, _ datastores: String..., defaults: QueryDefaults = QueryDefaults(),
        precondition: DomainPrecondition = .none
    ) throws -> DomainInfo {
        try setDomain(
            domain, datastores: resolve(datastores.map { try DatastoreBinding(argument: $0) }), defaults: defaults,
            reason: .set, precondition: precondition, at: moment)
    }
}

import CaptionerClient
import DatastoreCore
import Foundation
import TestSupport
import Testing

/// Seeded random operations on the built daemon, and on a model of a few dictionaries: every answer agrees, also after kills.
///
/// `CAPSTAN_MODEL_OPERATIONS=20000 Tools/test --filter ModelTests` is the long run; `CAPSTAN_MODEL_SEED` is another one.
struct ModelTests {
    private static let environment = ProcessInfo.processInfo.environment
    private static let operations = environment["CAPSTAN_MODEL_OPERATIONS"].flatMap { Int($0) } ?? 800
    private static let seed = environment["CAPSTAN_MODEL_SEED"].flatMap { UInt64($0) } ?? 20_261_122

    @Test func seededOperationsAgreeWithASimpleModel() async throws {
        let folder = try TemporaryDirectory()
        var run = try await ModelRun(folder.file("data"), seed: Self.seed)
        for number in 1...Self.operations {
            let what = try await run.step()
            if run.disagreements.count > 5 { break }
            if number % 1000 == 0 {
                FileHandle.standardError.write(Data("model: \(number) operations, the last \(what)\n".utf8))
            }
        }
        #expect(run.disagreements == [], "seed \(Self.seed)")
        #expect(run.counts["query", default: 0] > Self.operations / 5)
        FileHandle.standardError.write(Data("model: \(run.counts.sorted { $0.key < $1.key })\n".utf8))
    }
}

/// What the daemon should know, and nothing more.
private struct Model {
    struct Memory: Equatable {
        var id: Int64
        var externalID: String
        var text: String
        var imageID: String
        var vector: [Float]
    }

    struct Store {
        var versions: [Int: [Int64: Memory]] = [:]
        var latest = 0
        /// The newest version and what is pending.
        var now: [Int64: Memory] = [:]
        /// Entries that were added or replaced since the newest version.
        var fresh: Set<Int64> = []
        var hasPending = false
        var largestID: Int64 = 0

        mutating func put(_ memory: Memory) {
            now[memory.id] = memory
            fresh.insert(memory.id)
            hasPending = true
            largestID = max(largestID, memory.id)
        }

        mutating func remove(_ id: Int64) {
            now[id] = nil
            fresh.remove(id)
            hasPending = true
        }

        mutating func publish() {
            latest += 1
            versions[latest] = now
            fresh = []
            hasPending = false
        }
    }

    struct Binding: Equatable {
        var store: String
        var version: Int
        var follows: Bool
    }

    struct Revision {
        var bindings: [Binding]
        var includesPending: Bool
    }

    var stores: [String: Store] = [:]
    /// Revisions from 1 on.
    var domains: [String: [Revision]] = [:]

    struct Hit: Equatable {
        var store: String
        var version: Int
        var id: Int64
        var text: String
        var isPending: Bool
        var score: Float
    }

    func answer(_ query: [Float], of domain: String, k: Int, excluding images: Set<String>, pending: Bool?) -> [Hit] {
        guard let revision = domains[domain]?.last else { return [] }
        let counts = pending ?? revision.includesPending
        var hits: [(hit: Hit, binding: Int)] = []
        for (number, binding) in revision.bindings.enumerated() {
            guard let store = stores[binding.store] else { continue }
            let isNow = counts && binding.version == store.latest
            for memory in (isNow ? store.now : store.versions[binding.version] ?? [:]).values
            where !images.contains(memory.imageID) {
                let hit = Hit(
                    store: binding.store, version: binding.version, id: memory.id, text: memory.text,
                    isPending: isNow && store.fresh.contains(memory.id), score: Self.cosine(query, memory.vector))
                hits.append((hit, number))
            }
        }
        hits.sort { one, other in
            if one.hit.score != other.hit.score { return one.hit.score > other.hit.score }
            return (one.hit.id, one.binding) < (other.hit.id, other.binding)
        }
        return hits.prefix(k).map(\.hit)
    }

    private static func cosine(_ one: [Float], _ other: [Float]) -> Float {
        var (dot, squares, norm) = (0.0, 0.0, 0.0)
        for (left, right) in zip(one, other) {
            dot += Double(left) * Double(right)
            norm += Double(left) * Double(left)
            squares += Double(right) * Double(right)
        }
        return Float(dot / (norm.squareRoot() * squares.squareRoot()))
    }
}

private struct ModelRun {
    private static let dim = 8
    private static let stores = ["coco", "web"]
    private static let domains = ["street", "sea", "shop"]

    private let data: URL
    private var daemon: Daemon
    private var random: SeededGenerator
    private var model = Model()
    private var nextName = 0
    private(set) var disagreements: [String] = []
    private(set) var counts: [String: Int] = [:]
    private var number = 0

    init(_ data: URL, seed: UInt64) async throws {
        self.data = data
        random = SeededGenerator(seed: seed)
        daemon = try await Daemon(dataDirectory: data, arguments: ["--threads", "2"])
        for store in Self.stores {
            _ = try await daemon.client.createDatastore(
                CreateDatastoreRequest(
                    name: store, kind: .captions, keys: [KeySpec(name: "text", dim: Self.dim, metric: .cosine)]))
            model.stores[store] = Model.Store()
            for _ in 0..<10 { try await add(store) }
            try await reindex(store)
        }
        for domain in Self.domains { try await switchDomain(domain) }
    }

    /// Does the next operation.
    mutating func step() async throws -> String {
        number += 1
        let store = Self.stores.randomElement(using: &random) ?? ""
        let domain = Self.domains.randomElement(using: &random) ?? ""
        let what: String
        switch Int.random(in: 0..<1000, using: &random) {
        case 0..<220:
            what = "add"
            try await add(store)
        case 220..<320:
            what = "replace"
            try await replace(store)
        case 320..<350:
            what = "repeat"
            try await sendAgain(store)
        case 350..<470:
            what = "delete"
            try await delete(store)
        case 470..<520:
            what = "reindex"
            try await reindex(store)
        case 520..<590:
            what = "switch"
            try await switchDomain(domain)
        case 590..<620:
            what = "rollback"
            try await rollBack(domain)
        case 620..<625:
            what = "kill"
            try await daemon.kill()
            try await start()
        case 625..<629:
            what = "kill while adding"
            try await killWhileAdding(store)
        case 629..<633:
            what = "kill while building"
            try await killWhileBuilding(store)
        case 633..<637:
            what = "restart"
            check(try await daemon.stop() == 0, "a clean stop")
            try await start()
        default:
            what = "query"
            try await query(domain)
        }
        counts[what, default: 0] += 1
        return what
    }

    private mutating func check(_ holds: Bool, _ what: @autoclosure () -> String) {
        if !holds { disagreements.append("operation \(number): \(what())") }
    }

    private mutating func start() async throws {
        daemon = try await Daemon(dataDirectory: data, arguments: ["--threads", "2"])
    }

    // MARK: Entries

    private mutating func vector(_ store: String) -> [Float] {
        // Equal vectors make ties.
        if Int.random(in: 0..<8, using: &random) == 0, let other = any(store) { return other.vector }
        return (0..<Self.dim).map { _ in Float.random(in: -1...1, using: &random) }
    }

    private mutating func any(_ store: String) -> Model.Memory? {
        let now = model.stores[store]?.now ?? [:]
        return now.keys.sorted().randomElement(using: &random).flatMap { now[$0] }
    }

    private mutating func fresh(_ store: String) -> Model.Memory {
        nextName += 1
        return Model.Memory(
            id: 0, externalID: "e\(nextName)", text: "caption \(nextName)",
            imageID: "i\(Int.random(in: 0..<40, using: &random))", vector: vector(store))
    }

    private static func line(_ memory: Model.Memory) throws -> Data {
        let row: JSONValue = .object([
            "id": .string(memory.externalID), "text": .string(memory.text), "image_id": .string(memory.imageID),
            "vector_base64": .string(QueryVectors.base64(memory.vector)),
        ])
        return try WireJSON.encode(row) + Data("\n".utf8)
    }

    private mutating func add(_ store: String) async throws {
        let wanted = (0..<Int.random(in: 1...4, using: &random)).map { _ in fresh(store) }
        let answer = try await daemon.client.addEntries(ndjson: try wanted.map(Self.line).reduce(Data(), +), to: store)
        check(answer.counts.accepted == wanted.count, "added \(wanted.count), got \(answer.counts)")
        keep(wanted, answer.entries, in: store)
    }

    private mutating func keep(_ wanted: [Model.Memory], _ entries: [EntryChange], in store: String) {
        for (var memory, entry) in zip(wanted, entries) {
            let id = entry.id ?? 0
            check(id > model.stores[store]?.largestID ?? 0, "id \(id) was given before")
            memory.id = id
            model.stores[store]?.put(memory)
        }
    }

    private mutating func replace(_ store: String) async throws {
        guard var memory = any(store) else { return }
        nextName += 1
        memory.text = "other caption \(nextName)"
        memory.vector = vector(store)
        let answer = try await daemon.client.addEntries(ndjson: Self.line(memory), to: store)
        check(answer.counts.replaced == 1 && answer.entries.first?.id == memory.id, "replaced, got \(answer)")
        model.stores[store]?.put(memory)
    }

    private mutating func sendAgain(_ store: String) async throws {
        guard let memory = any(store) else { return }
        let answer = try await daemon.client.addEntries(ndjson: Self.line(memory), to: store)
        check(answer.counts.duplicate == 1 && answer.entries.first?.id == memory.id, "duplicate, got \(answer)")
    }

    private mutating func delete(_ store: String) async throws {
        guard let memory = any(store), model.stores[store]?.now.count ?? 0 > 5 else { return }
        let byName = Bool.random(using: &random)
        let name = byName ? EntryName.externalID(memory.externalID) : .id(memory.id)
        let answer = try await daemon.client.deleteEntries([name, .externalID("never")], of: store)
        check(answer.counts.deleted == 1 && answer.counts.unknown == 1, "deleted \(memory.externalID), got \(answer)")
        model.stores[store]?.remove(memory.id)
        let again = try await daemon.client.deleteEntries([name], of: store)
        check(again.counts.unknown == 1, "deleted \(memory.externalID) again, got \(again)")
        // What was deleted may come again, as another entry.
        if Int.random(in: 0..<4, using: &random) == 0 {
            let answer = try await daemon.client.addEntries(ndjson: Self.line(memory), to: store)
            check(answer.counts.accepted == 1, "came again, got \(answer)")
            keep([memory], answer.entries, in: store)
        }
    }

    // MARK: Versions and domains

    private mutating func reindex(_ store: String) async throws {
        guard model.stores[store]?.hasPending == true else { return }
        guard let job = try await daemon.client.buildVersion(of: store).job else {
            return check(false, "nothing was built")
        }
        publish(store, try await daemon.client.waitForJob(job.id))
    }

    private mutating func publish(_ store: String, _ job: JobInfo) {
        check(job.state == .succeeded, "a build failed: \(String(describing: job.error))")
        model.stores[store]?.publish()
        let latest = model.stores[store]?.latest ?? 0
        check(job.version == latest, "built version \(job.version ?? 0), expected \(latest)")
        for (domain, revisions) in model.domains {
            guard var next = revisions.last else { continue }
            let old = next.bindings
            for index in next.bindings.indices where next.bindings[index].store == store && next.bindings[index].follows
            {
                next.bindings[index].version = latest
            }
            if next.bindings != old { model.domains[domain]?.append(next) }
        }
    }

    private mutating func switchDomain(_ domain: String) async throws {
        var names = Self.stores.shuffled(using: &random)
        if Bool.random(using: &random) { names.removeLast() }
        var bindings: [Model.Binding] = []
        for name in names {
            let latest = model.stores[name]?.latest ?? 1
            let follows = Bool.random(using: &random)
            let pinned = max(1, latest - Int.random(in: 0..<6, using: &random))
            bindings.append(Model.Binding(store: name, version: follows ? latest : pinned, follows: follows))
        }
        let includesPending = Bool.random(using: &random)
        let info = try await daemon.client.setDomain(
            domain,
            to: SetDomainRequest(
                datastores: bindings.map { DatastoreBinding(name: $0.store, version: $0.follows ? nil : $0.version) },
                defaults: QueryDefaults(includePending: includesPending)))
        model.domains[domain, default: []].append(Model.Revision(bindings: bindings, includesPending: includesPending))
        check(info.revision == model.domains[domain]?.count, "switched to revision \(info.revision)")
    }

    private mutating func rollBack(_ domain: String) async throws {
        guard let revisions = model.domains[domain], revisions.count > 1 else { return }
        let to = Int.random(in: max(1, revisions.count - 8)..<revisions.count, using: &random)
        let info = try await daemon.client.rollback(domain, to: to)
        var next = revisions[to - 1]
        for index in next.bindings.indices { next.bindings[index].follows = false }
        model.domains[domain]?.append(next)
        check(info.revision == model.domains[domain]?.count, "rolled back to revision \(info.revision)")
        check(
            info.datastores.map { "\($0.name)@\($0.version)" } == next.bindings.map { "\($0.store)@\($0.version)" },
            "rolled back to \(info.datastores)")
    }

    // MARK: Kills

    /// Rows whose answer never came are there all, or none of them.
    private mutating func killWhileAdding(_ store: String) async throws {
        let wanted = (0..<4).map { _ in fresh(store) }
        let rows = try wanted.map(Self.line).reduce(Data(), +)
        let client = daemon.client
        let adding = Task { try? await client.addEntries(ndjson: rows, to: store) }
        try await Task.sleep(for: .microseconds(Int.random(in: 0..<6000, using: &random)))
        try await daemon.kill()
        let answer = await adding.value
        try await start()
        let again = try await daemon.client.addEntries(ndjson: rows, to: store)
        let known = again.counts.duplicate
        check(known == 0 || known == wanted.count, "of \(wanted.count) rows that were cut off \(known) are there")
        check(answer == nil || known == wanted.count, "rows that were acknowledged are gone")
        keep(wanted, again.entries, in: store)
    }

    /// A build goes on after the kill, or is over.
    private mutating func killWhileBuilding(_ store: String) async throws {
        guard model.stores[store]?.hasPending == true else { return }
        guard let job = try await daemon.client.buildVersion(of: store).job else {
            return check(false, "nothing was built")
        }
        try await Task.sleep(for: .microseconds(Int.random(in: 0..<60_000, using: &random)))
        try await daemon.kill()
        try await start()
        publish(store, try await daemon.client.waitForJob(job.id))
    }

    // MARK: Questions

    private mutating func query(_ domain: String) async throws {
        let store = Self.stores.randomElement(using: &random) ?? ""
        let asked = vector(store)
        let k = Int.random(in: 1...8, using: &random)
        let pending = [nil, true, false][Int.random(in: 0..<3, using: &random)]
        let images = Set(
            (0..<Int.random(in: 0..<3, using: &random)).map { _ in "i\(Int.random(in: 0..<40, using: &random))" })
        let answer = try await daemon.client.query(
            asked, of: domain,
            options: QueryOptions(k: k, excludeImageIDs: images.sorted(), includePending: pending))
        let expected = model.answer(asked, of: domain, k: k, excluding: images, pending: pending)
        let got = answer.results.map { result in
            Model.Hit(
                store: result.datastore, version: result.version, id: result.id, text: result.text,
                isPending: result.pending == true, score: result.score)
        }
        check(answer.revision == model.domains[domain]?.count, "answered from revision \(answer.revision)")
        let isSame = zip(got, expected).allSatisfy { one, other in
            var one = one
            guard abs(one.score - other.score) <= 1e-6 else { return false }
            one.score = other.score
            return one == other
        }
        check(
            isSame && got.count == expected.count,
            "\(domain) k \(k) pending \(String(describing: pending)): got \(got), expected \(expected)")
    }
}

package import DatastoreCore
package import DatastoreStorage
import Foundation
import Logging
import Synchronization

extension CapstanEngine {
    /// Binds a domain, or switches it: one transaction, then one swap.
    ///
    /// Versions are opened before, so that no query waits for a file.
    ///
    /// - Throws: `invalid_name`, `unknown_datastore`, `unknown_version`, `no_version`, `incompatible_datastores`,
    ///   `version_damaged`, `revision_conflict`.
    package func setDomain(
        _ name: String, _ request: SetDomainRequest, precondition: DomainPrecondition
    ) async throws -> DomainInfo {
        try ResourceName.validate(name, field: "domain")
        guard !request.datastores.isEmpty else {
            throw DatastoreError.field(.missingField, "datastores", "got none, expected at least one")
        }
        let names = try request.datastores.map { try ResourceName.validate($0.name, field: "datastores.name") }
        guard Set(names).count == names.count else {
            throw DatastoreError.field(.invalidValue, "datastores", "got one twice, expected each once")
        }
        for binding in request.datastores { try binding.validate() }
        try request.defaults.filter?.validate(field: "defaults.filter")
        if let template = request.defaults.template {
            try PromptTemplate(template).validate(field: "defaults.template")
        }
        if let k = request.defaults.k, !(1...configuration.maximumK).contains(k) {
            throw DatastoreError.field(.kOutOfRange, "defaults.k", "got \(k), expected 1 to \(configuration.maximumK)")
        }
        return try await control { [self] in
            try apply(
                name, datastores: catalog.resolve(request.datastores), defaults: request.defaults, reason: .set,
                precondition: precondition)
        }
    }

    /// Makes a revision that is bound as an earlier one was, pinned: a domain that went on following the latest would
    /// leave at once what it was rolled back to.
    ///
    /// - Throws: `unknown_domain`, `unknown_revision`, `unknown_version`, `version_damaged`, `revision_conflict`.
    package func rollback(
        _ name: String, to revision: Int?, precondition: DomainPrecondition
    ) async throws -> DomainInfo {
        try await control { [self] in
            let old = try catalog.revision(toRestore: revision, of: name)
            let pinned = old.datastores.map { binding in
                var binding = binding
                binding.followsLatest = false
                return binding
            }
            return try apply(
                name, datastores: pinned, defaults: old.defaults, reason: .rollback, restored: old.revision,
                precondition: precondition)
        }
    }

    /// - Throws: `unknown_domain`.
    package func deleteDomain(_ name: String) async throws {
        try await control { [self] in
            try changes.withLock { _ in
                try catalog.delete(domain: name)
                swap { $0.domains[name] = nil }
            }
        }
    }

    /// - Throws: `unknown_domain`.
    package func domain(_ name: String) async throws -> DomainInfo {
        try await control { [self] in settled(try catalog.domain(name)) }
    }

    package func domains(_ page: PageRequest) async throws -> [DomainInfo] {
        try await control { [self] in settled(try catalog.domains(page)) }
    }

    /// Newest first.
    ///
    /// - Throws: `unknown_domain`.
    package func revisions(of name: String, _ page: PageRequest) async throws -> [DomainInfo] {
        try await control { [self] in settled(try catalog.revisions(of: name, page)) }
    }

    private func apply(
        _ name: String, datastores: [BoundDatastore], defaults: QueryDefaults, reason: RevisionReason,
        restored: Int? = nil, precondition: DomainPrecondition
    ) throws -> DomainInfo {
        let versions = try datastores.map { try open(VersionID(datastore: $0.name, number: $0.version)) }
        try Self.checkComparable(versions)
        let info = try changes.withLock { _ in
            // A version that was published since `latest` was resolved moves the domain here, not one job later.
            let current = try catalog.newest(datastores)
            let versions =
                try current == datastores
                ? versions
                : current.map {
                    try open(VersionID(datastore: $0.name, number: $0.version))
                }
            let info = try catalog.setDomain(
                name, datastores: current, defaults: defaults, reason: reason, restored: restored,
                precondition: precondition, at: Date())
            swap { $0.domains[name] = DomainSnapshot(info: info, versions: versions.map { .success($0) }) }
            return info
        }
        logger.info(
            "domain set",
            metadata: [
                "domain": "\(name)", "revision": "\(info.revision)", "reason": "\(reason.rawValue)",
                "datastores": "\(info.datastores.map { "\($0.name)@\($0.version)" }.joined(separator: " "))",
            ])
        return info
    }

    /// Scores of several datastores are merged, so their vectors must be of one space: those of the first dense key of
    /// each, and those of every other key by its name.
    private static func checkComparable(_ versions: [OpenVersion]) throws {
        guard let first = versions.first else { return }
        for other in versions.dropFirst() {
            let specs = (first.keys.map(\.spec), other.keys.map(\.spec))
            let main = (specs.0.first { $0.kind == .dense }, specs.1.first { $0.kind == .dense })
            var pairs: [(KeySpec, KeySpec)] = []
            if let one = main.0, let two = main.1 { pairs.append((one, two)) }
            for spec in specs.0 {
                if let same = specs.1.first(where: { $0.name == spec.name }) { pairs.append((spec, same)) }
            }
            guard !pairs.isEmpty else {
                throw DatastoreError.field(
                    .incompatibleDatastores, "datastores",
                    "\(first.id.datastore) and \(other.id.datastore) have no key in common")
            }
            for (one, two) in pairs { try checkComparable(one, of: first, two, of: other) }
        }
    }

    private static func checkComparable(
        _ a: KeySpec, of first: OpenVersion, _ b: KeySpec, of other: OpenVersion
    ) throws {
        func refuse(_ what: String, _ left: String, _ right: String) -> DatastoreError {
            DatastoreError.field(
                .incompatibleDatastores, "datastores",
                "\(first.id.datastore) has \(what) \(left), \(other.id.datastore) has \(right); "
                    + "a domain's datastores must share one vector space")
        }
        if a.kind != b.kind { throw refuse("key \(a.name),", a.kind.rawValue, b.kind.rawValue) }
        guard a.kind == .dense else { return }
        if a.dim != b.dim { throw refuse("dim", "\(a.dim)", "\(b.dim)") }
        if a.metric != b.metric { throw refuse("metric", a.metric.rawValue, b.metric.rawValue) }
        if let left = a.encoder, let right = b.encoder, left.model != right.model || left.revision != right.revision {
            throw refuse("encoder", "\(left.model)@\(left.revision ?? "-")", "\(right.model)@\(right.revision ?? "-")")
        }
    }
}

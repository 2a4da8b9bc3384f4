package import DatastoreCore

/// Everything that answers need, at one moment. A query takes it once and keeps it to the end.
package struct Snapshot: Sendable {
    package var domains: [String: DomainSnapshot] = [:]

    /// - Throws: `unknown_domain`.
    package func domain(_ name: String) throws -> DomainSnapshot {
        guard let domain = domains[name] else {
            throw DatastoreError(.unknownDomain, "no domain \"\(name)\"; `capstan domain list` shows what there is")
        }
        return domain
    }
}

/// One revision of a domain, opened.
package struct DomainSnapshot: Sendable {
    package let info: DomainInfo
    /// In the order of the bindings. A version that could not be opened carries its error: no part of a domain is
    /// left out in silence.
    package let versions: [Result<OpenVersion, DatastoreError>]

    package init(info: DomainInfo, versions: [Result<OpenVersion, DatastoreError>]) {
        self.info = info
        self.versions = versions
    }

    /// The versions to search.
    ///
    /// - Throws: the error of the first that could not be opened.
    func openVersions() throws -> [OpenVersion] {
        try versions.map { try $0.get() }
    }
}

package import DatastoreCore
package import Foundation

/// The numbers of the daemon at one moment, for those who watch it.
package struct Measurements: Sendable {
    package let startedAt: Date
    package let isReady: Bool
    package let datastores: [DatastoreState]
    /// Pending changes of a datastore that questions may count.
    package let pendingLimit: Int
    package let domains: [DomainInfo]
    /// Questions waiting or being searched now.
    package let searchesInFlight: Int
    package let jobsRunning: Int
    package let damagedVersions: Int
}

/// One datastore at one moment.
package struct DatastoreState: Sendable {
    package let name: String
    /// Nil while there is none.
    package let latestVersion: Int?
    /// Of that version.
    package let entries: Int
    /// Changes that are in no version yet.
    package let pending: Int
}

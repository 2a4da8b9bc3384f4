/// Which hosts are this machine alone.
package enum LoopbackHost {
    /// Whether `host` is `localhost`, `::1` or an address of 127.0.0.0/8.
    package static func contains(_ host: String) -> Bool {
        if host == "localhost" || host == "::1" { return true }
        let parts = host.split(separator: ".", omittingEmptySubsequences: false)
        return parts.count == 4 && parts.first == "127" && parts.allSatisfy { UInt8($0) != nil }
    }
}

/// How far a search looks, where its version has an index. Where it has none every search is exact.
public struct SearchEffort: Sendable, Hashable {
    /// At all rows.
    public var exact: Bool
    /// Graphs: candidates that are kept while searching; nil takes the version's.
    public var efSearch: Int?
    /// Lists: how many are searched; nil takes the version's.
    public var nprobe: Int?

    public init(exact: Bool = false, efSearch: Int? = nil, nprobe: Int? = nil) {
        self.exact = exact
        self.efSearch = efSearch
        self.nprobe = nprobe
    }
}

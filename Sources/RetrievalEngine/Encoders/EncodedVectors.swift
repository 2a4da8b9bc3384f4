/// Vectors as an encoder answered them.
package struct EncodedVectors: Sendable, Hashable {
    /// `count` × `dim` finite numbers, row-major, in the order of the inputs; not normalised here.
    package var values: [Float]
    package var count: Int
    /// Numbers of each vector.
    package var dim: Int
    /// The model that the encoder says it used; the one asked for when it says nothing.
    package var model: String
    /// The revision of that model, when the encoder says it.
    package var revision: String?

    package init(values: [Float], count: Int, dim: Int, model: String, revision: String?) {
        self.values = values
        self.count = count
        self.dim = dim
        self.model = model
        self.revision = revision
    }
}

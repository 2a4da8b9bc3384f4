/// What the query path answers with. `Codable` says the form, for clients too; `write` gives the same bytes.
package protocol WrittenAnswer: Encodable, Sendable {
    /// - Throws: `EncodingError` for a number that is not finite.
    func write(to writer: inout JSONWriter) throws
}

extension WrittenAnswer {
    /// The bytes of the answer.
    package func json() throws -> [UInt8] {
        var writer = JSONWriter(reservingCapacity: 4096)
        try write(to: &writer)
        return writer.bytes
    }
}

extension QueryAnswer: WrittenAnswer {
    package func write(to writer: inout JSONWriter) throws {
        try writer.object { writer in
            writer.member("domain") { $0.string(domain) }
            writer.memberIfPresent("joined", joined) { $0.string($1) }
            writer.memberIfPresent("names", names) { $0.strings($1) }
            writer.memberIfPresent("notes", notes) { $0.strings($1) }
            writer.member("prompt") { if let prompt { $0.string(prompt) } else { $0.null() } }
            try writer.member("results") { try $0.array(results) { try $1.write(to: &$0) } }
            writer.member("revision") { $0.integer(revision) }
            writer.member("shortfall") { if let shortfall { shortfall.write(to: &$0) } else { $0.null() } }
        }
    }
}

extension QueryBatchAnswer: WrittenAnswer {
    package func write(to writer: inout JSONWriter) throws {
        try writer.object { writer in
            try writer.member("answers") { try $0.array(answers) { try $1.write(to: &$0) } }
            writer.member("domain") { $0.string(domain) }
            writer.member("revision") { $0.integer(revision) }
        }
    }
}

extension QueryBatchItem {
    fileprivate func write(to writer: inout JSONWriter) throws {
        try writer.object { writer in
            try writer.memberIfPresent("error", error) { try $0.encoded($1) }
            writer.memberIfPresent("joined", joined) { $0.string($1) }
            writer.memberIfPresent("names", names) { $0.strings($1) }
            writer.memberIfPresent("notes", notes) { $0.strings($1) }
            writer.memberIfPresent("prompt", prompt) { $0.string($1) }
            try writer.memberIfPresent("results", results) { try $0.array($1) { try $1.write(to: &$0) } }
            writer.memberIfPresent("shortfall", shortfall) { $1.write(to: &$0) }
        }
    }
}

extension QueryResult {
    fileprivate func write(to writer: inout JSONWriter) throws {
        try writer.object { writer in
            writer.member("datastore") { $0.string(datastore) }
            writer.memberIfPresent("external_id", externalID) { $0.string($1) }
            writer.member("id") { $0.integer(id) }
            writer.memberIfPresent("image_id", imageID) { $0.string($1) }
            writer.memberIfPresent("lang", lang) { $0.string($1) }
            writer.memberIfPresent("name", name) { $0.string($1) }
            writer.memberIfPresent("origin", origin) { $0.string($1.rawValue) }
            try writer.memberIfPresent("payload", payload) { try $0.value($1) }
            writer.memberIfPresent("pending", pending) { $0.bool($1) }
            try writer.memberIfPresent("rank_score", rankScore) { try $0.number($1) }
            try writer.member("score") { try $0.number(score) }
            try writer.memberIfPresent("scores", scores) { try $0.numbers($1) }
            writer.memberIfPresent("source", source) { $0.string($1) }
            try writer.memberIfPresent("terms", terms) { try $0.array($1) { try $1.write(to: &$0) } }
            writer.member("text") { $0.string(text) }
            writer.memberIfPresent("vector", vector) { $0.integer($1) }
            writer.member("version") { $0.integer(version) }
        }
    }
}

extension TermShare {
    fileprivate func write(to writer: inout JSONWriter) throws {
        try writer.object { writer in
            writer.member("index") { $0.integer(index) }
            try writer.member("share") { try $0.number(share) }
            writer.memberIfPresent("term", term) { $0.string($1) }
            try writer.member("weight") { try $0.number(weight) }
        }
    }
}

extension Shortfall {
    fileprivate func write(to writer: inout JSONWriter) {
        writer.object { writer in
            writer.member("reasons") { $0.strings(reasons.map(\.rawValue)) }
            writer.member("requested") { $0.integer(requested) }
            writer.member("returned") { $0.integer(returned) }
        }
    }
}

extension JSONWriter {
    fileprivate mutating func strings(_ values: [String]) {
        array(values) { $0.string($1) }
    }
}

import AsyncHTTPClient
public import DatastoreCore
public import Foundation
import NIOCore
import NIOHTTP1

extension CaptionerClient {
    public func datastores() async throws -> [DatastoreInfo] {
        try await all(.get("v1", "datastores"))
    }

    public func datastore(_ name: String) async throws -> DatastoreInfo {
        try await answer(to: .get("v1", "datastores", Self.checked(name, field: "datastore")))
    }

    @discardableResult
    public func createDatastore(_ request: CreateDatastoreRequest) async throws -> DatastoreInfo {
        try await answer(to: .change(.POST, "v1", "datastores").json(request))
    }

    /// Changes what describes a datastore; fields that are nil stay as they are.
    @discardableResult
    public func updateDatastore(_ name: String, with request: UpdateDatastoreRequest) async throws -> DatastoreInfo {
        let call = Call.change(.PATCH, "v1", "datastores", try Self.checked(name, field: "datastore"))
        return try await answer(to: call.json(request))
    }

    /// Removes a datastore with all its versions; refused while a domain uses it.
    public func deleteDatastore(_ name: String) async throws {
        try await perform(.change(.DELETE, "v1", "datastores", Self.checked(name, field: "datastore")))
    }

    /// Gives the terms of a sparse key their words.
    ///
    /// - Parameter terms: UTF-8, one term a line; the nth line, from 0, is the word of the nth term.
    public func setVocabulary(_ terms: Data, ofKey key: String, of datastore: String) async throws {
        let call = Call.change(
            .PUT, "v1", "datastores", try Self.checked(datastore, field: "datastore"), "keys",
            try Self.checked(key, field: "key"), "vocabulary")
        try await perform(call.bytes(terms, type: "text/plain"))
    }

    /// Adds entries as pending changes: durable when this returns, in a version with the next build.
    ///
    /// - Parameter ndjson: rows as an import takes them, one JSON object a line, with their vectors unless the datastore
    ///   names an encoder.
    /// - Returns: what became of each row, refused ones among them.
    public func addEntries(ndjson: Data, to datastore: String) async throws -> EntryChanges {
        try await addEntries(ndjson, type: "application/x-ndjson", to: datastore)
    }

    /// Adds one entry, a JSON object, as ``addEntries(ndjson:to:)`` does.
    public func addEntry(json: Data, to datastore: String) async throws -> EntryChanges {
        try await addEntries(json, type: "application/json", to: datastore)
    }

    private func addEntries(_ rows: Data, type: String, to datastore: String) async throws -> EntryChanges {
        let call = Call.change(.POST, "v1", "datastores", try Self.checked(datastore, field: "datastore"), "entries")
        return try await answer(to: call.bytes(rows, type: type))
    }

    /// Deletes entries, as pending changes: durable when this returns, left out of the next version.
    ///
    /// What is not there is told as unknown, and is no error.
    public func deleteEntries(_ names: [EntryName], of datastore: String) async throws -> EntryDeletions {
        var lines = Data()
        for name in names {
            lines += try WireJSON.encode(name)
            lines.append(UInt8(ascii: "\n"))
        }
        return try await deleteEntries(ndjson: lines, of: datastore)
    }

    /// Deletes the entries that lines of JSON name, `{"external_id": …}` or `{"id": …}`, as ``deleteEntries(_:of:)`` does.
    public func deleteEntries(ndjson: Data, of datastore: String) async throws -> EntryDeletions {
        let call = Call.change(.DELETE, "v1", "datastores", try Self.checked(datastore, field: "datastore"), "entries")
        return try await answer(to: call.bytes(ndjson, type: "application/x-ndjson"))
    }

    /// Entries of a datastore in the order of their ids; all of them, or the first `limit`.
    ///
    /// - Parameters:
    ///   - version: nil is the newest.
    ///   - pending: whether pending changes count.
    public func entries(
        of datastore: String, version: Int? = nil, pending: Bool = false, filter: QueryFilter? = nil, limit: Int? = nil
    ) async throws -> [EntryInfo] {
        var query: [(name: String, value: String)] = (filter?.arguments ?? []).map { ("filter", $0) }
        if let version { query.append(("version", String(version))) }
        if pending { query.append(("pending", "true")) }
        return try await all(
            .get("v1", "datastores", Self.checked(datastore, field: "datastore"), "entries", query: query),
            limit: limit)
    }

    /// One entry as it is now, pending changes with it, or as a version has it.
    ///
    /// - Parameter vectors: whether it comes with its original vectors.
    public func entry(
        _ id: Int64, of datastore: String, version: Int? = nil, vectors: Bool = false
    ) async throws -> EntryInfo {
        var query: [(name: String, value: String)] = []
        if let version { query.append(("version", String(version))) }
        if vectors { query.append(("vectors", "true")) }
        return try await answer(
            to: .get(
                "v1", "datastores", Self.checked(datastore, field: "datastore"), "entries", String(id), query: query))
    }

    /// Starts a job that drops entries whose image and text do not fit, and makes a version of the others (CapFilt).
    public func startFilter(_ request: FilterRequest, of datastore: String) async throws -> JobInfo {
        let call = Call.change(.POST, "v1", "datastores", try Self.checked(datastore, field: "datastore"), "filters")
        return try await answer(to: call.json(request))
    }

    /// Starts the build of a version of the newest one and the pending changes.
    ///
    /// ```swift
    /// if case .started(let job) = try await client.buildVersion(of: "coco", BuildVersionRequest(ifChanged: true)) {
    ///     print(try await client.waitForJob(job.id).version ?? 0)
    /// }
    /// ```
    ///
    /// The error code is `datastore_busy` when the request wants no other job before it and there is one,
    /// `nothing_to_build` when there is neither a version nor a pending change.
    public func buildVersion(
        of datastore: String, _ request: BuildVersionRequest = BuildVersionRequest()
    ) async throws -> BuildAnswer {
        let name = try Self.checked(datastore, field: "datastore")
        let call = try Call.change(.POST, "v1", "datastores", name, "versions").json(request)
        return try await send(call) { response in
            let body = try await Self.body(of: response)
            guard response.status.code == 200 else { return .started(try Self.decode(JobInfo.self, line: body)) }
            return .unchanged(try Self.decode(UnchangedDatastore.self, line: body))
        }
    }

    /// What each way of searching a datastore is expected to take, and which one a build would use now.
    ///
    /// - Parameters:
    ///   - key: nil is the first dense one.
    ///   - rows: nil is what the datastore has.
    ///   - plan: nil is the datastore's.
    public func plan(
        of datastore: String, key: String? = nil, rows: Int? = nil, plan: IndexPlan? = nil
    ) async throws -> PlanAnswer {
        var items: [(name: String, value: String)] = []
        if let key { items.append(("key", key)) }
        if let rows { items.append(("rows", String(rows))) }
        if let plan { items.append(("plan", plan.description)) }
        return try await answer(
            to: .get("v1", "datastores", Self.checked(datastore, field: "datastore"), "plan", query: items))
    }

    /// Gives the questions that the recall of a dense key's indexes is measured with from now on.
    ///
    /// - Parameter npy: the bytes of a NumPy file, one vector a row.
    @discardableResult
    public func setQuestions(npy: Data, ofKey key: String, of datastore: String) async throws -> RecallQuestionsInfo {
        try await answer(to: questions(.PUT, key, datastore).bytes(npy, type: "application/octet-stream"))
    }

    /// Forgets them: recall is measured with recorded questions, or with entries, again.
    public func removeQuestions(ofKey key: String, of datastore: String) async throws {
        try await perform(questions(.DELETE, key, datastore))
    }

    private func questions(_ method: HTTPMethod, _ key: String, _ datastore: String) throws -> Call {
        .change(
            method, "v1", "datastores", try Self.checked(datastore, field: "datastore"), "keys",
            try Self.checked(key, field: "key"), "questions")
    }
}

/// What became of the wish for a new version.
public enum BuildAnswer: Sendable, Hashable {
    /// The job that builds it.
    case started(JobInfo)
    /// Nothing is pending, and the request wanted none then.
    case unchanged(UnchangedDatastore)

    /// The job, where there is one.
    public var job: JobInfo? {
        if case .started(let job) = self { job } else { nil }
    }
}

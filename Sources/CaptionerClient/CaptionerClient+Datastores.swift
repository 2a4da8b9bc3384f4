public import DatastoreCore
public import Foundation
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

    /// Starts a job that drops entries whose image and text do not fit, and makes a version of the others (CapFilt).
    public func startFilter(_ request: FilterRequest, of datastore: String) async throws -> JobInfo {
        let call = Call.change(.POST, "v1", "datastores", try Self.checked(datastore, field: "datastore"), "filters")
        return try await answer(to: call.json(request))
    }

    /// Starts the build of a version of the pending changes; the error code is `nothing_to_build` when there are none.
    public func buildVersion(
        of datastore: String, _ request: BuildVersionRequest = BuildVersionRequest()
    ) async throws -> JobInfo {
        let name = try Self.checked(datastore, field: "datastore")
        return try await answer(to: .change(.POST, "v1", "datastores", name, "versions").json(request))
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

    /// The versions of a datastore, newest first; all of them, or the newest `limit`.
    public func versions(of datastore: String, limit: Int? = nil) async throws -> [VersionInfo] {
        let name = try Self.checked(datastore, field: "datastore")
        return try await all(.get("v1", "datastores", name, "versions"), limit: limit)
    }

    /// A version with its files.
    public func version(_ number: Int, of datastore: String) async throws -> VersionInfo {
        let name = try Self.checked(datastore, field: "datastore")
        return try await answer(to: .get("v1", "datastores", name, "versions", String(number)))
    }
}

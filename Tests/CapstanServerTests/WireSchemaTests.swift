import DatastoreCore
import Foundation
import Testing

/// Each Wire type against its schema: the same fields, the same required ones, the same values of enums.
struct WireSchemaTests {
    /// What the daemon sends: a value with every field, and one with those fields only that are always there.
    struct Sent: Sendable, CustomTestStringConvertible {
        let schema: String
        let full: JSONValue
        let least: JSONValue
        var testDescription: String { schema }

        init(_ schema: String, full: some Encodable, least: some Encodable) throws {
            self.schema = schema
            self.full = try JSONValue(encoding: full)
            self.least = try JSONValue(encoding: least)
        }
    }

    @Test(arguments: try Sent.all)
    func whatIsSentHasTheFieldsOfItsSchema(_ sent: Sent) throws {
        let document = try OpenAPI.document()
        let schema = document.schema(sent.schema)
        #expect(document.schemas.faults(of: sent.full, schema, at: sent.schema).isEmpty)
        #expect(document.schemas.faults(of: sent.least, schema, at: sent.schema).isEmpty)
        #expect(sent.full.members.keys.sorted() == schema["properties"].members.keys.sorted())
        #expect(sent.least.members.keys.sorted() == schema["required"].items.compactMap(\.string).sorted())
    }

    /// What a client sends: a value with every field.
    struct Received: Sendable, CustomTestStringConvertible {
        let schema: String
        let full: JSONValue
        let decode: @Sendable (Data) throws -> Void
        /// Whether fields that no one knows are refused.
        let isStrict: Bool
        var testDescription: String { schema }

        init<Value: Codable & Sendable>(_ schema: String, full: Value, isStrict: Bool = true) throws {
            self.schema = schema
            self.full = try JSONValue(encoding: full)
            self.isStrict = isStrict
            decode = { _ = try WireJSON.decode(Value.self, from: $0) }
        }
    }

    @Test(arguments: try Received.all)
    func whatIsReceivedHasTheFieldsOfItsSchema(_ received: Received) throws {
        let document = try OpenAPI.document()
        let schema = document.schema(received.schema)
        let required = schema["required"].items.compactMap(\.string)
        #expect(document.schemas.faults(of: received.full, schema, at: received.schema).isEmpty)
        #expect(received.full.members.keys.sorted() == schema["properties"].members.keys.sorted())
        try received.decode(WireJSON.encode(received.full))

        let least = received.full.members.filter { required.contains($0.key) }
        try received.decode(WireJSON.encode(JSONValue.object(least)))
        for name in required {
            let incomplete = JSONValue.object(received.full.members.filter { $0.key != name })
            #expect(
                document.schemas.faults(of: incomplete, schema, at: received.schema) == [
                    "\(received.schema): no \(name)"
                ])
            let error = #expect(throws: DatastoreError.self) { try received.decode(WireJSON.encode(incomplete)) }
            #expect(error?.code == .missingField)
            #expect(error?.errors.map(\.field) == [name])
        }
        for name in received.full.members.keys where !required.contains(name) {
            let nulled = JSONValue.object(received.full.members.merging([name: .null]) { $1 })
            #expect(document.schemas.faults(of: nulled, schema, at: received.schema).isEmpty)
            try received.decode(WireJSON.encode(nulled))
        }
        #expect(schema["additionalProperties"] == (received.isStrict ? .bool(false) : .null))
        if received.isStrict {
            let more = JSONValue.object(received.full.members.merging(["colour": .null]) { $1 })
            let error = #expect(throws: DatastoreError.self) { try received.decode(WireJSON.encode(more)) }
            #expect(error?.code == .unknownField)
            #expect(error?.errors.map(\.field) == ["colour"])
        }
    }

    @Test(arguments: [
        QueryInput.vector([0.5, -1]), .vectorBase64("AAAAPwAAgL8="), .vectors([0.5, -1, 2, 3], count: 2),
        .text("a dog"), .image("iVBORw0KGgo="), .entry(EntryReference(id: 7)),
        .entry(EntryReference(externalID: "e", datastore: "d")), .lexical(.words(["dog": 1.5])),
        .lexical(.numbers(SparseVector(ascending: [3], values: [1]))), .fused(.vector([0.5, 1]), .words(["dog": 1])),
        .terms(
            WeightedSum(
                terms: [
                    WeightedTerm(.vector([1, 2])), WeightedTerm(weight: -0.5, .text("a")),
                    WeightedTerm(weight: 2, .entry(EntryReference(externalID: "e"))),
                    WeightedTerm(.image("iVBORw0KGgo=")), WeightedTerm(.vectorBase64("AAAAPwAAgL8=")),
                ], normaliseTerms: true)),
    ])
    func everyFormOfAQuestionFitsItsSchema(_ input: QueryInput) throws {
        let document = try OpenAPI.document()
        let value = try JSONValue(encoding: input)
        #expect(document.schemas.faults(of: value, document.schema("QueryInput"), at: "query").isEmpty)
    }

    @Test(arguments: [
        Dedupe.none, .text, .image, Dedupe(similarity: 0.5), Dedupe(text: true, image: true, similarity: 0.5),
    ])
    func everyFormOfDedupeFitsItsSchema(_ dedupe: Dedupe) throws {
        let document = try OpenAPI.document()
        let value = try JSONValue(encoding: dedupe)
        if case .object = value {
            #expect(document.schemas.faults(of: value, document.schema("Dedupe"), at: "dedupe").isEmpty)
        }
        #expect(try WireJSON.decode(Dedupe.self, from: WireJSON.encode(dedupe)) == dedupe)
    }

    @Test(arguments: [
        ScoreCandidates.texts(["a"]), .vectors([1, 2, 3, 4], count: 2), .vectorsBase64(["AAAAPwAAgL8="]),
    ])
    func everyFormOfCandidatesFitsItsSchema(_ candidates: ScoreCandidates) throws {
        let document = try OpenAPI.document()
        let request = ScoreRequest(
            query: .vector([1, 2]), domain: "d", using: "text", candidates: candidates, temperature: 0.5)
        let value = try JSONValue(encoding: request)
        #expect(document.schemas.faults(of: value, document.schema("ScoreRequest"), at: "score").isEmpty)
        #expect(try WireJSON.decode(ScoreRequest.self, from: WireJSON.encode(request)) == request)
    }

    @Test(arguments: [
        ("DatastoreKind", DatastoreKind.allCases.map(\.rawValue)),
        ("Origin", Origin.allCases.map(\.rawValue)),
        ("Metric", Metric.allCases.map(\.rawValue)),
        ("ShortfallReason", ShortfallReason.allCases.map(\.rawValue)),
        ("JobState", JobState.allCases.map(\.rawValue)),
        ("ImportFormat", ImportFormat.allCases.map(\.rawValue)),
        ("CaptionText", CaptionText.allCases.map(\.rawValue)),
        ("VectorPooling", VectorPooling.allCases.map(\.rawValue)),
        ("VectorOrigin", [VectorOrigin.rows, .file, .index, .encoder].map(\.rawValue)),
        ("JobKind", [JobKind.import, .build, .filter, .dump, .restore, .verify].map(\.rawValue)),
        (
            "JobPhase",
            [
                JobPhase.waiting, .reading, .building, .indexing, .measuring, .publishing, .answering, .verifying,
                .done,
            ].map(\.rawValue)
        ),
        ("VersionState", [VersionState.ready, .damaged].map(\.rawValue)),
        ("RevisionReason", [RevisionReason.set, .follow, .rollback].map(\.rawValue)),
        ("ReadinessState", [Readiness.State.loading, .ready, .stopping].map(\.rawValue)),
    ])
    func enumsHaveTheValuesOfTheirSchema(_ name: String, _ values: [String]) throws {
        #expect(try OpenAPI.document().schema(name)["enum"].items.compactMap(\.string) == values)
    }

    @Test func everySchemaOfTheDocumentIsChecked() throws {
        let checked = try Set(Sent.all.map(\.schema) + Received.all.map(\.schema)).union([
            // Values of the tests above.
            "QueryInput", "DatastoreKind", "Origin", "Metric", "Dedupe", "ShortfallReason", "JobState", "JobKind",
            "JobPhase", "ImportFormat", "CaptionText", "VectorPooling", "VectorOrigin", "VersionState",
            "RevisionReason", "ReadinessState", "ErrorCode", "WeightedTerm", "EntryReference", "LexicalWeights",
            "ScoreRequest", "IndexPlan",
            // Held against real answers and rows only.
            "EntryName", "EntryVector", "PendingWarning", "Liveness", "ImportRow", "ResourceName", "Vector",
        ])
        #expect(try Set(OpenAPI.document().root["components"]["schemas"].members.keys) == checked)
    }
}

extension WireSchemaTests.Sent {
    static var all: [Self] {
        get throws {
            let date = Date(timeIntervalSince1970: 1_770_000_000)
            let encoder = Encoder(model: "m", revision: "r", preprocessing: "p", endpoint: "e")
            let key = KeySpec(name: "text", dim: 4, metric: .cosine, encoder: encoder)
            let fullEntry = EntryFields(
                externalID: "e", text: "t", imageID: "i", origin: .web, lang: "en", source: "s",
                payload: .object(["a": .integer(1)]))
            var result = QueryResult(entry: Entry(id: 1, fields: fullEntry), score: 0.5, datastore: "d", version: 1)
            let term = TermShare(term: "dog", index: 7, weight: 0.5, share: 1)
            result.rankScore = 0.25
            result.scores = ["text": 0.5]
            result.pending = true
            result.name = "n"
            result.vector = 0
            result.terms = [term]
            let leastResult = QueryResult(
                entry: Entry(id: 1, fields: EntryFields(text: "t")), score: 0.5, datastore: "d", version: 1)
            let shortfall = Shortfall(requested: 2, returned: 1, reasons: ShortfallReason.allCases)
            let answer = QueryAnswer(
                domain: "d", revision: 1, results: [result], shortfall: shortfall, prompt: "p", names: ["n"],
                joined: "n", notes: ["n"])
            let leastAnswer = QueryAnswer(
                domain: "d", revision: 1, results: [leastResult], shortfall: nil, prompt: nil)
            let problem = Problem(
                status: 400, title: "t", code: ErrorCode.invalidValue.rawValue, detail: "d",
                errors: [FieldError(field: "f", message: "m")], requestID: "r")
            let leastProblem = Problem(status: 400, title: "t", code: ErrorCode.notFound.rawValue, detail: "d")
            var fullItem = QueryBatchItem(answer)
            fullItem.error = problem
            var leastItem = QueryBatchItem(error: problem)
            leastItem.error = nil
            let domain = DomainInfo(
                domain: "d", revision: 2, reason: .rollback, restoredRevision: 1, createdAt: date,
                datastores: [BoundDatastore(name: "d", version: 1, followsLatest: true, limit: 2, weight: 0.5)],
                defaults: QueryDefaults(
                    k: 4, minScore: 0.5, dedupe: .text, includePending: true, filter: QueryFilter(lang: ["en"]),
                    template: "||"))
            let leastDomain = DomainInfo(
                domain: "d", revision: 1, reason: .set, restoredRevision: nil, createdAt: date, datastores: [],
                defaults: QueryDefaults())
            let retention = Retention(keepLast: 7, keepDays: 30)
            let datastore = DatastoreInfo(
                name: "d", kind: .names, keys: [key], description: "d", licence: "l", createdAt: date,
                latestVersion: 1, entries: 1, pendingChanges: 1, retention: retention)
            let leastDatastore = DatastoreInfo(
                name: "d", kind: .captions, keys: [KeySpec(name: "text", dim: 4, metric: .innerProduct)],
                description: nil, licence: nil, createdAt: date, latestVersion: nil, entries: 0, pendingChanges: 0)
            let file = VersionFile(name: "n", bytes: 1, sha256: String(repeating: "0a", count: 32))
            let point = RecallReport.Point(efSearch: 1, nprobe: 1, recall: 1, milliseconds: 0.5)
            let recall = RecallReport(
                k: 10, recall: 1, gate: 0.95, questions: 1, source: .given, exactMilliseconds: 1, curve: [point])
            let index = VersionKeyIndex(key: "text", plan: IndexPlan(.hnsw, links: 8), reason: "r", recall: recall)
            let estimate = PlanAnswer.Estimate(
                plan: .exact, indexBytes: 1, memoryBytes: 1, buildSeconds: 1, latencyMilliseconds: 1, against: "a")
            let leastEstimate = PlanAnswer.Estimate(
                plan: .exact, indexBytes: 1, memoryBytes: 1, buildSeconds: 1, latencyMilliseconds: 1)
            let plan = PlanAnswer(
                datastore: "d", key: "text", rows: 1, dim: 1, plan: IndexPlan(.auto), chosen: .exact, reason: "r",
                gate: 0.95, basis: "b", estimates: [estimate])
            let questions = RecallQuestionsInfo(datastore: "d", key: "text", questions: 1)
            let version = VersionInfo(
                datastore: "d", version: 1, state: .damaged, entries: 1, bytes: 1, createdAt: date, jobID: "j",
                detail: "d", tags: ["gold"], files: [file], indexes: [index])
            let leastVersion = VersionInfo(
                datastore: "d", version: 1, state: .ready, entries: 1, bytes: 1, createdAt: date, jobID: nil,
                detail: nil)
            let progress = JobProgress(fraction: 0.5, rowsPerSecond: 10, secondsLeft: 1)
            let report = ImportReport(
                format: .coco, vectors: .encoder, dim: 4, dryRun: true, entries: 1, diskBytes: 1, memoryBytes: 1,
                notes: ["n"])
            let failure = JobFailure(code: ErrorCode.gzipCorrupt.rawValue, detail: "d")
            let example = FilterReport.Example(entry: Entry(id: 1, fields: fullEntry), score: 0.5)
            let filtered = FilterReport(
                kept: 1, dropped: 1, unscored: 1, origins: ["web": .init(kept: 1, dropped: 1)],
                histogram: .init(low: -1, high: 1, counts: [1, 2]), droppedExamples: [example],
                keptExamples: [example], dryRun: true)
            let backup = BackupInfo(
                id: "b", release: "1", createdAt: date, expiresAt: date, bytes: 1,
                files: [BackupFile(path: "p", bytes: 1, sha256: file.sha256)])
            let dumped = DumpReport(revision: 1, images: 2, short: 1)
            let scored = CandidateScore(index: 0, text: "t", cosine: 0.5, probability: 1)
            let leastScored = CandidateScore(index: 0, cosine: 0.5, probability: 1)
            let scores = ScoreAnswer(scores: [scored], order: [0], best: scored, temperature: 0.5)
            var entry = EntryInfo(
                entry: Entry(id: 1, fields: fullEntry), version: 1, vectors: ["text": .dense([1])])
            entry.pending = true
            var leastEntry = EntryInfo(entry: Entry(id: 1, fields: EntryFields(text: "t")), version: 1)
            leastEntry.version = nil
            let change = EntryChange(outcome: .rejected, id: 1, externalID: "e", error: failure)
            var keyOfAll = key
            keyOfAll.pruning = SparsePruning(threshold: 0.5, top: 3)
            let job = JobInfo(
                id: "j", kind: .import, datastore: "d", state: .failed, phase: .reading, counts: JobCounts(),
                rejectedByCode: ["missing_text": 1], progress: progress, submittedBy: "s", resumed: 1,
                cancelRequested: true, report: report, version: 1, error: failure, createdAt: date, startedAt: date,
                finishedAt: date, domain: "d", filterReport: filtered, dumpReport: dumped, verifyReport: VerifyReport())
            let leastJob = JobInfo(
                id: "j", kind: .build, datastore: "d", state: .queued, phase: .waiting, counts: JobCounts(),
                version: nil, error: nil, createdAt: date, startedAt: nil, finishedAt: nil)
            let reject = RejectedRow(row: 1, line: 1, byte: 0, code: .missingText, detail: "d", excerpt: "e")
            let readiness = Readiness(status: .ready, detail: "d")
            let status = ServiceStatus(
                release: "1", readiness: readiness, startedAt: date, pid: 1, dataDirectory: "d", searchThreads: 1,
                searchesInFlight: 1, datastores: 1, domains: 1, openVersions: 1, jobsRunning: 1,
                pendingLimit: 1, pending: [PendingStatus(datastore: "d", changes: 1, warning: "w")],
                damagedVersions: ["d@1"], recovery: ["r"])
            let known = Entry(id: 1, fields: fullEntry)
            let diffEntry = VersionDiff.Entry(known)
            let replacement = VersionDiff.Replacement(before: known, after: known, keys: ["text"])
            let bare = Entry(id: 1, fields: EntryFields(text: "t"))
            let item = GCItem(.version, datastore: "d", version: 1, job: "j", bytes: 1, reason: "r")
            let diff = VersionDiff(datastore: "d", from: 1, to: 2)
            return [
                try Self("Retention", full: retention, least: Retention()),
                try Self(
                    "GCReport", full: GCReport(dryRun: true, items: [item]), least: GCReport(dryRun: false, items: [])),
                try Self("GCItem", full: item, least: GCItem(.staging, datastore: nil, bytes: 1, reason: "r")),
                try Self("VersionDiff", full: diff, least: diff),
                try Self("VersionDiffEntry", full: diffEntry, least: VersionDiff.Entry(bare)),
                try Self(
                    "VersionDiffReplacement", full: replacement,
                    least: VersionDiff.Replacement(before: bare, after: bare, keys: [])),
                try Self("VerifyReport", full: VerifyReport(), least: VerifyReport()),
                try Self("QueryResult", full: result, least: leastResult),
                try Self("TermShare", full: term, least: TermShare(term: nil, index: 0, weight: 1, share: 1)),
                try Self("CandidateScore", full: scored, least: leastScored),
                try Self("ScoreAnswer", full: scores, least: scores),
                try Self("FilterReport", full: filtered, least: filtered),
                try Self(
                    "FilterExample", full: example,
                    least: FilterReport.Example(entry: Entry(id: 1, fields: EntryFields(text: "t")), score: nil)),
                try Self("DumpReport", full: dumped, least: dumped),
                try Self("BackupInfo", full: backup, least: backup),
                try Self("BackupFile", full: backup.files[0], least: backup.files[0]),
                try Self("EntryChange", full: change, least: EntryChange(outcome: .accepted, id: nil, externalID: nil)),
                try Self(
                    "EntryChanges",
                    full: EntryChanges(entries: [change], counts: JobCounts(), pendingChanges: 1, warning: "w"),
                    least: EntryChanges(entries: [], counts: JobCounts(), pendingChanges: 0)),
                try Self(
                    "EntryDeletion",
                    full: EntryDeletion(outcome: .rejected, id: 1, externalID: "e", error: failure),
                    least: EntryDeletion(outcome: .unknown, id: nil, externalID: nil)),
                try Self(
                    "EntryDeletions", full: EntryDeletions(entries: [], pendingChanges: 1, warning: "w"),
                    least: EntryDeletions(entries: [], pendingChanges: 0)),
                try Self("DeletionCounts", full: EntryDeletions.Counts(), least: EntryDeletions.Counts()),
                try Self(
                    "EntryInfo", full: entry,
                    least: leastEntry),
                try Self(
                    "EntryPage", full: Page(items: [entry], nextCursor: "c"),
                    least: Page<EntryInfo>(items: [], nextCursor: nil)),
                try Self(
                    "PendingStatus", full: PendingStatus(datastore: "d", changes: 1, warning: "w"),
                    least: PendingStatus(datastore: "d", changes: 1)),
                try Self("Shortfall", full: shortfall, least: shortfall),
                try Self("QueryAnswer", full: answer, least: leastAnswer),
                try Self("QueryBatchItem", full: fullItem, least: leastItem),
                try Self(
                    "QueryBatchAnswer", full: QueryBatchAnswer(domain: "d", revision: 1, answers: [fullItem]),
                    least: QueryBatchAnswer(domain: "d", revision: 1, answers: [])),
                try Self("Problem", full: problem, least: leastProblem),
                try Self("FieldError", full: problem.errors[0], least: problem.errors[0]),
                try Self("DomainInfo", full: domain, least: leastDomain),
                try Self(
                    "BoundDatastore", full: domain.datastores[0],
                    least: BoundDatastore(name: "d", version: 1, followsLatest: false)),
                try Self("QueryDefaults", full: domain.defaults, least: leastDomain.defaults),
                try Self(
                    "DomainPage", full: Page(items: [domain], nextCursor: "c"),
                    least: Page<DomainInfo>(items: [], nextCursor: nil)),
                try Self("DatastoreInfo", full: datastore, least: leastDatastore),
                try Self("Encoder", full: encoder, least: Encoder(model: "m")),
                try Self(
                    "DatastorePage", full: Page(items: [datastore], nextCursor: "c"),
                    least: Page<DatastoreInfo>(items: [], nextCursor: nil)),
                try Self("VersionInfo", full: version, least: leastVersion),
                try Self("VersionFile", full: file, least: file),
                try Self(
                    "RecallPoint", full: point,
                    least: RecallReport.Point(efSearch: nil, nprobe: nil, recall: 1, milliseconds: 1)),
                try Self("RecallReport", full: recall, least: recall),
                try Self(
                    "VersionKeyIndex", full: index,
                    least: VersionKeyIndex(key: "text", plan: .exact, reason: nil, recall: nil)),
                try Self("PlanEstimate", full: estimate, least: leastEstimate),
                try Self("PlanAnswer", full: plan, least: plan),
                try Self("RecallQuestionsInfo", full: questions, least: questions),
                try Self(
                    "UnchangedDatastore", full: UnchangedDatastore(datastore: "d", version: 1),
                    least: UnchangedDatastore(datastore: "d", version: nil)),
                try Self(
                    "VersionPage", full: Page(items: [version], nextCursor: "c"),
                    least: Page<VersionInfo>(items: [], nextCursor: nil)),
                try Self("JobInfo", full: job, least: leastJob),
                try Self("JobCounts", full: job.counts, least: job.counts),
                try Self("JobFailure", full: failure, least: failure),
                try Self(
                    "JobProgress", full: progress,
                    least: JobProgress(fraction: 0, rowsPerSecond: 0, secondsLeft: nil)),
                try Self(
                    "ImportReport", full: report,
                    least: ImportReport(format: .text, vectors: .rows, dim: 4, dryRun: false)),
                try Self(
                    "JobPage", full: Page(items: [job], nextCursor: "c"),
                    least: Page<JobInfo>(items: [], nextCursor: nil)),
                try Self("RejectedRow", full: reject, least: reject),
                try Self("Readiness", full: readiness, least: readiness),
                try Self("ServiceStatus", full: status, least: status),
            ]
        }
    }
}

extension WireSchemaTests.Received {
    static var all: [Self] {
        get throws {
            let encoder = Encoder(model: "m", revision: "r", preprocessing: "p", endpoint: "e")
            let key = KeySpec(name: "text", dim: 4, metric: .cosine, encoder: encoder)
            let rerank = Rerank(reranker: "r", query: "q", fetch: 8)
            let mmr = MMR(lambda: 0.5, fetch: 8)
            let filter = QueryFilter(
                origin: [.human], lang: ["en"], source: ["s"], imageIDs: ["i"],
                payload: ["split": .string("train"), "n": .integer(1), "x": .null, "b": .bool(true)])
            let question = QueryRequest(
                query: .vector([0.5, 1]),
                options: QueryOptions(
                    k: 4, using: "text", excludeImageIDs: ["i"], filter: filter, dedupe: .text, minScore: 0.5,
                    includePending: true,
                    merge: VectorMerge(), fusion: Fusion(), rerank: rerank, mmr: mmr, select: Selection(),
                    prompt: true, template: "||", effort: SearchEffort(exact: true, efSearch: 1, nprobe: 1),
                    ignoreUnknownTerms: true))
            let defaults = QueryDefaults(
                k: 4, minScore: 0.5, dedupe: Dedupe.none, includePending: false, filter: filter, template: "||")
            var keyOfAll = key
            keyOfAll.pruning = SparsePruning(threshold: 0.5, top: 3)
            let options = ImportOptions(
                build: false, strict: true, dryRun: true, format: .karpathy, splits: ["train"], captionText: .tokens,
                columns: ["text": "1"], header: true, pool: .mean, origin: .web, lang: "en",
                source: "s",
                filters: ImportFilters(
                    maxWords: 25, maxTokens: 25, minLetters: 2, languages: ["en"], dropDuplicates: true))
            return [
                try Self("QueryRequest", full: question),
                try Self("QueryFilter", full: filter),
                try Self("VectorMerge", full: VectorMerge(perVector: 5, limit: 6, separator: ", ")),
                try Self(
                    "Fusion",
                    full: Fusion(method: .sum, denseWeight: 0.5, lexicalWeight: 0.25, constant: 3, depth: 7)),
                try Self("Rerank", full: rerank),
                try Self("MMR", full: mmr),
                try Self("Selection", full: Selection(method: .sample, from: 9, order: .permute, seed: 3)),
                try Self(
                    "DumpOptions",
                    full: DumpOptions(
                        k: 4, using: "text", excludeOwnImage: false, filter: filter, dedupe: .image, minScore: 0.5,
                        mmr: mmr,
                        select: Selection())),
                try Self(
                    "FilterRequest",
                    full: FilterRequest(
                        score: .keys("a", "b"), threshold: 0.5, thresholds: ["web": 0.25], unscored: .drop,
                        examples: 3, dryRun: true)),
                try Self("QueryBatchRequest", full: QueryBatchRequest(queries: [question])),
                try Self("QueryDefaults", full: defaults),
                try Self(
                    "SetDomainRequest",
                    full: SetDomainRequest(
                        datastores: [DatastoreBinding(name: "d", version: 1, limit: 2, weight: 0.5)], defaults: defaults
                    )),
                try Self("DatastoreBinding", full: DatastoreBinding(name: "d", version: 1, limit: 2, weight: 0.5)),
                try Self("DatastoreBinding", full: DatastoreBinding(name: "d", limit: 2, weight: 0.5)),
                try Self("RollbackRequest", full: RollbackRequest(to: 1)),
                try Self(
                    "CreateDatastoreRequest",
                    full: CreateDatastoreRequest(
                        name: "d", kind: .captions, keys: [key], description: "d", licence: "l", plan: .exact,
                        recallGate: 0.5)),
                try Self(
                    "UpdateDatastoreRequest",
                    full: UpdateDatastoreRequest(
                        description: "d", licence: "l", plan: .exact, recallGate: 0.5,
                        retention: Retention(keepLast: 1))),
                try Self(
                    "BuildVersionRequest",
                    full: BuildVersionRequest(plan: .exact, recallGate: 0.5, ifChanged: true, ifIdle: true)),
                try Self("Retention", full: Retention(keepLast: 7, keepDays: 30)),
                try Self("GCRequest", full: GCRequest(datastores: ["d"], dryRun: true, jobFilesDays: 3)),
                try Self("KeySpec", full: keyOfAll, isStrict: false),
                try Self("SparsePruning", full: keyOfAll.pruning, isStrict: false),
                try Self("Encoder", full: encoder, isStrict: false),
                try Self(
                    "ImportRequest",
                    full: ImportRequest(
                        rowsPath: "r", vectorsPath: "v", vectorsPaths: ["image": "w"], options: options)),
            ]
        }
    }
}

extension JSONValue {
    init(encoding value: some Encodable) throws {
        self = try WireJSON.decode(JSONValue.self, from: WireJSON.encode(value))
    }
}

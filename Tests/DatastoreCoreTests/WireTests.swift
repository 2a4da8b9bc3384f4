import DatastoreCore
import Foundation
import Testing

/// The exact JSON of the API: what is sent, what is read, and how refusals are worded.
struct WireTests {
    // MARK: Questions

    private static let questions: [(String, QueryRequest)] = [
        (#"{"query":{"vector":[1,0.5]}}"#, QueryRequest(query: .vector([1, 0.5]))),
        (#"{"query":{"vector_base64":"AACAPw=="}}"#, QueryRequest(query: .vectorBase64("AACAPw=="))),
        (
            #"{"query":{"vectors":[[1,2],[3,4],[5,6]]}}"#,
            QueryRequest(query: .vectors([1, 2, 3, 4, 5, 6], count: 3))
        ),
        (
            #"{"dedupe":"text","exclude":{"image_ids":["391895","x"]},"k":4,"min_score":0.25,"prompt":true,"#
                + #""query":{"vector":[1]}}"#,
            QueryRequest(
                query: .vector([1]),
                options: QueryOptions(
                    k: 4, excludeImageIDs: ["391895", "x"], dedupe: .text, minScore: 0.25, prompt: true))
        ),
        (
            #"{"dedupe":"none","query":{"vector":[1]}}"#,
            QueryRequest(query: .vector([1]), options: QueryOptions(dedupe: Dedupe.none))
        ),
    ]

    @Test(arguments: questions.indices)
    func questionsAreWrittenAndReadExactly(index: Int) throws {
        let (text, question) = Self.questions[index]
        #expect(try json(question) == text)
        #expect(try decode(QueryRequest.self, text) == question)
    }

    @Test func questionsMayGiveNullForWhatTheyDoNotSay() throws {
        let text =
            #"{"query": {"vector": [1]}, "k": null, "exclude": null, "dedupe": null, "min_score": null, "prompt": null}"#
        #expect(try decode(QueryRequest.self, text) == QueryRequest(query: .vector([1])))
        #expect(
            try decode(QueryRequest.self, #"{"query": {"vector": [1]}, "exclude": {}}"#).options.excludeImageIDs == [])
    }

    struct Refused: Sendable, CustomTestStringConvertible {
        let text: String
        let code: ErrorCode
        let field: String?
        var testDescription: String { text }

        init(_ text: String, _ code: ErrorCode, _ field: String?) {
            self.text = text
            self.code = code
            self.field = field
        }
    }

    @Test(arguments: [
        Refused(#"{}"#, .missingField, "query"),
        Refused(#"{"query": null}"#, .invalidValue, "query"),
        Refused(#"{"query": {}}"#, .missingField, "query"),
        Refused(#"{"query": {"vector": [1], "vectors": [[1]]}}"#, .invalidValue, "query"),
        Refused(#"{"query": {"vector": null}}"#, .invalidValue, "query.vector"),
        Refused(#"{"query": {"vector": "x"}}"#, .invalidValue, "query.vector"),
        Refused(#"{"query": {"vector": [1, "x"]}}"#, .invalidValue, "query.vector[1]"),
        Refused(#"{"query": {"vector": [1, null]}}"#, .invalidValue, "query.vector[1]"),
        Refused(#"{"query": {"vectors": [[1], [1, 2], [3]]}}"#, .vectorsRagged, "query.vectors[1]"),
        Refused(#"{"query": {"vectors": [[], [1]]}}"#, .vectorsRagged, "query.vectors[1]"),
        Refused(#"{"query": {"vectors": [1, 2]}}"#, .invalidValue, "query.vectors[0]"),
        Refused(#"{"query": {"vektor": [1]}}"#, .unknownField, "query.vektor"),
        Refused(#"{"query": {"vector": [1]}, "K": 4}"#, .unknownField, "K"),
        Refused(#"{"query": {"vector": [1]}, "k": "4"}"#, .invalidValue, "k"),
        Refused(#"{"query": {"vector": [1]}, "prompt": 1}"#, .invalidValue, "prompt"),
        Refused(#"{"query": {"vector": [1]}, "dedupe": "picture"}"#, .invalidValue, "dedupe"),
        Refused(#"{"query": {"vector": [1]}, "exclude": {"images": []}}"#, .unknownField, "exclude.images"),
        Refused(#"{"query": {"vector": [1]}, "exclude": {"image_ids": [1]}}"#, .invalidValue, "exclude.image_ids[0]"),
        Refused(#"{"query": {"vector": [NaN]}}"#, .invalidJSON, nil),
        Refused(#"{"query": {"vector": [1]}"#, .invalidJSON, nil),
        Refused("", .invalidJSON, nil),
        Refused("not json", .invalidJSON, nil),
    ])
    func questionsThatMeanNothingAreRefusedWhereTheyDo(_ refused: Refused) {
        let error = expectError(refused.code) { try decode(QueryRequest.self, refused.text) }
        #expect(error?.errors.first?.field == refused.field)
    }

    @Test func unknownFieldsInListsAreNamedWithTheirPosition() {
        let error = expectError(.unknownField) {
            try decode(
                QueryBatchRequest.self,
                #"{"queries": [{"query": {"vector": [1]}}, {"query": {"vektor": [1]}}]}"#)
        }
        #expect(error?.errors.first?.field == "queries[1].query.vektor")
    }

    @Test(
        arguments: [
            (#"{"query": {"vector": [1]}, "k": 1.5}"#, "k"),
            (#"{"query": {"vector": [1e39]}}"#, "query.vector[0]"),
        ])
    func numbersThatDoNotFitAreNamed(text: String, field: String) {
        let error = expectError(.invalidValue) { try decode(QueryRequest.self, text) }
        #expect(error?.errors.first?.field == field)
    }

    // MARK: Answers

    private static let result = QueryResult(
        entry: Entry(
            id: 88, fields: EntryFields(text: "a man rides a horse", imageID: "3432", origin: .human)),
        score: 0.3125, datastore: "coco", version: 7)

    @Test func anAnswerAlwaysHasItsShortfallAndItsPrompt() throws {
        let answer = QueryAnswer(
            domain: "street", revision: 12, results: [Self.result], shortfall: nil, prompt: nil)
        let text =
            #"{"domain":"street","prompt":null,"results":[{"datastore":"coco","id":88,"image_id":"3432","#
            + #""origin":"human","score":0.3125,"text":"a man rides a horse","version":7}],"revision":12,"#
            + #""shortfall":null}"#
        #expect(try json(answer) == text)
        #expect(try decode(QueryAnswer.self, text) == answer)
        // A client reads an answer of a newer daemon, which may have more in it.
        #expect(try decode(QueryAnswer.self, text.replacing("\"revision\"", with: "\"more\":1,\"revision\"")) == answer)
    }

    @Test func anAnswerSaysWhyItIsShort() throws {
        let answer = QueryAnswer(
            domain: "d", revision: 1, results: [],
            shortfall: Shortfall(requested: 4, returned: 0, reasons: ShortfallReason.allCases), prompt: "a/b\n")
        #expect(
            try json(answer)
                == #"{"domain":"d","prompt":"a/b\n","results":[],"revision":1,"shortfall":{"reasons":["too_few_entries","#
                + #""min_score","filter","excluded","deduplicated","limited","no_shared_term"],"requested":4,"#
                + #""returned":0}}"#)
        #expect(try decode(QueryAnswer.self, json(answer)) == answer)
    }

    @Test func aResultCarriesEveryField() throws {
        let result = QueryResult(
            entry: Entry(
                id: 1,
                fields: EntryFields(
                    externalID: "e", text: "t", imageID: "i", origin: .synthetic, lang: "de", source: "s",
                    payload: .object(["x": .array([.null, .bool(true), .integer(-1), .number(0.5), .string("/")])]))),
            score: -1, datastore: "d", version: 2)
        #expect(
            try json(result)
                == #"{"datastore":"d","external_id":"e","id":1,"image_id":"i","lang":"de","origin":"synthetic","#
                + #""payload":{"x":[null,true,-1,0.5,"/"]},"score":-1,"source":"s","text":"t","version":2}"#)
        #expect(try decode(QueryResult.self, json(result)) == result)
    }

    @Test func scoresComeBackAsTheVeryFloatTheyWere() throws {
        for bits in stride(from: Float(-1).bitPattern, through: Float(-0.9).bitPattern + 2000, by: 97_003) {
            var result = Self.result
            result.score = Float(bitPattern: bits)
            #expect(try decode(QueryResult.self, json(result)).score.bitPattern == bits)
        }
        for score: Float in [0, 1, 0.1, 1 / 3, 1e-10, .leastNonzeroMagnitude, .greatestFiniteMagnitude] {
            var result = Self.result
            result.score = score
            #expect(try decode(QueryResult.self, json(result)).score == score)
        }
    }

    @Test func aBatchHasAnswersAndErrorsInOrder() throws {
        let answer = QueryBatchAnswer(
            domain: "d", revision: 3,
            answers: [
                QueryBatchItem(
                    QueryAnswer(domain: "d", revision: 3, results: [Self.result], shortfall: nil, prompt: nil)),
                QueryBatchItem(
                    error: Problem(
                        status: 400, title: "Bad Request", code: "vector_zero", detail: "x",
                        errors: [FieldError(field: "f", message: "m")], requestID: "r")),
            ])
        let text = try json(answer)
        #expect(
            text.hasSuffix(
                #"{"error":{"code":"vector_zero","detail":"x","errors":[{"field":"f","message":"m"}],"request_id":"r","#
                    + #""status":400,"title":"Bad Request"}}],"domain":"d","revision":3}"#))
        #expect(try decode(QueryBatchAnswer.self, text) == answer)
    }

    // MARK: Domains, datastores, imports

    @Test(arguments: [
        (#"{"name":"coco"}"#, DatastoreBinding(name: "coco")),
        (#"{"name":"coco","version":null}"#, DatastoreBinding(name: "coco")),
        (#"{"name":"coco","version":"latest"}"#, DatastoreBinding(name: "coco")),
        (#"{"name":"coco","version":7}"#, DatastoreBinding(name: "coco", version: 7)),
        (#"{"name":"coco","version":"gold"}"#, DatastoreBinding(name: "coco", tag: "gold")),
    ])
    func aBindingIsPinnedOrFollows(text: String, expected: DatastoreBinding) throws {
        #expect(try decode(DatastoreBinding.self, text) == expected)
        #expect(try decode(DatastoreBinding.self, json(expected)) == expected)
    }

    @Test func whatFollowsTheLatestIsWrittenSo() throws {
        #expect(try json(DatastoreBinding(name: "coco")) == #"{"name":"coco","version":"latest"}"#)
        #expect(try json(DatastoreBinding(name: "coco", version: 7)) == #"{"name":"coco","version":7}"#)
    }

    @Test(arguments: [
        Refused(#"{"name": "coco", "version": "7"}"#, .invalidValue, "datastores.version"),
        Refused(#"{"name": "coco", "version": true}"#, .invalidValue, "version"),
        Refused(#"{"version": 7}"#, .missingField, "name"),
        Refused(#"{"name": "coco", "versions": 7}"#, .unknownField, "versions"),
    ])
    func bindingsThatMeanNothingAreRefused(_ refused: Refused) {
        let error = expectError(refused.code) { try decode(DatastoreBinding.self, refused.text) }
        #expect(error?.errors.first?.field == refused.field)
    }

    @Test func domainsAreWrittenAndReadExactly() throws {
        let request = SetDomainRequest(
            datastores: [DatastoreBinding(name: "a", version: 1)], defaults: QueryDefaults(k: 4, minScore: 0.5))
        #expect(
            try json(request)
                == #"{"datastores":[{"name":"a","version":1}],"defaults":{"k":4,"min_score":0.5}}"#)
        #expect(try decode(SetDomainRequest.self, json(request)) == request)
        #expect(try decode(SetDomainRequest.self, #"{"datastores": []}"#).defaults == QueryDefaults())
        let error = expectError(.unknownField) {
            try decode(SetDomainRequest.self, #"{"datastores": [], "defaults": {"minscore": 1}}"#)
        }
        #expect(error?.errors.first?.field == "defaults.minscore")
        let info = DomainInfo(
            domain: "d", revision: 2, reason: .rollback, restoredRevision: 1,
            createdAt: Date(timeIntervalSince1970: 1_750_000_000),
            datastores: [BoundDatastore(name: "a", version: 1, followsLatest: false)], defaults: QueryDefaults())
        #expect(
            try json(info)
                == #"{"created_at":"2025-06-15T15:06:40Z","datastores":[{"follows_latest":false,"name":"a","version":1,"#
                + #""weight":1}],"defaults":{},"domain":"d","reason":"rollback","restored_revision":1,"revision":2}"#)
        #expect(try decode(DomainInfo.self, json(info)) == info)
    }

    @Test func importsAreWrittenAndReadExactly() throws {
        let request = ImportRequest(
            rowsPath: "/a b/rows", vectorsPath: "v.npy", options: ImportOptions(build: false, strict: true))
        #expect(
            try json(request) == #"{"build":false,"rows_path":"/a b/rows","strict":true,"vectors_path":"v.npy"}"#)
        #expect(try decode(ImportRequest.self, json(request)) == request)
        #expect(
            try decode(ImportRequest.self, #"{"rows_path": "x"}"#)
                == ImportRequest(rowsPath: "x", options: ImportOptions(build: true, strict: false)))
        expectError(.missingField) { try decode(ImportRequest.self, #"{"vectors_path": "x"}"#) }
        expectError(.unknownField) { try decode(ImportRequest.self, #"{"rows_path": "x", "dryrun": true}"#) }
    }

    @Test func optionsOfAnImportAreWrittenAndReadExactly() throws {
        let options = ImportOptions(
            build: false, strict: true, dryRun: true, format: .karpathy, splits: ["train"], captionText: .tokens,
            columns: ["text": "1"], header: false, origin: .web, lang: "en", source: "s",
            filters: ImportFilters(maxWords: 25, maxTokens: 26, minLetters: 2, languages: ["en"], dropDuplicates: true))
        #expect(try decode(ImportOptions.self, json(options)) == options)
        let request = ImportRequest(rowsPath: "r", options: options)
        #expect(try decode(ImportRequest.self, json(request)) == request)
        #expect(try decode(ImportOptions.self, "{}") == ImportOptions())
        for bad in [
            #"{"max_words": 0}"#, #"{"max_tokens": 1.5}"#, #"{"min_letters": -1}"#, #"{"columns": {"txt": "1"}}"#,
            #"{"format": "xml"}"#, #"{"caption_text": "both"}"#, #"{"lang": "e\u0000n"}"#,
        ] {
            expectError(.invalidValue) { try decode(ImportOptions.self, bad) }
        }
    }

    @Test func datastoresAreWrittenAndReadExactly() throws {
        let request = CreateDatastoreRequest(
            name: "coco", kind: .names,
            keys: [KeySpec(name: "text", dim: 384, metric: .innerProduct, encoder: Encoder(model: "m", revision: "r"))],
            licence: "CC0-1.0")
        #expect(
            try json(request)
                == #"{"keys":[{"dim":384,"encoder":{"model":"m","revision":"r"},"kind":"dense","metric":"ip","name":"text"}],"#
                + #""kind":"names","licence":"CC0-1.0","name":"coco"}"#)
        #expect(try decode(CreateDatastoreRequest.self, json(request)) == request)
        expectError(.invalidValue) {
            try decode(CreateDatastoreRequest.self, #"{"name": "x", "kind": "images", "keys": []}"#)
        }
        expectError(.unknownField) { try decode(UpdateDatastoreRequest.self, #"{"name": "x"}"#) }
        #expect(try decode(UpdateDatastoreRequest.self, "{}") == UpdateDatastoreRequest())
        expectError(.unknownField) { try decode(RollbackRequest.self, #"{"revision": 1}"#) }
        #expect(try decode(RollbackRequest.self, #"{"to": 3}"#).to == 3)
    }

    @Test(arguments: [
        ("null", JSONValue.null), ("true", .bool(true)), ("1", .integer(1)), ("-9223372036854775808", .integer(.min)),
        ("0.5", .number(0.5)), (#""ü\"\n""#, .string("ü\"\n")),
        ("[1,[],{}]", .array([.integer(1), .array([]), .object([:])])),
        (#"{"a":{"b":false}}"#, .object(["a": .object(["b": .bool(false)])])), (#""1""#, .string("1")),
        (#""true""#, .string("true")),
    ])
    func anyJSONStaysAsItCame(text: String, value: JSONValue) throws {
        #expect(try decode(JSONValue.self, text) == value)
        #expect(try json(value) == text)
    }

    // MARK: Decoding errors

    private struct Probe: Codable {
        struct Inner: Codable { var number: Int }
        var list: [Inner]
    }

    @Test(arguments: [
        Refused(#"{"list": [{"number": 1}, {}]}"#, .missingField, "list[1].number"),
        Refused(#"{"list": [{"number": "x"}]}"#, .invalidValue, "list[0].number"),
        Refused(#"{"list": [{"number": null}]}"#, .invalidValue, "list[0].number"),
        Refused(#"{"list": {}}"#, .invalidValue, "list"),
        Refused(#"{"list": null}"#, .invalidValue, "list"),
        Refused(#"[]"#, .invalidValue, ""),
        Refused(#"{"list": [}"#, .invalidJSON, nil),
        Refused("{} {}", .invalidJSON, nil),
    ])
    func decodingErrorsSayWhatAndWhere(_ refused: Refused) {
        let error = expectError(refused.code) { try decode(Probe.self, refused.text) }
        #expect(error?.errors.first?.field == refused.field)
        #expect(error?.detail.isEmpty == false)
    }

    @Test func theSameValueHasTheSameBytes() throws {
        let object = JSONValue.object(
            Dictionary(uniqueKeysWithValues: (0..<50).map { ("key \($0 * 7919 % 101)", JSONValue.integer(Int64($0))) }))
        let bytes = try WireJSON.encode(object)
        for _ in 0..<20 {
            let again = try WireJSON.decode(JSONValue.self, from: bytes)
            #expect(try WireJSON.encode(again) == bytes)
        }
    }
}

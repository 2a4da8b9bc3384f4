import DatastoreCore
import Foundation
import HTTPTypes
import Hummingbird
import Logging
import RetrievalEngine
import TestSupport
import Testing

@testable import CapstanServer

/// `openapi.yaml` is part of the product; the server and the Wire types are held to it.
struct ContractTests {
    @Test func theDocumentHasEveryRouteAndNoOther() async throws {
        let directory = try TemporaryDirectory()
        let logger = Logger.quiet
        let engine = RunningEngine(
            try CapstanEngine(EngineConfiguration(dataDirectory: directory.file("data")), logger: logger))
        let router = buildRouter(engine: engine.engine, configuration: ServerConfiguration())
        try router.validate()
        let routes = router.routes.map {
            OpenAPI.Operation(method: $0.method.rawValue, path: $0.path.description)
        }
        await engine.stop()
        #expect(routes.sorted() == (try OpenAPI.document().operations.keys.sorted()))
    }

    @Test func theDocumentIsServedAsItIs() async throws {
        try await TestServer.run { server in
            let answer = try await server.get("/openapi.yaml")
            #expect(answer.status == 200)
            #expect(answer.body == (try Data(contentsOf: OpenAPI.file)))
        }
    }

    @Test func theDocumentIsOfThisRelease() throws {
        #expect(try OpenAPI.document().root["info"]["version"] == .string(Release.version))
    }

    @Test func errorCodesAreThoseOfTheDocument() throws {
        let codes = try OpenAPI.document().schema("ErrorCode")["enum"].items.compactMap(\.string)
        #expect(codes == ErrorCode.allCases.map(\.rawValue))
        let meanings = try #require(try OpenAPI.document().schema("ErrorCode")["description"].string)
        for code in codes { #expect(meanings.contains("| `\(code)` |"), "\(code) is not explained") }
    }

    @Test func everyStatusOfAnErrorIsDescribed() throws {
        let document = try OpenAPI.document()
        let described = Set(
            document.operations.values.flatMap { operation in
                operation["responses"].members.compactMap { status, response -> String? in
                    document.schemas.resolved(response)["content"]["application/problem+json"] == .null ? nil : status
                }
            })
        // These end a start and are never an answer.
        let silent: [ErrorCode] = [.dataDirectoryInUse, .listenRefused]
        for code in ErrorCode.allCases where !silent.contains(code) {
            #expect(described.contains(String(code.status.code)), "\(code)")
        }
    }

    @Test func everyOperationIsDescribedInFull() throws {
        let document = try OpenAPI.document()
        var ids: [String] = []
        for (name, operation) in document.operations {
            #expect(operation["summary"].string?.isEmpty == false, "\(name)")
            ids.append(try #require(operation["operationId"].string, "\(name)"))
            #expect(!operation["tags"].items.isEmpty, "\(name)")
            for (status, response) in operation["responses"].members {
                let response = document.schemas.resolved(response)
                #expect(response["description"].string != nil, "\(name) \(status)")
                #expect(response["headers"]["X-Request-ID"] != .null, "\(name) \(status)")
            }
            let template = name.path.split(separator: "/").filter { $0.hasPrefix("{") }
            let parameters = document.root["paths"][name.path]["parameters"].items.map(document.schemas.resolved)
            #expect(
                parameters.compactMap { $0["name"].string.map { "{\($0)}" } } == template.map(String.init), "\(name)")
        }
        #expect(Set(ids).count == ids.count)
    }

    @Test func everyReferenceOfTheDocumentLeadsSomewhere() throws {
        let document = try OpenAPI.document()
        var references = 0
        func check(_ value: JSONValue) {
            if let reference = value["$ref"].string {
                references += 1
                #expect(document.schemas.resolved(value) != .null, "\(reference)")
            }
            value.members.values.forEach(check)
            value.items.forEach(check)
        }
        check(document.root)
        #expect(references > 200)
    }

    @Test func everyExampleOfTheDocumentFitsItsSchema() throws {
        let document = try OpenAPI.document()
        var count = 0
        func check(_ node: JSONValue, at path: String) {
            let node = document.schemas.resolved(node)
            if node["schema"] != .null {
                var examples = node["examples"].members.mapValues { $0["value"] }
                if node["example"] != .null { examples["example"] = node["example"] }
                for (name, example) in examples {
                    count += 1
                    let faults = document.schemas.faults(of: example, node["schema"], at: "\(path) \(name)")
                    #expect(faults.isEmpty)
                }
            }
            for (name, member) in node.members { check(member, at: "\(path)/\(name)") }
            for (index, item) in node.items.enumerated() { check(item, at: "\(path)/\(index)") }
        }
        check(document.root["paths"], at: "")
        #expect(count > 40)
    }

    @Test func rowsOfTheDocumentCanBeImported() async throws {
        let document = try OpenAPI.document()
        let content = document.root["paths"]["/v1/datastores/{datastore}/imports"]["post"]["requestBody"]["content"]
        let text = try #require(content["application/x-ndjson"]["examples"]["rows"]["value"].string)
        let rows = text.split(separator: "\n").map(String.init)
        #expect(rows.count == 2)
        for row in rows {
            let value = try WireJSON.decode(JSONValue.self, from: Data(row.utf8))
            #expect(document.schemas.faults(of: value, document.schema("ImportRow"), at: "row").isEmpty)
        }
        try await TestServer.run { server in
            try await server.create("coco")
            let job = try await server.importing(.rows(rows), into: "coco")
            #expect(job.counts.accepted == 2, "\(job)")
        }
    }
}

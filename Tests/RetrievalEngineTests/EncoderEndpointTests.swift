import DatastoreCore
import Foundation
import Testing

@testable import RetrievalEngine

/// What the operator may write, and that the key is shown nowhere.
struct EncoderEndpointTests {
    @Test(arguments: [
        ("clip=http://127.0.0.1:8089/v1", EncoderEndpoint.Dialect.openai, "http://127.0.0.1:8089/v1"),
        ("clip=infinity+http://127.0.0.1:7997", .infinity, "http://127.0.0.1:7997"),
        ("clip=vllm+https://gpu.example/a=b/v1", .vllm, "https://gpu.example/a=b/v1"),
        ("clip=openai+https://[::1]:8000/v1?api-version=1", .openai, "https://[::1]:8000/v1?api-version=1"),
        ("clip=HTTP://host/a+b", .openai, "HTTP://host/a+b"),
    ])
    func endpointsAreRead(argument: String, dialect: EncoderEndpoint.Dialect, url: String) throws {
        let endpoint = try EncoderEndpoint(argument: argument, apiKey: nil)
        #expect(endpoint.name == "clip")
        #expect(endpoint.dialect == dialect)
        #expect(endpoint.url.absoluteString == url)
    }

    @Test(arguments: [
        "", "clip", "=http://host", "a b=http://host", "clip=", "clip=host:80", "clip=ftp://host", "clip=http://",
        "clip=tgi+http://host", "clip=+http://host", "clip=http://host/#part", "clip=http://us:sk-1@host",
        "clip=http://sk-1@host", "clip=file:///etc/passwd", "clip=infinity+/v1",
    ])
    func whatIsNoEndpointIsRefusedWithoutRepeatingSecrets(argument: String) {
        let error = #expect(throws: DatastoreError.self) { try EncoderEndpoint(argument: argument, apiKey: "sk-2") }
        #expect(error?.code == .invalidValue)
        #expect(error.map { "\($0)".contains("sk-") } == false)
    }

    @Test(arguments: ["sk 2", "sk-2\n", "sk-2\r\nX: y", "schlüssel"])
    func aKeyThatNoHeaderCarriesIsRefused(key: String) {
        let error = #expect(throws: DatastoreError.self) { try EncoderEndpoint(argument: "a=http://b", apiKey: key) }
        #expect(error?.code == .invalidValue)
        #expect(error?.detail.contains(key) == false)
    }

    @Test func anEmptyKeyIsNone() throws {
        #expect(try EncoderEndpoint(argument: "a=http://b", apiKey: "").apiKey == nil)
    }

    @Test func theKeyIsShownNowhere() throws {
        let endpoint = try EncoderEndpoint(argument: "clip=vllm+http://host/v1?token=sk-3", apiKey: "sk-4")
        var dumped = ""
        dump([endpoint], to: &dumped)
        for text in ["\(endpoint)", String(reflecting: endpoint), "\([endpoint])", dumped, endpoint.title] {
            #expect(!text.contains("sk-"), "\(text)")
            #expect(text.contains("clip"))
        }
        #expect("\(endpoint)" == "clip=vllm+http://host/v1")
        #expect(endpoint.embeddingsURL.absoluteString == "http://host/v1/embeddings?token=sk-3")
    }
}

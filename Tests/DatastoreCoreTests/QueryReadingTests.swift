import DatastoreCore
import Foundation
import Testing

/// Questions are read to what `JSONDecoder` reads, or refused with the same words.
struct QueryReadingTests {
    private enum Outcome: Equatable {
        case read(QueryRequest)
        case refused(DatastoreError)
        case other(String)

        init(_ body: () throws -> QueryRequest) {
            do {
                self = .read(try body())
            } catch let error as DatastoreError {
                self = .refused(error)
            } catch {
                self = .other("\(error)")
            }
        }

        static func == (one: Outcome, other: Outcome) -> Bool {
            switch (one, other) {
            case (.read(let one), .read(let other)): one == other
            case (.refused(let one), .refused(let other)):
                one.code == other.code && one.detail == other.detail && one.errors == other.errors
            case (.other(let one), .other(let other)): one == other
            default: false
            }
        }
    }

    private func compare(_ body: [UInt8]) -> Bool {
        let fast = Outcome { try body.withUnsafeBytes { try QueryRequest.read($0) } }
        let slow = Outcome { try WireJSON.decode(QueryRequest.self, from: Data(body)) }
        #expect(fast == slow, "\(String(decoding: body, as: UTF8.self))")
        if case .read = slow { return true }
        return false
    }

    private static let bodies = [
        #"{"query":{"vector":[0.1,-0.2,3e-5,4]},"k":4}"#,
        #" { "k" : 2 , "query" : { "vector" : [ 1 , 2.5E+3 , -0 ] } } "#,
        #"{"query":{"vectors":[[1,2],[3,4.25]]},"merge":{"per_vector":5}}"#,
        #"{"query":{"vectors":[[1,2],[3]]}}"#, #"{"query":{"vectors":[]}}"#, #"{"query":{"vectors":[[]]}}"#,
        #"{"query":{"vector":[]}}"#, #"{"query":{"vector":[1,null]}}"#, #"{"query":{"vector":[1,"2"]}}"#,
        #"{"query":{"vector":[1,1e39]}}"#, #"{"query":{"vector":[1,1e400]}}"#, #"{"query":{"vector":[1e-50,1e-400]}}"#,
        #"{"query":{"vector":[0E1]}}"#, #"{"query":{"vector":[0.0e-1,2]}}"#, #"{"query":{"vector":[1,NaN]}}"#,
        #"{"query":{"vector":[1,-Infinity]}}"#, #"{"query":{"vector":[01]}}"#,
        #"{"query":{"vector":[1],"vector":[2]}}"#, #"{"query":{"vector":[1]},"query":{"vector":[2]}}"#,
        #"{"query":{"v\u0065ctor":[1,2]},"prompt":true}"#, #"{"query":{"vector":[1,2]},"kk":4}"#,
        #"{"query":{"vector":[1,2],"text":"a"}}"#, #"{"query":{"vector":[1,2],"lexical":{"dog":0.5}},"k":3}"#,
        #"{"query":{"vector":[1,2],"normalise_terms":true}}"#, #"{"query":{"terms":[{"vector":[1,2],"weight":2}]}}"#,
        #"{"query":{"vector":[1,2]},"filter":{"lang":["en"]},"exclude":{"image_ids":["3"]},"dedupe":"text"}"#,
        #"{"query":{"vector":[1,2]}} x"#, #"{"query":{"vector":[1,2]}"#, #"{"query":{"vector":[1,2}}"#,
        #"{"query":[1,2]}"#, #"[1]"#, "", "{}", #"{"query":{"vector":[1,2]},"k":1.5}"#,
        #"{"query":{"vector":{"a":1}}}"#,
        #"{"query":{"vector":[16777217,0.1,3.4028235e38,3.4028236e38,1e-45]}}"#, #"{"query":{"text":"caption"},"k":1}"#,
        #"{"query":{"vector":[1,2]},"prompt":{"template":"a || b"},"min_score":0.25,"include_pending":true}"#,
    ]

    @Test(arguments: bodies) func aBodyIsReadOrRefusedAsJSONDecoderDoes(body: String) {
        _ = compare(Array(body.utf8))
        _ = compare([0xEF, 0xBB, 0xBF] + Array(body.utf8))
        _ = compare(body.utf16.flatMap { [UInt8($0 & 0xFF), UInt8($0 >> 8)] })
    }

    /// Foundation's reader of JSON5, once asked about every malformed body, ended the process on these.
    @Test(arguments: [[0x7B, 0xFF], [0x7B, 0xC3], [0x7B, 0x61, 0x80, 0x3A], [0x5B, 0x7B, 0xE2, 0x82]])
    func aBodyThatIsNoUTF8IsRefused(body: [UInt8]) {
        expectError(.invalidJSON) { try body.withUnsafeBytes { try QueryRequest.read($0) } }
    }

    @Test func mutatedBodiesAreReadOrRefusedAsJSONDecoderDoes() {
        var random = SplitMix64(seed: 11)
        let alphabet = Array(#"{}[]",:\0123456789+-.eEN "#.utf8) + [0x00, 0x80, 0xC3, 0xFF]
        var read = 0
        for _ in 0..<6000 {
            var bytes = Array(Self.bodies[Int.random(in: 0..<Self.bodies.count, using: &random)].utf8)
            for _ in 0..<Int.random(in: 0...2, using: &random) where !bytes.isEmpty {
                let position = Int.random(in: 0..<bytes.count, using: &random)
                let byte = alphabet[Int.random(in: 0..<alphabet.count, using: &random)]
                switch Int.random(in: 0..<3, using: &random) {
                case 0: bytes.remove(at: position)
                case 1: bytes.insert(byte, at: position)
                default: bytes[position] = byte
                }
            }
            if compare(bytes) { read += 1 }
        }
        #expect(read > 300)
    }

    @Test func numbersOfEveryLengthAreReadAsJSONDecoderReadsThem() {
        var random = SplitMix64(seed: 12)
        for _ in 0..<300 {
            let numbers = (0..<40).map { _ -> String in
                let value = Float(bitPattern: UInt32.random(in: 0...UInt32.max, using: &random))
                guard value.isFinite else { return "0" }
                switch Int.random(in: 0..<4, using: &random) {
                case 0: return "\(Double(value))"
                case 1: return String(format: "%.17g", Double(value))
                case 2: return String(format: "%.9g", Double(value))
                default: return "\(value)"
                }
            }
            #expect(compare(Array(#"{"query":{"vector":[\#(numbers.joined(separator: ","))]}}"#.utf8)))
        }
    }
}

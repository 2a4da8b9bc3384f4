import DatastoreCore
import Foundation
import Testing

struct JSONScannerTests {
    private func scan<Result>(_ text: [UInt8], _ body: (inout JSONScanner) throws -> Result) throws -> Result {
        // Bytes behind the text show whether the scanner reads on.
        let padded = text + [0x31, 0x31]
        return try padded.withUnsafeBytes { bytes in
            var scanner = JSONScanner(UnsafeRawBufferPointer(rebasing: bytes[..<text.count]))
            let result = try body(&scanner)
            try scanner.end()
            return result
        }
    }

    private func value(_ text: String) throws -> JSONValue {
        try scan(Array(text.utf8)) { try $0.value() }
    }

    private func floats(_ text: String, keeping limit: Int = .max) throws -> JSONScanner.Floats {
        try scan(Array(text.utf8)) { try $0.floats(keeping: limit) }
    }

    private static let documents = [
        #"{"a": [1, -2, 3.5, 1e3, 1E-2, -0, 0.0, 12345678901], "b": {"c": null, "d": [true, false, {}, []]}}"#,
        #"["plain", "esc \" \\ \/ \b \f \n \r \t", "\u0041\u00e9\u20AC\ud83d\ude00", "grüße 😀"]"#,
        #" [ ] "#, #""text""#, "0", "-1.25e+2", "true", "null", #"{"":{"":[[[]]]}}"#, #"{"id":"x","vector":[0.5,1]}"#,
    ]

    @Test(arguments: documents)
    func readsWhatJSONDecoderReads(document: String) throws {
        let expected = try JSONDecoder().decode(JSONValue.self, from: Data(document.utf8))
        #expect(try value(document) == expected)
    }

    @Test func mutatedDocumentsAreReadOrRefusedAsJSONDecoderDoes() throws {
        var random = SplitMix64(seed: 4)
        let alphabet = Array(#"{}[]",:\/tfnu0123456789+-.eE ab"#.utf8)
        var read = 0
        for _ in 0..<6000 {
            var bytes = Array(Self.documents[Int.random(in: 0..<Self.documents.count, using: &random)].utf8)
            for _ in 0..<Int.random(in: 1...3, using: &random) where !bytes.isEmpty {
                let position = Int.random(in: 0..<bytes.count, using: &random)
                switch Int.random(in: 0..<3, using: &random) {
                case 0: bytes.remove(at: position)
                case 1: bytes.insert(alphabet[Int.random(in: 0..<alphabet.count, using: &random)], at: position)
                default: bytes[position] = alphabet[Int.random(in: 0..<alphabet.count, using: &random)]
                }
            }
            guard String(validating: bytes, as: UTF8.self) != nil else { continue }
            let text = String(decoding: bytes, as: UTF8.self)
            let expected = try? JSONDecoder().decode(JSONValue.self, from: Data(bytes))
            do {
                let got = try scan(bytes) { try $0.value() }
                #expect(got == expected, "\(text)")
                read += 1
            } catch let error as RowFault {
                // JSONDecoder lets a comma end an array or object, and takes one of two equal names.
                let isLax = text.contains(/,\s*[\]}]/)
                let isStricter = isLax || error.detail.contains("twice") || error.code == .invalidValue
                #expect(expected == nil || isStricter, "\(text): \(error.detail)")
            }
        }
        #expect(read > 500)
    }

    @Test(arguments: [
        "", " ", "{", "}", "[1,]", "[,1]", "[1 2]", #"{"a"}"#, #"{"a":}"#, #"{"a":1,}"#, #"{a:1}"#, #"{'a':1}"#, "01",
        "-",
        "+1", "1.", ".5", "1e", "1e+", "0x10", "NaN", "Infinity", "-Infinity", "tru", "True", "nul", #"""#, #""\"#,
        #""\x""#, #""\u12""#, #""\u12g4""#, #""\ud800""#, #""\udc00""#, #""\ud800\u0041""#, #""\ud800x""#, "\"a\nb\"",
        "\"\0\"", "1 1", "[1] x", "// c\n1", #"{"a":1,"a":1}"#, #"{"a":1,"\u0061":2}"#, "\u{FEFF}1",
    ])
    func refusesWhatIsNotStrictJSON(text: String) {
        #expect(throws: RowFault.self) { try value(text) }
        let fault = #expect(throws: RowFault.self) { try value("[" + text) }
        #expect(fault?.code == .invalidJSON)
    }

    @Test(arguments: ["1e400", "-1e400", "9223372036854775808", "123456789012345678901234567890"])
    func numbersThatWouldChangeAreRefused(text: String) {
        let fault = #expect(throws: RowFault.self) { try value(text) }
        #expect(fault?.code == .invalidValue)
    }

    @Test func nestingIsLimited() throws {
        let depth = JSONScanner.maximumDepth
        let nested = { (levels: Int) in String(repeating: "[", count: levels) + String(repeating: "]", count: levels) }
        _ = try value(nested(depth))
        #expect(throws: RowFault.self) { try value(nested(depth + 1)) }
        #expect(throws: RowFault.self) { try value(String(repeating: "[", count: 1_000_000)) }
        #expect(throws: RowFault.self) { try value(String(repeating: #"{"":"#, count: 1_000_000)) }
    }

    @Test func faultsSayWhereAndWhat() {
        let fault = #expect(throws: RowFault.self) { try value(#"{"a": [1, x]}"#) }
        #expect(fault?.detail == "not valid JSON: byte 10: got 'x', expected a value")
    }

    @Test func floatsAreRoundedAsSwiftRoundsThem() throws {
        var random = SplitMix64(seed: 5)
        var texts = [
            "0", "-0", "0.0", "-0.0e5", "1", "-1", "1e10", "1e22", "1e23", "1e-22", "1e-23", "3.4028235e38",
            "3.4028236e38", "1.1754944e-38", "1e-45", "7e-46", "1e-400", "0.1", "16777217", "16777219", "33554433",
            "9007199254740993",
            "18446744073709551615", "18446744073709551616", "1.00000005960464477539", "1.000000059604644775390625",
            "1.000000059604644775390626", "1.000000178813934326171875", "0.000000000000000000000000000001",
            "1e-0000000000000000000005", "5e00000000000000000000000001", "1" + String(repeating: "0", count: 30),
            "0." + String(repeating: "0", count: 1_000_000) + "1e1000001",
        ]
        for _ in 0..<20_000 {
            let float = Float(bitPattern: UInt32.random(in: 0..<0x7F80_0000, using: &random))
            // Half way to the next float, and near it.
            let middle = (Double(float) + Double(float.nextUp)) / 2
            texts += ["\(float)", "\(Double(float))", "\(middle)", "-\(middle.nextUp)", "\(middle.nextDown)"]
            let near = Double.random(in: -2...2, using: &random)
            let middleNear = (Double(Float(near)) + Double(Float(near).nextUp)) / 2
            texts += ["\(near)", "\(Float(near))", String(format: "%.6f", near), String(format: "%.25e", near)]
            texts += ["\(middleNear)", String(format: "%.17g", middleNear), String(format: "%.30f", middleNear)]
        }
        texts = texts.filter { Double($0)?.isFinite == true }
        let got = try floats("[" + texts.joined(separator: ", ") + "]")
        #expect(got.count == texts.count)
        let wrong = zip(texts, got.values).first { Float($0)?.bitPattern != $1.bitPattern }
        #expect(wrong == nil)
    }

    @Test func floatsAreCountedButKeptToTheLimit() throws {
        let got = try floats(" [1, 2 ,3,4 ] ", keeping: 2)
        #expect(got.values == [1, 2])
        #expect(got.count == 4)
        #expect(got.firstOther == nil)
        #expect(try floats("[]").count == 0)
    }

    @Test func elementsThatAreNoNumbersAreFound() throws {
        #expect(try floats(#"[1, "2", null]"#).firstOther == 1)
        #expect(try floats("[[1, 2]]").firstOther == 0)
        let python = try floats("[NaN, Infinity, -Infinity, 1e39]").values
        #expect(python[0].isNaN)
        #expect(Array(python[1...]) == [.infinity, -.infinity, .infinity])
    }

    @Test(arguments: ["[1", "[1,]", "[01]", "[1.]", "[-]", "[-N]", "[+1]", "[Nan]", "[1e]", "[.5]", "[1 2]"])
    func floatsKeepTheNumberGrammar(text: String) {
        #expect(throws: RowFault.self) { try floats(text) }
    }
}

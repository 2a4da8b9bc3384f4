import DatastoreCore
import DatastoreImport
import Foundation
import Testing

/// Real captions and their vectors, which the repository does not hold.
struct CaptionDataTests {
    static let folder: URL = {
        if let path = ProcessInfo.processInfo.environment["CAPSTAN_TEST_DATA"] { return URL(filePath: path) }
        let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        return root.deletingLastPathComponent().appending(path: "shared/data")
    }()

    private static let rows = folder.appending(path: "sets/coco50k.jsonl.gz").path()
    private static let vectors = folder.appending(path: "sets/coco50k.f16.npy").path()
    private static let isPresent = [rows, vectors].allSatisfy(FileManager.default.isReadableFile(atPath:))

    @Test(.enabled(if: isPresent, "no sets/coco50k under CAPSTAN_TEST_DATA"))
    func cocoIsReadWhole() throws {
        let key = KeySpec(name: "text", dim: 384, metric: .cosine)
        let reader = try ImportReader(rowsPath: Self.rows, vectorsPath: Self.vectors, key: key)
        #expect(reader.vectorsAreHalfPrecision)
        var rows = 0
        var smallest = Float.infinity
        var largest: Float = 0
        while let record = try reader.next() {
            let row = try #require(record.row, "\(record)")
            rows += 1
            let norm = try #require(row.vector).withUnsafeBufferPointer { values in
                var sum: Float = 0
                for index in 0..<values.count { sum += values[index] * values[index] }
                return sum.squareRoot()
            }
            smallest = min(smallest, norm)
            largest = max(largest, norm)
            if rows == 1 {
                #expect(row.fields.text == "A zebra grazing on lush green grass in a field.")
                #expect(row.fields.externalID == "199400")
                #expect(row.fields.imageID == "34")
            }
        }
        #expect(rows == 50_000)
        #expect(smallest > 0.999)
        #expect(largest < 1.001)
        #expect(reader.bytesRead == reader.totalBytes)
    }
}

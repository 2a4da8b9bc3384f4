import DatastoreCore
import DatastoreImport
import Testing

struct FormatDetectionTests {
    private let rows: RowsFixture

    init() throws {
        rows = try RowsFixture()
    }

    @Test(arguments: [
        (#"{"text":"a"}"#, ImportFormat.ndjson), (#"{"vector":[1,0],"id":7,"caption":"a"}"#, .ndjson),
        (#"{"id":1}"# + "\n" + #"{"text":"a"}"#, .ndjson), (#"{"text": "a"#, .ndjson), ("{}", .ndjson),
        (#"{"text" "a"}"# + "\n" + #"{"text":"a"}"#, .ndjson), (" \n ", .ndjson), ("", .ndjson),
        (#"{"info":{},"images":[{"id":1,"height":2}],"annotations":[]}"#, .coco),
        (#"{"annotations":[{"caption":"a"}]}"#, .coco),
        (#"{"dataset":"x","images":[{"imgid":0,"sentids":[1]}]}"#, .karpathy),
        (#"[{"image":"a","caption":"b"}]"#, .captionList), (#"[{"url":"a","caption":["b"]}]"#, .captionList),
        (#"["a"]"#, .texts), ("[]", .texts), ("[null, \"a\"]", .texts), (#"{"0":"a"}"#, .texts),
        (#"{"0":{"caption":"a"}}"#, .texts), (#"[{"id":1,"name":"a_b","def":"x"}]"#, .lvis),
        ("a.jpg#0\tA boat\na.jpg#1\tA boat", .flickrToken), ("a.jpg|0|A boat\n", .flickrResults),
        ("image_name|comment_number|comment\n", .flickrResults), ("caption\turl\nA boat\tu\n", .tsv),
        ("A boat\thttp://host/a\nA hat\thttp://host/b\n", .tsv), ("image,caption\n", .csv),
        ("IMAGE;CAPTION\na;b\n", .csv), ("http://host/a.jpg,A boat\nhttp://host/b.jpg,A hat\n", .csv),
        ("A boat, and a hat\nA dog\n", .text), ("[music] a song, sung\n", .text), ("{smiling} a man\n", .text),
        ("Ivy, on a wall\n", .text), ("the caption, text and all\na\n", .text), ("a.tif\nb.tif\n", .text),
    ])
    func formIsFoundByContent(text: String, format: ImportFormat) throws {
        for bytes in [Array(text.utf8), [0xEF, 0xBB, 0xBF] + Array(text.utf8), try gzip(Array(text.utf8))] {
            for chunkSize in [1, 7, 100_000] {
                #expect(try rows.reader(bytes, chunkSize: chunkSize).format == format, "\(text)")
            }
        }
    }

    @Test(arguments: [
        ("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5\n", ErrorCode.lfsPointer, "git lfs pull"),
        ("\n<!DOCTYPE html>\n<html>", .htmlPage, "download the file again"), ("<html><body>", .htmlPage, "web page"),
        ("PK\u{3}\u{4}xx", .formatUnknown, "zip"), ("PAR1xxxx", .formatUnknown, "Parquet"),
        ("IxF2\0\0\0\0", .formatUnknown, "--vectors"), ("[1, 2]", .formatUnknown, "JSON array"),
        (#"[{"a":1}]"#, .formatUnknown, "\"a\""), ("{\n\"a\": 1,\n\"b\": 2}", .formatUnknown, #""a", "b""#),
        ("\u{1}\u{2}\u{3}\u{4}\u{5}abc", .formatUnknown, "binary"),
    ])
    func filesOfOtherKindsAreNamed(text: String, code: ErrorCode, message: String) {
        let error = rows.error(text)
        #expect(error?.code == code)
        #expect(error?.detail.hasPrefix("rows: got ") == true)
        #expect(error?.detail.contains(message) == true, "\(error?.detail ?? "")")
    }

    @Test(arguments: [
        ([0x80, 0x04, 0x95, 0x00], "pickle"), ([0x89, 0x48, 0x44, 0x46, 0x0D], "HDF5"),
        ([0x93] + Array("NUMPY".utf8) + [1, 0], "--vectors"), ([0xFF, 0xFE, 0x61, 0x00], "UTF-16"),
        ([0x28, 0xB5, 0x2F, 0xFD], "zstd"),
    ])
    func binaryFilesAreNamed(bytes: [UInt8], message: String) {
        for options in [ImportOptions(), ImportOptions(format: .text)] {
            let error = rows.error(bytes, options)
            #expect(error?.code == .formatUnknown)
            #expect(error?.detail.contains(message) == true)
        }
    }

    @Test(arguments: [
        (#"{"images":[{"id":1}],"annotations":[]}"#, ImportFormat.karpathy, "got coco, expected karpathy"),
        (#"["a"]"#, .ndjson, "got texts"), (#"["a"]"#, .captionList, "got texts"), (#"["a"]"#, .coco, "got texts"),
        (#"{"text":"a"}"#, .lvis, "got ndjson"), (#"{"text":"a"}"#, .csv, "got ndjson"), ("a boat", .coco, "got text"),
        (#"[{"caption":"a"}]"#, .text, "got caption_list"), ("a boat", .flickrToken, "got text"),
        ("a boat", .flickrResults, "got text"), ("a boat", .tsv, "got text"), ("a boat", .texts, "got text"),
        ("a boat\thttp://b\n", .csv, "got tsv"), ("a boat\thttp://b\n", .flickrToken, "got tsv"),
        ("[5]", .coco, "JSON"),
        (#"{"info":{}}"#, .coco, #"got the members "info", expected an object with an array "annotations""#),
        (#"{"annotations":5}"#, .coco, "is no array"), (#"{}"#, .karpathy, "got the members none"),
    ])
    func namedFormThatDoesNotFitIsRefused(text: String, format: ImportFormat, message: String) {
        let error = rows.error(text, ImportOptions(format: format))
        #expect(error?.code == .formatMismatch)
        #expect(error?.detail.hasPrefix("rows: ") == true)
        #expect(error?.detail.contains(message) == true, "\(error?.detail ?? "")")
    }

    @Test(arguments: ImportFormat.allCases)
    func emptyFileHasNoRowsInAnyForm(format: ImportFormat) throws {
        for text in ["", "\n \n", "\u{FEFF}"] {
            #expect(try rows.records(text, ImportOptions(format: format)) == [])
        }
    }

    @Test func optionsOfOtherFormsAreRefused() {
        #expect(rows.error("a boat", ImportOptions(splits: ["train"]))?.errors.map(\.field) == ["splits"])
        let columns = rows.error(#"["a"]"#, ImportOptions(columns: ["text": "1"]))
        #expect(columns?.code == .invalidValue)
        #expect(columns?.errors.map(\.field) == ["columns"])
    }

    @Test(arguments: ["IxFI", "IxF2", "IxFl", "IxMp", "IwFl", "IwSq", "IwPQ", "IHNf", "IxPT"])
    func vectorsAreToldApart(fourcc: String) throws {
        let index = try rows.folder.write("a.index", Array(fourcc.utf8) + [4, 0, 0, 0, 9])
        guard case .faissIndex = try VectorsFileKind(path: index) else { throw RowFault(.internalError, fourcc) }
        let numpy = try rows.folder.write("a.npy", NumpyFixture(rows: [[1, 2]], dim: 2).bytes)
        guard case .numpy = try VectorsFileKind(path: numpy) else { throw RowFault(.internalError, fourcc) }
    }

    @Test func otherVectorsAreRefused() throws {
        for (text, code, message) in [
            ("PK\u{3}\u{4}", ErrorCode.npyNotNumpy, "zip"), ("1.0 2.0", .npyNotNumpy, "NUMPY"),
            ("", .npyNotNumpy, "empty"), ("Ivy on a wall", .npyNotNumpy, "NUMPY"), ("<html>", .htmlPage, "web page"),
            ("version https://git-lfs.github.com/spec/v1", .lfsPointer, "git lfs pull"),
        ] {
            let path = try rows.folder.write("vectors", text)
            let error = datastoreError { _ = try VectorsFileKind(path: path) }
            #expect(error?.code == code)
            #expect(error?.detail.contains(message) == true)
        }
    }
}

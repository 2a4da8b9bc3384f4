package import DatastoreCore

/// A small file of each form of rows, as other programs write them: 12 captions each, 24 the one of commas.
package enum FormSamples {
    package static let all: [ImportFormat: String] = [
        .ndjson: (0..<12).map { "{\"id\":\($0),\"text\":\"row \($0) é\",\"k\":[1,{\"a\":\"\\\"\"}]}\n" }.joined(),
        .coco: """
        {"info": {"a": [1, "]"]}, "images": [{"id": 1, "file_name": "x"}],
         "annotations": [
        """
            + (0..<12).map { "{\"id\": \($0), \"image_id\": 1, \"caption\": \"row \($0) \\u00e9\"}" }
            .joined(separator: ",\n") + "]}\n",
        .karpathy: "{\"images\": ["
            + (0..<6).map { image in
                """
                {"filename": "\(image).jpg", "split": "train",
                 "sentences": [{"raw": "a é", "sentid": \(2 * image)},
                 {"tokens": ["b", "c"], "sentid": \(2 * image + 1)}]}
                """
            }.joined(separator: ", ") + "], \"dataset\": \"x\"}",
        .flickrToken: (0..<12).map { "\($0 / 5).jpg#\($0)\tA red hat é .\r\n" }.joined(),
        .flickrResults: "image_name|comment_number|comment\n"
            + (0..<12).map { "\($0 / 5).jpg| \($0)| A red hat é .\n" }.joined(),
        .csv: "image,caption,id\n"
            + (0..<12).map { "\($0).jpg,\"A \"\"red\"\" hat,\né .\",\($0)\nb.jpg,A hat,x\($0)\n" }.joined(),
        .tsv: (0..<12).map { "A red hat é \($0)\thttp://host/\($0).jpg\n" }.joined(),
        .captionList: "["
            + (0..<6).map { "{\"image\": \"\($0).jpg\", \"caption\": [\"a é\", \"b\"], \"id\": \($0)}" }
            .joined(separator: ",\n ") + "]",
        .texts: "{" + (0..<12).map { "\"\($0)\": \"row é\"" }.joined(separator: ", ") + "}",
        .text: (0..<12).map { "A red hat é \($0)\n" }.joined(),
        .lvis: "["
            + (0..<12).map { "{\"id\": \($0), \"name\": \"red_hat_\($0)\", \"synonyms\": [\"é\"], \"def\": \"x\"}" }
            .joined(separator: ", ") + "]",
    ]

    package static let formats = all.keys.sorted { $0.rawValue < $1.rawValue }
}

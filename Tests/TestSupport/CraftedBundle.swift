package import Bundles
package import DatastoreCore
package import Foundation

/// A bundle put together by hand, so that any part of it can be wrong.
package struct CraftedBundle {
    /// A member of the tar, as it says of itself.
    package struct Member {
        package var name: String
        package var content: [UInt8]
        package var type = UInt8(ascii: "0")
        package var link = ""
        /// What the block says; else the content's.
        package var size: Int?
        /// Whether the sum of the block is right.
        package var isIntact = true

        package init(_ name: String, _ content: [UInt8], type: Character = "0", link: String = "") {
            self.name = name
            self.content = content
            self.type = type.asciiValue ?? 0
            self.link = link
        }

        var block: [UInt8] {
            var block = [UInt8](repeating: 0, count: 512)
            func put(_ text: String, at offset: Int) {
                block.replaceSubrange(offset..<offset + text.utf8.count, with: text.utf8)
            }
            func octal(_ number: Int, _ digits: Int) -> String {
                let text = String(number, radix: 8)
                return String(repeating: "0", count: max(0, digits - text.count)) + text
            }
            put(String(name.prefix(100)), at: 0)
            put(octal(0o444, 7), at: 100)
            put(octal(0, 7), at: 108)
            put(octal(0, 7), at: 116)
            put(octal(size ?? content.count, 11), at: 124)
            put(octal(0, 11), at: 136)
            put("        ", at: 148)
            block[156] = type
            put(link, at: 157)
            put("ustar\0" + "00", at: 257)
            let sum = block.reduce(0) { $0 + Int($1) }
            put(octal(isIntact ? sum : sum + 1, 6) + "\0 ", at: 148)
            return block
        }

        var bytes: [UInt8] {
            block + content + [UInt8](repeating: 0, count: (512 - content.count % 512) % 512)
        }
    }

    package var header: BundleHeader
    package var members: [Member]
    package var end = [UInt8](repeating: 0, count: 1024)
    /// Bytes of the tar in each frame.
    package var frameBytes = 4096

    /// The bundle of a version's folder.
    package init(version folder: URL, datastore: DatastoreInfo, number: Int) throws {
        let manifest = try Data(contentsOf: folder.appending(path: "manifest.json"))
        struct Files: Decodable { var files: [VersionFile] }
        let files = try WireJSON.decode(Files.self, from: manifest).files
        header = BundleHeader(
            datastore: datastore.name, version: number, kind: datastore.kind, keys: datastore.keys,
            description: datastore.description, licence: datastore.licence, manifestSHA256: Checksum.hex(of: manifest))
        members =
            try [Member("manifest.json", Array(manifest))]
            + files.map { Member($0.name, Array(try Data(contentsOf: folder.appending(path: $0.name)))) }
    }

    /// A bundle of these files, and a manifest of them.
    package init(files: [(name: String, content: [UInt8])]) throws {
        header = BundleHeader(
            datastore: "tiny", version: 1, kind: .captions, keys: [KeySpec(name: "text", dim: 4, metric: .cosine)],
            description: nil, licence: nil, manifestSHA256: "")
        members = []
        try setManifest(
            files: files.map {
                VersionFile(name: $0.name, bytes: Int64($0.content.count), sha256: Checksum.hex(of: Data($0.content)))
            })
        members += files.map { Member($0.name, $0.content) }
    }

    /// Replaces the manifest's list, and all else that it says.
    package mutating func setManifest(files: [VersionFile], datastore: String = "tiny", version: Int = 1) throws {
        struct Manifest: Encodable {
            var format = 1
            var datastore: String
            var version: Int
            var files: [VersionFile]
        }
        try setManifest(WireJSON.encode(Manifest(datastore: datastore, version: version, files: files)))
    }

    package mutating func setManifest(_ data: Data) throws {
        header.manifestSHA256 = Checksum.hex(of: data)
        let manifest = Member("manifest.json", Array(data))
        if members.isEmpty { members = [manifest] } else { members[0] = manifest }
    }

    /// Changes the manifest's JSON.
    package mutating func editManifest(_ edit: (inout [String: JSONValue]) -> Void) throws {
        guard case .object(var members) = try WireJSON.decode(JSONValue.self, from: Data(self.members[0].content))
        else { return }
        edit(&members)
        try setManifest(WireJSON.encode(JSONValue.object(members)))
    }

    /// The tar, without frames.
    package var tar: [UInt8] { members.flatMap(\.bytes) + end }

    package func data() throws -> Data {
        try Data(header.frame()) + frames(of: tar)
    }

    /// Bytes as frames.
    package func frames(of tar: [UInt8]) throws -> Data {
        var data = Data()
        for start in stride(from: 0, to: tar.count, by: frameBytes) {
            data += try LZ4Frame.compress(Array(tar[start..<min(start + frameBytes, tar.count)]))
        }
        return data
    }
}

import DatastoreCore
package import Foundation

/// The folders below which the daemon may read sources that a client names by path.
package struct ImportRoots: Sendable {
    private let roots: [String]

    package init(_ roots: [URL]) {
        self.roots = roots.map { $0.resolvingSymlinksInPath().standardizedFileURL.path }
    }

    /// The real path of a file, after all symbolic links, when it is below a root.
    ///
    /// - Parameter path: absolute, or relative to one of the roots.
    /// - Throws: `import_by_path_disabled`, `path_outside_import_roots`, `source_unreadable`.
    package func resolve(_ path: String, field: String) throws -> String {
        guard !roots.isEmpty else {
            throw DatastoreError.field(
                .importByPathDisabled, field,
                "this daemon reads no files by path; upload them, or start it with --import-root DIR")
        }
        let candidates = path.hasPrefix("/") ? [path] : roots.map { $0 + "/" + path }
        var isOutside = false
        for candidate in candidates {
            guard let resolved = realpath(candidate, nil) else { continue }
            defer { free(resolved) }
            let real = String(cString: resolved)
            if roots.contains(where: { real.hasPrefix($0 == "/" ? $0 : $0 + "/") }) { return real }
            isOutside = true
        }
        // Whether a file outside exists is not for the client to know.
        if path.hasPrefix("/") {
            let standardized = URL(filePath: path).standardizedFileURL.path
            isOutside = isOutside || !roots.contains { standardized.hasPrefix($0 + "/") }
        }
        if isOutside || path.split(separator: "/").contains("..") {
            throw DatastoreError.field(
                .pathOutsideImportRoots, field, "\"\(path)\" is not below an import root of this daemon")
        }
        throw DatastoreError.field(
            .sourceUnreadable, field,
            "no file \"\(path)\" below an import root of this daemon; a relative path starts at one of them")
    }
}

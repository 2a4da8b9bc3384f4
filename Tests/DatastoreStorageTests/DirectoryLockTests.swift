import DatastoreCore
import DatastoreStorage
import Foundation
import TestSupport
import Testing

/// One daemon for one data directory.
struct DirectoryLockTests {
    private let folder: TemporaryDirectory
    private let directory: DataDirectory

    init() throws {
        folder = try TemporaryDirectory()
        directory = DataDirectory(root: folder.file("data"))
        try directory.create()
    }

    @Test func aSecondIsRefusedAndToldWhoHoldsIt() throws {
        let lock = try DirectoryLock(directory)
        let pid = ProcessInfo.processInfo.processIdentifier
        let early = expectError(.dataDirectoryInUse) { try DirectoryLock(directory) }
        #expect(early?.detail.contains("process \(pid)") == true)
        #expect(early?.detail.contains("listening") == false)
        #expect(early?.detail.contains(directory.root.path) == true)
        try lock.announce(address: "127.0.0.1:7411")
        let late = expectError(.dataDirectoryInUse) { try DirectoryLock(directory) }
        #expect(late?.detail.contains("process \(pid), listening on 127.0.0.1:7411") == true)
        // A shorter announcement leaves nothing of the longer one.
        try lock.announce(address: nil)
        let written = try WireJSON.decode(DirectoryLock.Holder.self, from: Data(contentsOf: directory.lockFile))
        #expect(written == DirectoryLock.Holder(pid: pid, address: nil))
        withExtendedLifetime(lock) {}
    }

    @Test func aRefusalClosesNoFileOfOthers() async throws {
        let lock = try DirectoryLock(directory)
        let directory = self.directory
        try await withThrowingTaskGroup(of: Int.self) { group in
            for _ in 0..<3 {
                group.addTask {
                    var lost = 0
                    for _ in 0..<20_000 {
                        let descriptor = open("/dev/null", O_RDONLY | O_CLOEXEC)
                        sched_yield()
                        if close(descriptor) != 0 { lost += 1 }
                    }
                    return lost
                }
            }
            group.addTask {
                for _ in 0..<3000 { expectError(.dataDirectoryInUse) { try DirectoryLock(directory) } }
                return 0
            }
            let lost = try await group.reduce(0, +)
            #expect(lost == 0)
        }
        withExtendedLifetime(lock) {}
    }

    @Test func itIsFreeOnceItIsLetGo() throws {
        for turn in 0..<5 {
            let lock = try DirectoryLock(directory)
            try lock.announce(address: "host:\(turn)")
            expectError(.dataDirectoryInUse) { try DirectoryLock(directory) }
            withExtendedLifetime(lock) {}
        }
    }

    @Test func aFileThatACrashLeftLocksNobodyOut() throws {
        try Data(#"{"address": "127.0.0.1:1", "pid": 1}"#.utf8).write(to: directory.lockFile)
        let lock = try DirectoryLock(directory)
        let error = expectError(.dataDirectoryInUse) { try DirectoryLock(directory) }
        #expect(error?.detail.contains("127.0.0.1:1,") == false)
        withExtendedLifetime(lock) {}
    }

    @Test func whoCannotBeReadIsAnotherProcess() throws {
        let lock = try DirectoryLock(directory)
        try Data("not json".utf8).write(to: directory.lockFile, options: [])
        let error = expectError(.dataDirectoryInUse) { try DirectoryLock(directory) }
        #expect(error?.detail.contains("another process") == true)
        withExtendedLifetime(lock) {}
    }

    @Test func directoriesDoNotLockEachOther() throws {
        let other = DataDirectory(root: folder.file("other"))
        try other.create()
        let locks = [try DirectoryLock(directory), try DirectoryLock(other)]
        #expect(locks.count == 2)
        withExtendedLifetime(locks) {}
    }

    @Test func theLayoutIsAsDesigned() throws {
        #expect(directory.catalog == directory.root.appending(path: "catalog.sqlite"))
        #expect(directory.lockFile == directory.root.appending(path: "capstan.lock"))
        try directory.create(datastore: "d")
        let version = directory.version(VersionID(datastore: "d", number: 7))
        #expect(version.path == directory.root.path + "/datastores/d/versions/000007")
        #expect(directory.pending("d").path == directory.root.path + "/datastores/d/pending.sqlite")
        #expect(directory.staging(job: "j").path == directory.root.path + "/staging/j")
        let rejects = directory.rejects(job: "j", datastore: "d")
        #expect(FileManager.default.fileExists(atPath: rejects.deletingLastPathComponent().path))
        #expect(FileManager.default.fileExists(atPath: version.deletingLastPathComponent().path))
        // Made twice is made once.
        try directory.create()
        try directory.create(datastore: "d")
    }
}

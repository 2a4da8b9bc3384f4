import DatastoreCore
import DatastoreStorage
import Foundation
import TestSupport
import Testing

/// A job from its queueing to its end, over restarts.
struct CatalogJobTests {
    private let folder: TemporaryDirectory
    private let catalog: Catalog

    init() throws {
        folder = try TemporaryDirectory()
        catalog = try Catalog(folder.file("catalog.sqlite"))
        try catalog.create(DatastoreRecord("d"))
        try catalog.create(DatastoreRecord("e"))
    }

    private func later(_ seconds: Double) -> Date { moment.addingTimeInterval(seconds) }

    private func job(_ id: String, _ datastore: String = "d") throws {
        _ = try catalog.createJob(id: id, datastore: datastore, request: .build, at: moment)
    }

    @Test func aJobGoesThroughItsLife() throws {
        let request = JobRequest.importPaths(
            rows: "/ä/rows.ndjson", vectors: nil, options: ImportOptions(build: true, strict: false))
        let queued = try catalog.createJob(id: "j", datastore: "d", request: request, at: moment)
        #expect(
            queued
                == JobInfo(
                    id: "j", kind: .import, datastore: "d", state: .queued, phase: .waiting, counts: JobCounts(),
                    version: nil, error: nil, createdAt: moment, startedAt: nil, finishedAt: nil))
        #expect(try catalog.request(ofJob: "j") == request)

        try catalog.start(job: "j", phase: .reading, at: later(1))
        var counts = JobCounts()
        counts.seen = 10
        counts.accepted = 4
        counts.replaced = 3
        counts.duplicate = 2
        counts.rejected = 1
        try catalog.update(job: "j", phase: .reading, counts: counts)
        try catalog.start(job: "j", phase: .building, at: later(2))
        let building = try catalog.job("j")
        #expect(building.state == .running)
        #expect(building.phase == .building)
        #expect(building.counts == counts)
        #expect(building.startedAt == later(1))
        #expect(building.finishedAt == nil)

        _ = try catalog.publish(VersionRecord("d", 1, jobID: "j"), at: later(3))
        let done = try catalog.job("j")
        #expect(done.state == .succeeded)
        #expect(done.phase == .done)
        #expect(done.version == 1)
        #expect(done.finishedAt == later(3))
        #expect(done.counts == counts)
        #expect(done.error == nil)
    }

    @Test(arguments: [JobState.succeeded, .failed, .cancelled])
    func aJobThatHasEndedStaysAsItIs(state: JobState) throws {
        try job("j")
        try catalog.start(job: "j", phase: .reading, at: later(1))
        let failure = state == .failed ? JobFailure(code: "npy_truncated", detail: "words") : nil
        try catalog.finish(job: "j", state: state, error: failure, at: later(2))
        let ended = try catalog.job("j")
        #expect(ended.state == state)
        #expect(ended.error == failure)
        #expect(ended.phase == (state == .succeeded ? .done : .reading))
        #expect(ended.finishedAt == later(2))
        for other in [JobState.succeeded, .failed, .cancelled] {
            try catalog.finish(job: "j", state: other, error: JobFailure(code: "x", detail: "y"), at: later(9))
        }
        try catalog.requeue(job: "j")
        #expect(try catalog.job("j") == ended)
        #expect(try catalog.unfinishedJobs().isEmpty)
    }

    @Test func onlyWhatRunsIsPutBackInTheQueue() throws {
        for id in ["queued", "running", "failed"] { try job(id) }
        try catalog.start(job: "running", phase: .building, at: later(1))
        try catalog.finish(job: "failed", state: .failed, error: nil, at: later(1))
        for id in ["queued", "running", "failed"] { try catalog.requeue(job: id) }
        #expect(try catalog.job("queued").state == .queued)
        #expect(try catalog.job("running").state == .queued)
        #expect(try catalog.job("running").phase == .waiting)
        #expect(try catalog.job("running").startedAt == later(1))
        #expect(try catalog.job("failed").state == .failed)
    }

    @Test func aJobThatIsQueuedCanBeEndedBeforeItRuns() throws {
        try job("j")
        try catalog.finish(job: "j", state: .cancelled, error: nil, at: later(1))
        #expect(try catalog.job("j").state == .cancelled)
        #expect(try catalog.job("j").startedAt == nil)
    }

    @Test func unfinishedJobsComeOldestFirst() throws {
        for id in ["z", "a", "m", "b"] { try job(id, id == "m" ? "e" : "d") }
        try catalog.start(job: "m", phase: .reading, at: moment)
        try catalog.finish(job: "a", state: .failed, error: nil, at: moment)
        #expect(try catalog.unfinishedJobs().map(\.id) == ["z", "m", "b"])
    }

    @Test func jobsAreListedNewestFirstAndFiltered() throws {
        let ids = (0..<10).map { "job-\(9 - $0)" }
        for (index, id) in ids.enumerated() { try job(id, index % 2 == 0 ? "d" : "e") }
        try catalog.finish(job: ids[4], state: .failed, error: nil, at: moment)
        let newest = Array(ids.reversed())
        #expect(try catalog.jobs(datastore: nil, state: nil, PageRequest()).map(\.id) == newest)
        #expect(
            try catalog.jobs(datastore: "e", state: nil, PageRequest()).map(\.id)
                == [ids[9], ids[7], ids[5], ids[3], ids[1]])
        #expect(try catalog.jobs(datastore: nil, state: .failed, PageRequest()).map(\.id) == [ids[4]])
        #expect(try catalog.jobs(datastore: "e", state: .failed, PageRequest()).isEmpty)
        #expect(try catalog.jobs(datastore: "d", state: .queued, PageRequest()).count == 4)
        var found: [String] = []
        var after: String?
        repeat {
            let page = try catalog.jobs(datastore: nil, state: nil, PageRequest(limit: 3, after: after)).map(\.id)
            found += page
            after = page.last
        } while after != nil
        #expect(found == newest)
    }

    @Test func aJobThatIsNotThereIsUnknown() throws {
        expectError(.unknownJob) { try catalog.job("none") }
        expectError(.unknownJob) { try catalog.request(ofJob: "none") }
    }

    @Test func aJobIdIsUsedOnce() throws {
        try job("j")
        #expect(throws: (any Error).self) { try job("j") }
        #expect(try catalog.jobs(datastore: nil, state: nil, PageRequest()).count == 1)
    }
}

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
        _ = try catalog.createJob(id: id, datastore: datastore, request: .build(), at: moment)
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
        var tally = ImportTally()
        tally.counts.seen = 9
        tally.counts.accepted = 4
        tally.counts.replaced = 3
        tally.counts.duplicate = 2
        tally.reject(.missingText)
        let counts = tally.counts
        let progress = JobProgress(fraction: 0.5, rowsPerSecond: 10, secondsLeft: 1)
        try catalog.update(job: "j", tally: tally, progress: progress)
        let reading = try catalog.job("j")
        #expect(reading.counts.seen == 10)
        #expect(reading.rejectedByCode == ["missing_text": 1])
        #expect(reading.progress == progress)
        try catalog.start(job: "j", phase: .building, at: later(2))
        let building = try catalog.job("j")
        #expect(building.state == .running)
        #expect(building.phase == .building)
        #expect(building.counts == counts)
        #expect(building.progress == nil)
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

    // MARK: Idempotency

    private func submit(_ id: String, key: String, _ fingerprint: String, at now: Date = moment) throws -> JobInfo {
        try catalog.createJob(
            id: id, datastore: "d", request: .build(),
            submission: Submission(by: "ann", idempotency: .init(key: key, fingerprint: fingerprint)), at: now)
    }

    @Test func theSameRequestUnderOneKeyIsOneJob() throws {
        let first = try submit("a", key: "k", "same")
        #expect(first.submittedBy == "ann")
        #expect(try submit("b", key: "k", "same") == first)
        #expect(try submit("c", key: "other", "same").id == "c")
        #expect(try catalog.unfinishedJobs().map(\.id) == ["a", "c"])
    }

    @Test func anotherRequestUnderAKeyIsRefused() throws {
        _ = try submit("a", key: "k", "same")
        expectError(.idempotencyConflict) { try submit("b", key: "k", "different") }
        #expect(try catalog.unfinishedJobs().map(\.id) == ["a"])
    }

    @Test func aKeyIsForgottenAfterAWeek() throws {
        _ = try submit("a", key: "k", "same")
        #expect(try submit("b", key: "k", "same", at: later(6.9 * 86_400)).id == "a")
        #expect(try submit("c", key: "k", "different", at: later(7.1 * 86_400)).id == "c")
    }

    @Test func aKeyDoesNotOutliveItsDatastore() throws {
        _ = try submit("a", key: "k", "same")
        try catalog.finish(job: "a", state: .succeeded, error: nil, at: moment)
        try catalog.delete(datastore: "d")
        try catalog.finishDeletion(of: "d")
        try catalog.create(DatastoreRecord("d"))
        #expect(try submit("b", key: "k", "same").id == "b")
    }

    // MARK: Cancelling

    @Test func aWaitingJobIsCancelledAtOnceAndNeverStarts() throws {
        try job("j")
        let cancelled = try catalog.cancel(job: "j", at: later(1))
        #expect(cancelled.state == .cancelled)
        #expect(cancelled.finishedAt == later(1))
        expectError(.cancelled) { try catalog.start(job: "j", phase: .reading, at: later(2)) }
        #expect(try catalog.job("j") == cancelled)
        expectError(.jobEnded) { try catalog.cancel(job: "j", at: later(3)) }
    }

    @Test func aRunningJobIsAskedToStop() throws {
        try job("j")
        try catalog.start(job: "j", phase: .reading, at: later(1))
        let asked = try catalog.cancel(job: "j", at: later(2))
        #expect(asked.state == .running)
        #expect(asked.cancelRequested)
        try catalog.finish(job: "j", state: .cancelled, error: nil, at: later(3))
        #expect(try catalog.job("j").state == .cancelled)
    }

    /// It may have rows in the batch of its datastore, which whoever runs it has to drop first.
    @Test func aWaitingJobThatHasRunBeforeIsAskedToStop() throws {
        try job("j")
        try catalog.start(job: "j", phase: .reading, at: later(1))
        try catalog.requeue(job: "j")
        let asked = try catalog.cancel(job: "j", at: later(2))
        #expect(asked.state == .queued)
        #expect(asked.cancelRequested)
        #expect(asked.finishedAt == nil)
    }

    @Test(arguments: [JobState.failed, .cancelled])
    func aKeyOfAJobThatCameToNothingIsFree(state: JobState) throws {
        _ = try submit("a", key: "k", "same")
        try catalog.finish(job: "a", state: state, error: nil, at: moment)
        #expect(try submit("b", key: "k", "another").id == "b")
        #expect(try submit("c", key: "k", "another").id == "b")
    }

    @Test(arguments: [
        (#"{"importUpload":{"rows":"rows","vectors":"vectors","options":{}}}"#, "vectors"),
        (#"{"importUpload":{"rows":"rows","options":{"build":true,"strict":false}}}"#, nil),
    ])
    func requestsOfEarlierReleasesAreRead(json: String, vectors: String?) throws {
        let request = try WireJSON.decode(JobRequest.self, from: Data(json.utf8))
        #expect(request == .importUpload(rows: "rows", vectors: vectors, options: ImportOptions()))
        let paths = try WireJSON.decode(
            JobRequest.self, from: Data(json.replacing("importUpload", with: "importPaths").utf8))
        #expect(paths == .importPaths(rows: "rows", vectors: vectors, options: ImportOptions()))
    }

    @Test func vectorsOfSeveralKeysAreKeptWithTheRequest() throws {
        let request = JobRequest.importPaths(
            rows: "r", vectors: nil, keyVectors: ["image": "i.npy", "a.b": "/x"], options: ImportOptions(pool: .mean))
        _ = try catalog.createJob(id: "j", datastore: "d", request: request, at: moment)
        #expect(try catalog.request(ofJob: "j") == request)
    }

    @Test func aJobThatIsNotThereIsNotCancelled() {
        expectError(.unknownJob) { try catalog.cancel(job: "none", at: moment) }
    }
}

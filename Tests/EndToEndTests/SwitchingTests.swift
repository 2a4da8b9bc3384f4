import CaptionerClient
import DatastoreCore
import Foundation
import Synchronization
import TestSupport
import Testing

/// Whether the switches are over, for the clients that ask beside them.
private final class Switching: Sendable {
    let isDone = Atomic(false)
}

/// Promise 3: a switch is all or nothing, and no captioner notices more than better answers.
struct SwitchingTests {
    @Test func eightClientsSeeNoFailureAndNoMixtureWhileADomainIsSwitchedTwoHundredTimes() async throws {
        let directory = try TemporaryDirectory()
        let daemon = try await Daemon(dataDirectory: directory.file("data"))
        let datastores = ["everyday-photos", "views-from-above"]
        for name in datastores { try await daemon.client.load(sample: name) }
        let first = try await daemon.client.bind("camera", to: datastores[0])
        let questions = try Vectors(
            npy: TestData.samples.appending(path: "everyday-photos").appending(path: "questions.f16.npy"))

        /// What each revision is bound to, as the switches themselves were answered.
        var bound = [first.revision: datastores[0]]
        let switching = Switching()
        let answers = try await withThrowingTaskGroup(of: [QueryAnswer].self) { group in
            for client in 0..<8 {
                group.addTask {
                    var answers: [QueryAnswer] = []
                    let captioner = try CaptionerClient(
                        url: "http://\(daemon.address)", configuration: .init(retries: 0))
                    var number = client
                    while !switching.isDone.load(ordering: .relaxed) {
                        answers.append(
                            try await captioner.query(
                                questions[number % questions.count], of: "camera", options: QueryOptions(k: 5)))
                        number += 8
                    }
                    return answers
                }
            }
            var revision = first.revision
            for number in 1...200 {
                let name = datastores[number % 2]
                let info = try await daemon.client.setDomain(
                    "camera", to: SetDomainRequest(datastores: [DatastoreBinding(name: name)]), ifRevision: revision)
                #expect(info.revision == revision + 1)
                revision = info.revision
                bound[info.revision] = name
            }
            switching.isDone.store(true, ordering: .relaxed)
            return try await group.reduce(into: []) { $0 += $1 }
        }

        #expect(bound.count == 201)
        #expect(answers.count > 200)
        #expect(Set(answers.map(\.revision)).count > 20, "the queries did not run beside the switches")
        for answer in answers {
            #expect(answer.results.count == 5)
            let names = Set(answer.results.map(\.datastore))
            #expect(names == [bound[answer.revision]], "revision \(answer.revision)")
        }
        #expect(try await daemon.stop() == 0)
    }
}

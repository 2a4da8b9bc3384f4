/// Who asks for a job, and the key under which the same request is the same job.
package struct Submission: Sendable, Hashable {
    package struct Idempotency: Sendable, Hashable {
        package var key: String
        /// What was asked: equal for equal requests only.
        package var fingerprint: String

        package init(key: String, fingerprint: String) {
            self.key = key
            self.fingerprint = fingerprint
        }
    }

    /// As the request names itself; nil when it does not.
    package var by: String?
    package var idempotency: Idempotency?

    package init(by: String? = nil, idempotency: Idempotency? = nil) {
        self.by = by
        self.idempotency = idempotency
    }
}

import CaptionerClient
import DatastoreCore

/// What went wrong, as the command says it.
struct CommandFailure {
    let problem: Problem
    let nextStep: String?
    let exitCode: Int32

    init(_ error: any Error, connection: Connection?) {
        switch error {
        case let error as CaptionerError:
            problem = error.problem ?? Problem(code: error.kind.name, detail: error.detail)
            exitCode = error.kind == .unreachable ? 3 : 1
        case let error as DatastoreError:
            problem = Problem(code: error.code.rawValue, detail: error.detail, errors: error.errors)
            exitCode = 1
        case let error as JobFailure:
            problem = Problem(code: error.code, detail: error.detail)
            exitCode = 1
        default:
            problem = Problem(code: ErrorCode.internalError.rawValue, detail: "\(error)")
            exitCode = 1
        }
        nextStep = Self.nextStep(after: problem.code, daemonURL: connection?.daemonURL ?? "its URL")
    }

    /// `capstan: <what> (<code>)`, then each field when there are several, then what to do.
    var text: String {
        var lines = ["capstan: \(printable(problem.detail)) (\(problem.code))"]
        if problem.errors.count > 1 {
            lines += problem.errors.map { "  \(printable($0.field)): \(printable($0.message))" }
        }
        if let nextStep { lines.append("  \(nextStep)") }
        return lines.joined(separator: "\n")
    }

    /// The problem as one JSON value; status 0 when it did not come from the daemon.
    var json: String {
        (try? WireJSON.encode(problem)).map { String(decoding: $0, as: UTF8.self) } ?? text
    }

    private static func nextStep(after code: String, daemonURL: String) -> String? {
        switch code {
        case CaptionerError.Kind.unreachable.name:
            "is capstand running at \(daemonURL)? start it with: capstand --data-dir DIR"
        case CaptionerError.Kind.invalidAnswer.name:
            "is it capstand that answers at \(daemonURL)?"
        case ErrorCode.unknownDatastore.rawValue: "those there are: capstan datastore list"
        case ErrorCode.unknownDomain.rawValue: "those there are: capstan domain list"
        case ErrorCode.unknownVersion.rawValue, ErrorCode.versionRemoved.rawValue, ErrorCode.unknownTag.rawValue:
            "those there are: capstan versions list NAME"
        case ErrorCode.unknownRevision.rawValue: "those there are: capstan domain revisions DOMAIN"
        case ErrorCode.unknownJob.rawValue: "those there are: capstan jobs list"
        case ErrorCode.noVersion.rawValue: "import rows first: capstan import NAME ROWS"
        case ErrorCode.revisionConflict.rawValue: "see what it is now: capstan domain show DOMAIN"
        case ErrorCode.datastoreInUse.rawValue: "see which domains use it: capstan domain list"
        case ErrorCode.tagExists.rawValue: "take it from there with --move"
        case ErrorCode.datastoreBusy.rawValue: "see its jobs: capstan jobs list"
        case ErrorCode.importByPathDisabled.rawValue:
            "leave out --server-paths, or start capstand with --import-root DIR"
        case ErrorCode.notReady.rawValue: "try again in a moment; capstan status says how far it is"
        case ErrorCode.versionExists.rawValue: "see it: capstan versions show NAME@VERSION"
        case ErrorCode.changesPending.rawValue: "make a version of them: capstan reindex NAME"
        case ErrorCode.overloaded.rawValue: "try again in a moment"
        default: nil
        }
    }
}

/// Why a job failed, thrown where the command fails with it.
extension JobFailure: Error {}

extension Problem {
    /// A problem that did not come from the daemon.
    fileprivate init(code: String, detail: String, errors: [FieldError] = []) {
        self.init(status: 0, title: "Failed", code: code, detail: detail, errors: errors)
    }
}

extension CaptionerError.Kind {
    fileprivate var name: String {
        switch self {
        case .refused: "refused"
        case .unreachable: "unreachable"
        case .timedOut: "timed_out"
        case .invalidAnswer: "invalid_answer"
        case .unreadableFile: "unreadable_file"
        case .invalidURL: "invalid_url"
        }
    }
}

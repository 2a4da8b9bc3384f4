import DatastoreCore
import HTTPTypes
import Hummingbird
import NIOCore

extension ErrorCode {
    /// The one place where codes become statuses.
    var status: HTTPResponse.Status {
        switch self {
        case .invalidJSON, .unknownField, .missingField, .invalidValue, .invalidName, .invalidMultipart,
            .uploadIncomplete, .invalidCursor, .vectorDimMismatch, .vectorNotFinite, .vectorZero, .vectorsRagged,
            .invalidBase64, .kOutOfRange, .tooManyQueries, .incompatibleDatastores, .sourceUnreadable, .gzipTruncated,
            .gzipCorrupt, .npyNotNumpy, .npyUnsupportedVersion, .npyInvalidHeader, .npyFortranOrder, .npyBigEndian,
            .npyUnsupportedType, .npyInvalidShape, .npyTruncated, .npyTrailingData, .rowsVectorsMismatch,
            .noRowsAccepted, .rowsRejected, .invalidUTF8, .rowTooLong, .missingText, .missingVector,
            .unexpectedVector, .duplicateExternalID, .sourceChanged, .formatUnknown, .formatMismatch, .unknownColumn,
            .unknownSplit, .lfsPointer, .htmlPage, .indexFileInvalid, .malformedRow, .tooManyWords, .tooManyTokens,
            .tooFewLetters, .languageNotWanted, .duplicateCaption, .noVectors, .noTerms, .termsCancel, .unknownKey,
            .noCandidates, .tooManyCandidates, .temperatureOutOfRange, .sparseRagged, .duplicateTerm, .unknownTerm,
            .weightNotFinite, .bundleUnreadable, .bundleNewerFormat, .bundleTruncated, .bundleCorrupt,
            .bundleTrailingData, .bundleUnsafeMember, .bundleMissingFile, .bundleInvalidManifest,
            .bundleChecksumMismatch, .backupDamaged, .directoryNotEmpty:
            .badRequest
        case .importByPathDisabled, .indexFilesDisabled, .pathOutsideImportRoots, .listenRefused, .foreignRequest:
            .forbidden
        case .notFound, .unknownDomain, .unknownDatastore, .unknownVersion, .unknownRevision, .unknownJob,
            .unknownEntry, .noOutput, .unknownBackup, .versionRemoved, .unknownTag:
            .notFound
        case .datastoreExists, .datastoreInUse, .datastoreBusy, .noVersion, .nothingToBuild, .recallGateRefused,
            .dataDirectoryInUse,
            .jobEnded, .idempotencyConflict, .encoderNotConfigured, .rerankerNotConfigured, .vocabularyInUse,
            .tooManyPending, .cancelled, .versionExists, .changesPending, .versionInUse, .tagExists:
            .conflict
        case .encoderUnreachable, .encoderFailed, .encoderMismatch, .rerankerUnreachable, .rerankerFailed: .badGateway
        case .revisionConflict: .preconditionFailed
        case .bodyTooLarge, .bundleTooLarge: .contentTooLarge
        case .rangeNotSatisfiable: .rangeNotSatisfiable
        case .unsupportedMediaType: .unsupportedMediaType
        case .overloaded, .notReady, .interrupted: .serviceUnavailable
        case .versionDamaged, .newerFormat, .storageFailed, .indexFailed, .internalError: .internalServerError
        }
    }
}

extension Problem {
    /// Any error as the API shows it. What is not ours to explain to a client becomes `internal_error`.
    init(_ error: any Error, requestID: String? = nil) {
        let known = DatastoreError(wrapping: error)
        let status = known.code.status
        self.init(
            status: status.code, title: status.reasonPhrase, code: known.code.rawValue, detail: known.detail,
            errors: known.errors, requestID: requestID)
    }
}

extension DatastoreError {
    fileprivate init(wrapping error: any Error) {
        switch error {
        case let error as DatastoreError: self = error
        case is NIOTooManyBytesError:
            self.init(.bodyTooLarge, "the body is over the limit of this call; split it")
        case let error as HTTPError where error.status == .notFound:
            self.init(.notFound, "no such path; GET /openapi.yaml lists them")
        case let error as HTTPError where error.status == .contentTooLarge:
            self.init(.bodyTooLarge, "the body is over the limit of this call; split it")
        case let error as HTTPError where error.status.kind == .clientError:
            self.init(.invalidValue, error.body ?? error.status.reasonPhrase)
        default: self.init(.internalError, "something went wrong here; the log has it under this request id")
        }
    }
}

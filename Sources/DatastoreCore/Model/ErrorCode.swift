/// The stable names of everything that can be refused or go wrong.
///
/// Codes are part of the API: a client may branch on them, so a released code keeps its meaning.
/// `openapi.yaml` lists the same codes; a test holds the two together.
public enum ErrorCode: String, CaseIterable, Codable, Sendable {
    // Requests
    case invalidJSON = "invalid_json"
    case unknownField = "unknown_field"
    case missingField = "missing_field"
    case invalidValue = "invalid_value"
    case invalidName = "invalid_name"
    case bodyTooLarge = "body_too_large"
    case unsupportedMediaType = "unsupported_media_type"
    case invalidMultipart = "invalid_multipart"
    case uploadIncomplete = "upload_incomplete"
    case invalidCursor = "invalid_cursor"
    case notFound = "not_found"
    case foreignRequest = "foreign_request"

    // Questions
    case vectorDimMismatch = "vector_dim_mismatch"
    case vectorNotFinite = "vector_not_finite"
    case vectorZero = "vector_zero"
    case vectorsRagged = "vectors_ragged"
    case sparseRagged = "sparse_ragged"
    case duplicateTerm = "duplicate_term"
    case unknownTerm = "unknown_term"
    case weightNotFinite = "weight_not_finite"
    case invalidBase64 = "invalid_base64"
    case kOutOfRange = "k_out_of_range"
    case tooManyQueries = "too_many_queries"

    // Things by name
    case unknownDomain = "unknown_domain"
    case unknownDatastore = "unknown_datastore"
    case unknownVersion = "unknown_version"
    case unknownRevision = "unknown_revision"
    case unknownJob = "unknown_job"
    case datastoreExists = "datastore_exists"
    case datastoreInUse = "datastore_in_use"
    case datastoreBusy = "datastore_busy"
    case noVersion = "no_version"
    case incompatibleDatastores = "incompatible_datastores"
    case revisionConflict = "revision_conflict"
    case nothingToBuild = "nothing_to_build"
    case jobEnded = "job_ended"
    case idempotencyConflict = "idempotency_conflict"

    // Imports: the whole source
    case importByPathDisabled = "import_by_path_disabled"
    case pathOutsideImportRoots = "path_outside_import_roots"
    case sourceUnreadable = "source_unreadable"
    case sourceChanged = "source_changed"
    case formatUnknown = "format_unknown"
    case formatMismatch = "format_mismatch"
    case unknownColumn = "unknown_column"
    case unknownSplit = "unknown_split"
    case lfsPointer = "lfs_pointer"
    case htmlPage = "html_page"
    case indexFilesDisabled = "index_files_disabled"
    case indexFileInvalid = "index_file_invalid"
    case gzipTruncated = "gzip_truncated"
    case gzipCorrupt = "gzip_corrupt"
    case npyNotNumpy = "npy_not_numpy"
    case npyUnsupportedVersion = "npy_unsupported_version"
    case npyInvalidHeader = "npy_invalid_header"
    case npyFortranOrder = "npy_fortran_order"
    case npyBigEndian = "npy_big_endian"
    case npyUnsupportedType = "npy_unsupported_type"
    case npyInvalidShape = "npy_invalid_shape"
    case npyTruncated = "npy_truncated"
    case npyTrailingData = "npy_trailing_data"
    case rowsVectorsMismatch = "rows_vectors_mismatch"
    case noRowsAccepted = "no_rows_accepted"
    case rowsRejected = "rows_rejected"

    // Imports: one row
    case invalidUTF8 = "invalid_utf8"
    case rowTooLong = "row_too_long"
    case missingText = "missing_text"
    case missingVector = "missing_vector"
    case unexpectedVector = "unexpected_vector"
    case duplicateExternalID = "duplicate_external_id"
    case malformedRow = "malformed_row"
    case tooManyWords = "too_many_words"
    case tooManyTokens = "too_many_tokens"
    case tooFewLetters = "too_few_letters"
    case languageNotWanted = "language_not_wanted"
    case duplicateCaption = "duplicate_caption"

    // Encoders
    case encoderNotConfigured = "encoder_not_configured"
    case encoderUnreachable = "encoder_unreachable"
    case encoderFailed = "encoder_failed"
    case encoderMismatch = "encoder_mismatch"

    // The service
    case overloaded
    case notReady = "not_ready"
    case versionDamaged = "version_damaged"
    case newerFormat = "newer_format"
    case dataDirectoryInUse = "data_directory_in_use"
    case listenRefused = "listen_refused"
    case interrupted
    case cancelled
    case storageFailed = "storage_failed"
    case indexFailed = "index_failed"
    case internalError = "internal_error"
}

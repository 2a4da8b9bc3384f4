-- What exists and what is bound to what. Times are milliseconds since 1970, UTC.

CREATE TABLE datastores (
    name TEXT NOT NULL PRIMARY KEY,
    kind TEXT NOT NULL CHECK (kind IN ('captions', 'names')),
    description TEXT,
    licence TEXT,
    created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE keys (
    datastore TEXT NOT NULL REFERENCES datastores (name) ON DELETE CASCADE,
    position INTEGER NOT NULL,
    name TEXT NOT NULL,
    dim INTEGER NOT NULL CHECK (dim > 0),
    metric TEXT NOT NULL CHECK (metric IN ('cosine', 'ip')),
    encoder_model TEXT,
    encoder_revision TEXT,
    encoder_preprocessing TEXT,
    PRIMARY KEY (datastore, position),
    UNIQUE (datastore, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE versions (
    datastore TEXT NOT NULL REFERENCES datastores (name) ON DELETE CASCADE,
    number INTEGER NOT NULL CHECK (number > 0),
    state TEXT NOT NULL CHECK (state IN ('ready', 'damaged')),
    detail TEXT,
    entries INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    manifest_sha256 TEXT NOT NULL,
    -- The last pending change that is in it.
    pending_through INTEGER NOT NULL,
    job_id TEXT,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (datastore, number)
) STRICT, WITHOUT ROWID;

-- `revision` is null for a deleted domain; its numbers go on from `last_revision` when it is made again.
CREATE TABLE domains (
    name TEXT NOT NULL PRIMARY KEY,
    revision INTEGER,
    last_revision INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE revisions (
    domain TEXT NOT NULL REFERENCES domains (name) ON DELETE CASCADE,
    revision INTEGER NOT NULL CHECK (revision > 0),
    reason TEXT NOT NULL CHECK (reason IN ('set', 'follow', 'rollback')),
    restored_revision INTEGER,
    defaults TEXT NOT NULL CHECK (json_valid(defaults)),
    created_at INTEGER NOT NULL,
    PRIMARY KEY (domain, revision)
) STRICT, WITHOUT ROWID;

-- No reference to versions: history outlives what it names.
CREATE TABLE bindings (
    domain TEXT NOT NULL,
    revision INTEGER NOT NULL,
    position INTEGER NOT NULL,
    datastore TEXT NOT NULL,
    version INTEGER NOT NULL,
    follows_latest INTEGER NOT NULL CHECK (follows_latest IN (0, 1)),
    PRIMARY KEY (domain, revision, position),
    FOREIGN KEY (domain, revision) REFERENCES revisions (domain, revision) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

CREATE INDEX bindings_by_datastore ON bindings (datastore);

CREATE TABLE jobs (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    kind TEXT NOT NULL CHECK (kind IN ('import', 'build')),
    datastore TEXT NOT NULL,
    -- What to do, so that a job can start again after a restart.
    request TEXT NOT NULL CHECK (json_valid(request)),
    state TEXT NOT NULL CHECK (state IN ('queued', 'running', 'succeeded', 'failed', 'cancelled')),
    phase TEXT NOT NULL CHECK (phase IN ('waiting', 'reading', 'building', 'publishing', 'done')),
    seen INTEGER NOT NULL DEFAULT 0,
    accepted INTEGER NOT NULL DEFAULT 0,
    replaced INTEGER NOT NULL DEFAULT 0,
    duplicate INTEGER NOT NULL DEFAULT 0,
    rejected INTEGER NOT NULL DEFAULT 0,
    version INTEGER,
    error_code TEXT,
    error_detail TEXT,
    created_at INTEGER NOT NULL,
    started_at INTEGER,
    finished_at INTEGER
) STRICT;

CREATE INDEX jobs_by_state ON jobs (state);
CREATE INDEX jobs_by_datastore ON jobs (datastore);

-- Datastores that were deleted. A new one of the same name goes on with the version numbers, so that no revision of a
-- domain can come to mean something else.
CREATE TABLE deletions (
    datastore TEXT NOT NULL PRIMARY KEY,
    last_version INTEGER NOT NULL,
    files_removed INTEGER NOT NULL DEFAULT 0 CHECK (files_removed IN (0, 1))
) STRICT, WITHOUT ROWID;

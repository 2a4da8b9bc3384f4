-- Jobs say how far they are, who asked for them and what they found, and can be cancelled. Kinds and phases are checked
-- by the daemon alone, so that a later release can add some.

CREATE TABLE jobs_with_progress (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    kind TEXT NOT NULL,
    datastore TEXT NOT NULL,
    -- What to do, so that a job can go on after a restart.
    request TEXT NOT NULL CHECK (json_valid(request)),
    submitted_by TEXT,
    state TEXT NOT NULL CHECK (state IN ('queued', 'running', 'succeeded', 'failed', 'cancelled')),
    phase TEXT NOT NULL,
    cancel_requested INTEGER NOT NULL DEFAULT 0 CHECK (cancel_requested IN (0, 1)),
    -- Times that it went on after an interruption.
    resumed INTEGER NOT NULL DEFAULT 0,
    seen INTEGER NOT NULL DEFAULT 0,
    accepted INTEGER NOT NULL DEFAULT 0,
    replaced INTEGER NOT NULL DEFAULT 0,
    duplicate INTEGER NOT NULL DEFAULT 0,
    rejected INTEGER NOT NULL DEFAULT 0,
    -- How many rows each reject code refused.
    rejected_by_code TEXT NOT NULL DEFAULT '{}' CHECK (json_valid(rejected_by_code)),
    -- How far the phase is: a share, rows a second, seconds left.
    progress TEXT CHECK (progress IS NULL OR json_valid(progress)),
    report TEXT CHECK (report IS NULL OR json_valid(report)),
    version INTEGER,
    error_code TEXT,
    error_detail TEXT,
    created_at INTEGER NOT NULL,
    started_at INTEGER,
    finished_at INTEGER
) STRICT;

INSERT INTO jobs_with_progress
    (number, id, kind, datastore, request, state, phase, seen, accepted, replaced, duplicate, rejected, version,
        error_code, error_detail, created_at, started_at, finished_at)
SELECT number, id, kind, datastore, request, state, phase, seen, accepted, replaced, duplicate, rejected, version,
    error_code, error_detail, created_at, started_at, finished_at
FROM jobs;

DROP TABLE jobs;
ALTER TABLE jobs_with_progress RENAME TO jobs;
CREATE INDEX jobs_by_state ON jobs (state);
CREATE INDEX jobs_by_datastore ON jobs (datastore);

-- The same call sent twice under one key is one job.
CREATE TABLE idempotency_keys (
    datastore TEXT NOT NULL,
    key TEXT NOT NULL,
    -- What was asked, so that the key cannot come to stand for something else.
    fingerprint TEXT NOT NULL,
    job_id TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (datastore, key)
) STRICT, WITHOUT ROWID;

-- The configured encoder that makes vectors of this key.
ALTER TABLE keys ADD COLUMN encoder_endpoint TEXT;

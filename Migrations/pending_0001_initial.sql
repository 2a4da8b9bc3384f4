-- Durable changes that wait for the next version of one datastore.

CREATE TABLE counters (
    name TEXT NOT NULL PRIMARY KEY,
    value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

INSERT INTO counters (name, value) VALUES ('next_entry_id', 1);

-- The changes of a batch count once it is committed; until then they belong to a job that may still fail.
CREATE TABLE batches (
    job_id TEXT NOT NULL PRIMARY KEY,
    committed INTEGER NOT NULL DEFAULT 0 CHECK (committed IN (0, 1))
) STRICT, WITHOUT ROWID;

CREATE TABLE changes (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    job_id TEXT NOT NULL REFERENCES batches (job_id),
    entry_id INTEGER NOT NULL,
    external_id TEXT,
    text TEXT NOT NULL,
    image_id TEXT,
    origin TEXT,
    lang TEXT,
    source TEXT,
    payload TEXT,
    -- Little-endian; `half_precision` tells f16 from f32.
    vector BLOB NOT NULL,
    half_precision INTEGER NOT NULL CHECK (half_precision IN (0, 1))
) STRICT;

CREATE INDEX changes_by_external_id ON changes (external_id) WHERE external_id IS NOT NULL;
CREATE INDEX changes_by_entry_id ON changes (entry_id);
CREATE INDEX changes_by_job_id ON changes (job_id);

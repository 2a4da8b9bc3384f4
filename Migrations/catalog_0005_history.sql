-- Names of versions, which versions a datastore keeps, and those that it let go of.

-- Versions that are kept: the newest so many, and those younger than so many days; all where both are null.
ALTER TABLE datastores ADD COLUMN keep_last INTEGER CHECK (keep_last IS NULL OR keep_last > 0);
ALTER TABLE datastores ADD COLUMN keep_days INTEGER CHECK (keep_days IS NULL OR keep_days > 0);

CREATE TABLE tags (
    datastore TEXT NOT NULL,
    tag TEXT NOT NULL,
    version INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (datastore, tag),
    FOREIGN KEY (datastore, version) REFERENCES versions (datastore, number) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

CREATE INDEX tags_by_version ON tags (datastore, version);

-- Written with the deletion of the version's row, before its files go: what a crash leaves is finished at the next start.
CREATE TABLE removals (
    datastore TEXT NOT NULL,
    version INTEGER NOT NULL,
    reason TEXT NOT NULL,
    removed_at INTEGER NOT NULL,
    files_removed INTEGER NOT NULL DEFAULT 0 CHECK (files_removed IN (0, 1)),
    PRIMARY KEY (datastore, version)
) STRICT, WITHOUT ROWID;

ALTER TABLE jobs ADD COLUMN verify_report TEXT CHECK (verify_report IS NULL OR json_valid(verify_report));

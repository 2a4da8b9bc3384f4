-- How the vectors of a datastore are searched, and the recall that a version of it must have.

ALTER TABLE datastores ADD COLUMN plan TEXT CHECK (plan IS NULL OR json_valid(plan));
ALTER TABLE datastores ADD COLUMN recall_gate REAL NOT NULL DEFAULT 0.95 CHECK (recall_gate BETWEEN 0 AND 1);

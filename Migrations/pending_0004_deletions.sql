-- A change may also take an entry away. It has neither text nor vectors then, but the external id that the entry had.
ALTER TABLE changes ADD COLUMN deletes INTEGER NOT NULL DEFAULT 0 CHECK (deletes IN (0, 1));
CREATE INDEX changes_by_deletion ON changes (external_id) WHERE deletes = 1;

-- Goes up when committed changes are forgotten, dropped, or come between others that were committed before: who has read
-- all changes up to some number has only to read those behind it, as long as this is the same.
INSERT INTO counters (name, value) VALUES ('rewrites', 0);
-- The last change that was forgotten because a version has it.
INSERT INTO counters (name, value) VALUES ('forgotten_through', 0);

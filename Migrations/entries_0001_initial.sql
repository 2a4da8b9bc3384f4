-- The texts of one version. The vectors are in files beside it, in the order of `id`.

CREATE TABLE entries (
    id INTEGER PRIMARY KEY,
    external_id TEXT,
    text TEXT NOT NULL,
    image_id TEXT,
    origin TEXT,
    lang TEXT,
    source TEXT,
    payload TEXT
) STRICT;

CREATE UNIQUE INDEX entries_by_external_id ON entries (external_id) WHERE external_id IS NOT NULL;
CREATE INDEX entries_by_image_id ON entries (image_id) WHERE image_id IS NOT NULL;

-- What the files of a version were known by when their bytes were compared with its manifest, as JSON, and by which release:
-- the same release opens them again without reading them, as long as they are what they were.
ALTER TABLE versions ADD COLUMN checked TEXT;

-- How far the reading of a batch is, as of its last row here: where it goes on after a restart.
ALTER TABLE batches ADD COLUMN progress TEXT CHECK (progress IS NULL OR json_valid(progress));
-- Bytes of the file pending/<job_id>.vectors that belong to the batch.
ALTER TABLE batches ADD COLUMN vector_bytes INTEGER NOT NULL DEFAULT 0;

-- Where in that file the vector is, and how many numbers it has; null where `vector` holds it.
ALTER TABLE changes ADD COLUMN vector_offset INTEGER;
ALTER TABLE changes ADD COLUMN vector_dim INTEGER;

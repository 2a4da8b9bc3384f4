-- How far the reading of a batch is, as of its last row here: where it goes on after a restart.
ALTER TABLE batches ADD COLUMN progress TEXT CHECK (progress IS NULL OR json_valid(progress));

-- Sparse keys, limits and weights of bindings, and jobs that ask a domain.

ALTER TABLE keys ADD COLUMN kind TEXT NOT NULL DEFAULT 'dense';
-- Sparse keys: which weights are kept.
ALTER TABLE keys ADD COLUMN pruning TEXT CHECK (pruning IS NULL OR json_valid(pruning));

-- Results that an answer may have of the datastore.
ALTER TABLE bindings ADD COLUMN max_results INTEGER;
ALTER TABLE bindings ADD COLUMN weight REAL NOT NULL DEFAULT 1;

-- The domain that a dump asks.
ALTER TABLE jobs ADD COLUMN domain TEXT;
ALTER TABLE jobs ADD COLUMN filter_report TEXT CHECK (filter_report IS NULL OR json_valid(filter_report));
ALTER TABLE jobs ADD COLUMN dump_report TEXT CHECK (dump_report IS NULL OR json_valid(dump_report));
-- Where a dump goes on after a restart.
ALTER TABLE jobs ADD COLUMN position TEXT CHECK (position IS NULL OR json_valid(position));

-- Datastores with several keys: the vectors of a change lie end to end behind `vector_offset`, `vector_bytes` in all, in
-- the order of the keys. `vector_layout` has a word for each: f or h and the numbers of a dense vector (32 or 16 bits
-- each), or s for a sparse one, which begins with its count. Null where there is one dense vector, as before.
ALTER TABLE changes ADD COLUMN vector_layout TEXT;
ALTER TABLE changes ADD COLUMN vector_bytes INTEGER;

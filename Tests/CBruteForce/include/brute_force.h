// Exact search for tests, independent of FAISS and of Capstan's own scoring: one matrix product in double.
#ifndef CAPSTAN_BRUTE_FORCE_H
#define CAPSTAN_BRUTE_FORCE_H

#include <stdint.h>

/// For each of `query_count` queries the `k` rows with the highest scores, best first, ties by row.
/// Scores are rounded to float before they are compared. Rows and queries are row-major, `dim` wide; with `cosine`
/// both are L2-normalised first. `top_rows` and `top_scores` take query_count * k values; `k` is at most `row_count`.
void brute_force(const float *rows, int64_t row_count, const float *queries, int64_t query_count, int32_t dim,
                 int32_t k, int32_t cosine, int64_t *top_rows, float *top_scores);

#endif

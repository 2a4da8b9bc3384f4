// Scores of original vectors.
#pragma once

#include "cfaiss.h"

#include <cstdint>

/// Rows whose quick scores are computed at a time: more would not hide more of the memory's latency.
constexpr int quick_rows = 4;

/// Scores in 32 bits, each off by at most `query.slack`; not a number where 32 bits say nothing.
void quick_scores(const cfaiss_matrix &matrix, const cfaiss_query &query, const int64_t *rows, float *scores);

/// The score in double, rounded once.
float exact_score(const cfaiss_matrix &matrix, const cfaiss_query &query, int64_t row);

/// 1 / norm, or not a number beyond where products of 32 bits overflow, or lose digits to denormals.
float scale_of(double norm);

/// What `cfaiss_matrix_nearest` says.
int64_t scan_nearest(const cfaiss_matrix &matrix, const cfaiss_query &query, const uint64_t *rows, int64_t k,
                     int64_t *found_rows, float *found_scores);

/// Whether a row is in a set of rows; NULL has all.
inline bool contains(const uint64_t *rows, int64_t row) {
    return rows == nullptr || (rows[row >> 6] >> (row & 63) & 1);
}

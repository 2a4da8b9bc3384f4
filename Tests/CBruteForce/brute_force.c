#include "brute_force.h"

#include <math.h>
#include <stdlib.h>

enum { no_transpose = 111, transpose = 112, row_major = 101 };
void cblas_dgemm(int order, int trans_a, int trans_b, int m, int n, int k, double alpha, const double *a, int lda,
                 const double *b, int ldb, double beta, double *c, int ldc);

static double *widened(const float *vectors, int64_t count, int32_t dim, int32_t normalise) {
    double *wide = malloc((size_t)count * dim * sizeof(double));
    for (int64_t row = 0; row < count; row++) {
        double squares = 0;
        for (int32_t i = 0; i < dim; i++) squares += (double)vectors[row * dim + i] * vectors[row * dim + i];
        const double scale = normalise ? 1 / sqrt(squares) : 1;
        for (int32_t i = 0; i < dim; i++) wide[row * dim + i] = vectors[row * dim + i] * scale;
    }
    return wide;
}

/// Keeps the best `k` in order; rows come ascending, so an equal score goes behind those that are there.
static void insert(int64_t row, float score, int32_t k, int32_t *filled, int64_t *rows, float *scores) {
    if (*filled == k && score <= scores[k - 1]) return;
    int32_t at = *filled < k ? (*filled)++ : k - 1;
    while (at > 0 && scores[at - 1] < score) {
        scores[at] = scores[at - 1];
        rows[at] = rows[at - 1];
        at--;
    }
    scores[at] = score;
    rows[at] = row;
}

void brute_force(const float *rows, int64_t row_count, const float *queries, int64_t query_count, int32_t dim,
                 int32_t k, int32_t cosine, int64_t *top_rows, float *top_scores) {
    enum { block = 64 };
    double *wide_rows = widened(rows, row_count, dim, cosine);
    double *wide_queries = widened(queries, query_count, dim, cosine);
    double *scores = malloc((size_t)block * row_count * sizeof(double));
    for (int64_t start = 0; start < query_count; start += block) {
        const int64_t count = query_count - start < block ? query_count - start : block;
        cblas_dgemm(row_major, no_transpose, transpose, (int)count, (int)row_count, dim, 1,
                    wide_queries + start * dim, dim, wide_rows, dim, 0, scores, (int)row_count);
        for (int64_t query = 0; query < count; query++) {
            int32_t filled = 0;
            const double *of_query = scores + query * row_count;
            for (int64_t row = 0; row < row_count; row++) {
                insert(row, (float)of_query[row], k, &filled, top_rows + (start + query) * k,
                       top_scores + (start + query) * k);
            }
        }
    }
    free(scores);
    free(wide_queries);
    free(wide_rows);
}

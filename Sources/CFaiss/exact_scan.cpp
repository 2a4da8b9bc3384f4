#include "exact_scan.h"

#include "guarded.h"
#include "instructions.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace {

/// Adds up in sixteen sums at least, each of no more than dim / 16 + 1 products: the error stays far below dim × 2⁻²⁴.
template <typename Element>
using Kernel = void (*)(const float *query, const Element *const *rows, int32_t dim, float *dots);

template <typename Element>
void dots_portable(const float *query, const Element *const *rows, int32_t dim, float *dots) {
    constexpr int lanes = 16;
    for (int row = 0; row < quick_rows; row++) {
        const Element *vector = rows[row];
        float sums[lanes] = {};
        int32_t index = 0;
        for (; index + lanes <= dim; index += lanes) {
            for (int lane = 0; lane < lanes; lane++) {
                sums[lane] += query[index + lane] * static_cast<float>(vector[index + lane]);
            }
        }
        for (int lane = 0; index < dim; index++, lane++) sums[lane] += query[index] * static_cast<float>(vector[index]);
        float total = 0;
        for (int lane = 0; lane < lanes; lane++) total += sums[lane];
        dots[row] = total;
    }
}

#if defined(__x86_64__)

TARGET_AVX512 inline __m512 load512(const float *from) { return _mm512_loadu_ps(from); }
TARGET_AVX512 inline __m512 load512(const _Float16 *from) {
    return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i *>(from)));
}
TARGET_AVX512 inline __m512 load512(const float *from, __mmask16 mask) { return _mm512_maskz_loadu_ps(mask, from); }
TARGET_AVX512 inline __m512 load512(const _Float16 *from, __mmask16 mask) {
    return _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(mask, from));
}

template <typename Element>
TARGET_AVX512 void dots_avx512(const float *query, const Element *const *rows, int32_t dim, float *dots) {
    const Element *row0 = rows[0], *row1 = rows[1], *row2 = rows[2], *row3 = rows[3];
    __m512 sum0 = _mm512_setzero_ps(), sum1 = sum0, sum2 = sum0, sum3 = sum0;
    int32_t index = 0;
    for (; index + 16 <= dim; index += 16) {
        const __m512 part = _mm512_loadu_ps(query + index);
        sum0 = _mm512_fmadd_ps(part, load512(row0 + index), sum0);
        sum1 = _mm512_fmadd_ps(part, load512(row1 + index), sum1);
        sum2 = _mm512_fmadd_ps(part, load512(row2 + index), sum2);
        sum3 = _mm512_fmadd_ps(part, load512(row3 + index), sum3);
    }
    if (index < dim) {
        const __mmask16 mask = static_cast<__mmask16>((1u << (dim - index)) - 1);
        const __m512 part = _mm512_maskz_loadu_ps(mask, query + index);
        sum0 = _mm512_fmadd_ps(part, load512(row0 + index, mask), sum0);
        sum1 = _mm512_fmadd_ps(part, load512(row1 + index, mask), sum1);
        sum2 = _mm512_fmadd_ps(part, load512(row2 + index, mask), sum2);
        sum3 = _mm512_fmadd_ps(part, load512(row3 + index, mask), sum3);
    }
    dots[0] = _mm512_reduce_add_ps(sum0);
    dots[1] = _mm512_reduce_add_ps(sum1);
    dots[2] = _mm512_reduce_add_ps(sum2);
    dots[3] = _mm512_reduce_add_ps(sum3);
}

TARGET_AVX2 inline __m256 load256(const float *from) { return _mm256_loadu_ps(from); }
TARGET_AVX2 inline __m256 load256(const _Float16 *from) {
    return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i *>(from)));
}
TARGET_AVX2 inline float number(float value) { return value; }
TARGET_AVX2 inline float number(_Float16 value) { return static_cast<float>(value); }

template <typename Element>
TARGET_AVX2 void dots_avx2(const float *query, const Element *const *rows, int32_t dim, float *dots) {
    __m256 sums[quick_rows][2];
    for (auto &sum : sums) sum[0] = sum[1] = _mm256_setzero_ps();
    int32_t index = 0;
    for (; index + 16 <= dim; index += 16) {
        const __m256 low = _mm256_loadu_ps(query + index), high = _mm256_loadu_ps(query + index + 8);
        for (int row = 0; row < quick_rows; row++) {
            sums[row][0] = _mm256_fmadd_ps(low, load256(rows[row] + index), sums[row][0]);
            sums[row][1] = _mm256_fmadd_ps(high, load256(rows[row] + index + 8), sums[row][1]);
        }
    }
    for (int row = 0; row < quick_rows; row++) {
        float parts[8];
        _mm256_storeu_ps(parts, _mm256_add_ps(sums[row][0], sums[row][1]));
        for (int lane = 0; index + lane < dim; lane++) {
            parts[lane & 7] += query[index + lane] * number(rows[row][index + lane]);
        }
        dots[row] = ((parts[0] + parts[4]) + (parts[1] + parts[5])) + ((parts[2] + parts[6]) + (parts[3] + parts[7]));
    }
}

template <typename Element>
Kernel<Element> kernel() {
    switch (instructions()) {
        case Instructions::avx512_vnni:
        case Instructions::avx512: return dots_avx512<Element>;
        case Instructions::avx2: return dots_avx2<Element>;
        case Instructions::portable: break;
    }
    return dots_portable<Element>;
}

#else

template <typename Element>
Kernel<Element> kernel() {
    return dots_portable<Element>;
}

#endif

struct Candidate {
    float score;
    int64_t row;
};

/// The rows that can be among the `k` nearest, found in one pass.
class Candidates {
public:
    Candidates(int64_t k, double slack) : k(k), slack(slack), room(std::max<int64_t>(4 * k, 1024)) {
        rows.reserve(static_cast<size_t>(room));
    }

    /// Not a number is a score that 32 bits do not tell: such a row stays, and is no reason to leave another out.
    void offer(float score, int64_t row) {
        if (score < threshold) return;
        if (std::isnan(score)) {
            untold.push_back({0, row});
            return;
        }
        rows.push_back({score, row});
        if (static_cast<int64_t>(rows.size()) >= room) prune();
    }

    std::vector<Candidate> &finish() {
        prune();
        rows.insert(rows.end(), untold.begin(), untold.end());
        return rows;
    }

private:
    const int64_t k;
    const double slack;
    int64_t room;
    float threshold = -std::numeric_limits<float>::infinity();
    std::vector<Candidate> rows;
    std::vector<Candidate> untold;

    void prune() {
        if (static_cast<int64_t>(rows.size()) <= k) return;
        std::nth_element(rows.begin(), rows.begin() + (k - 1), rows.end(),
                         [](const Candidate &one, const Candidate &other) { return one.score > other.score; });
        const float last = rows[static_cast<size_t>(k - 1)].score;
        threshold = std::nextafter(static_cast<float>(static_cast<double>(last) - 2 * slack),
                                   -std::numeric_limits<float>::infinity());
        rows.erase(std::remove_if(rows.begin(), rows.end(),
                                  [&](const Candidate &candidate) { return candidate.score < threshold; }),
                   rows.end());
        grow();
    }

    /// Many near each other: not again after each one more.
    void grow() {
        if (static_cast<int64_t>(rows.size()) > room / 2) room = 2 * static_cast<int64_t>(rows.size());
    }
};

template <typename Element>
class Scan {
public:
    Scan(const cfaiss_matrix &matrix, const cfaiss_query &query)
        : matrix(matrix), query(query), vectors(static_cast<const Element *>(matrix.vectors)) {}

    /// All rows that may be found and can belong to the answer.
    std::vector<Candidate> candidates(const uint64_t *rows, int64_t k) const {
        if (!(query.slack < std::numeric_limits<double>::infinity()) || k >= matrix.count) {
            std::vector<Candidate> all;
            for (int64_t row = 0; row < matrix.count; row++) {
                if (contains(rows, row)) all.push_back({0, row});
            }
            return all;
        }
        Candidates best(k, query.slack);
        const Kernel<Element> dots = kernel<Element>();
        int64_t waiting[quick_rows];
        int count = 0;
        const auto flush = [&] {
            float scores[quick_rows];
            for (int index = count; index < quick_rows; index++) waiting[index] = waiting[0];
            quick(dots, waiting, scores);
            for (int index = 0; index < count; index++) best.offer(scores[index], waiting[index]);
            count = 0;
        };
        const auto take = [&](int64_t row) {
            waiting[count++] = row;
            if (count == quick_rows) flush();
        };
        if (rows == nullptr) {
            for (int64_t row = 0; row < matrix.count; row++) take(row);
        } else {
            for (int64_t word = 0; word < (matrix.count + 63) / 64; word++) {
                for (uint64_t rest = rows[word]; rest != 0; rest &= rest - 1) {
                    take(word * 64 + __builtin_ctzll(rest));
                }
            }
        }
        if (count > 0) flush();
        return std::move(best.finish());
    }

    void quick(Kernel<Element> dots, const int64_t *rows, float *scores) const {
        const Element *pointers[quick_rows];
        for (int index = 0; index < quick_rows; index++) pointers[index] = vectors + rows[index] * matrix.dim;
        dots(query.scanned, pointers, matrix.dim, scores);
        if (matrix.scales == nullptr) return;
        for (int index = 0; index < quick_rows; index++) scores[index] *= matrix.scales[rows[index]];
    }

    /// The score in double, rounded once.
    float score(int64_t row) const {
        double dot = 0, squares = 0;
        const Element *vector = vectors + row * matrix.dim;
        if constexpr (sizeof(Element) == 2) {
            cfaiss_dot_f16(query.values, vector, matrix.dim, &dot, &squares);
        } else {
            cfaiss_dot_f32(query.values, vector, matrix.dim, &dot, &squares);
        }
        constexpr double limit = std::numeric_limits<float>::max();
        const double score = matrix.scales == nullptr ? dot : dot / (query.norm * std::sqrt(squares));
        return std::isnan(score) ? -std::numeric_limits<float>::max()
                                 : static_cast<float>(std::max(-limit, std::min(limit, score)));
    }

    void scales(float *to) const {
        for (int64_t row = 0; row < matrix.count; row++) {
            double dot = 0, squares = 0;
            const Element *vector = vectors + row * matrix.dim;
            if constexpr (sizeof(Element) == 2) {
                cfaiss_dot_f16(query.values, vector, matrix.dim, &dot, &squares);
            } else {
                cfaiss_dot_f32(query.values, vector, matrix.dim, &dot, &squares);
            }
            to[row] = scale_of(std::sqrt(squares));
        }
    }

private:
    const cfaiss_matrix &matrix;
    const cfaiss_query &query;
    const Element *vectors;
};

template <typename Element>
int64_t nearest(const cfaiss_matrix &matrix, const cfaiss_query &query, const uint64_t *rows, int64_t k,
                int64_t *found_rows, float *found_scores) {
    const Scan<Element> scan(matrix, query);
    std::vector<Candidate> candidates = scan.candidates(rows, k);
    for (Candidate &candidate : candidates) candidate.score = scan.score(candidate.row);
    const auto count = std::min(k, static_cast<int64_t>(candidates.size()));
    std::partial_sort(candidates.begin(), candidates.begin() + count, candidates.end(),
                      [](const Candidate &one, const Candidate &other) {
                          return one.score != other.score ? one.score > other.score : one.row < other.row;
                      });
    for (int64_t index = 0; index < count; index++) {
        found_rows[index] = candidates[static_cast<size_t>(index)].row;
        found_scores[index] = candidates[static_cast<size_t>(index)].score;
    }
    return count;
}

}  // namespace

float scale_of(double norm) {
    return norm > 1e-12 && norm < 1e12 ? static_cast<float>(1 / norm) : std::numeric_limits<float>::quiet_NaN();
}

void quick_scores(const cfaiss_matrix &matrix, const cfaiss_query &query, const int64_t *rows, float *scores) {
    if (matrix.is_half) {
        Scan<_Float16>(matrix, query).quick(kernel<_Float16>(), rows, scores);
    } else {
        Scan<float>(matrix, query).quick(kernel<float>(), rows, scores);
    }
}

float exact_score(const cfaiss_matrix &matrix, const cfaiss_query &query, int64_t row) {
    return matrix.is_half ? Scan<_Float16>(matrix, query).score(row) : Scan<float>(matrix, query).score(row);
}

int64_t scan_nearest(const cfaiss_matrix &matrix, const cfaiss_query &query, const uint64_t *rows, int64_t k,
                     int64_t *found_rows, float *found_scores) {
    return matrix.is_half ? nearest<_Float16>(matrix, query, rows, k, found_rows, found_scores)
                          : nearest<float>(matrix, query, rows, k, found_rows, found_scores);
}

void cfaiss_matrix_scales(const cfaiss_matrix *matrix, float *scales) {
    // The dot product is not used: any numbers serve as the query.
    std::vector<float> zeros(static_cast<size_t>(matrix->dim));
    const cfaiss_query query = {zeros.data(), zeros.data(), 0, 0};
    if (matrix->is_half) {
        Scan<_Float16>(*matrix, query).scales(scales);
    } else {
        Scan<float>(*matrix, query).scales(scales);
    }
}

cfaiss_status cfaiss_matrix_nearest(const cfaiss_matrix *matrix, const cfaiss_query *queries, int64_t query_count,
                                    const uint64_t *rows, int64_t k, int64_t *found_rows, float *found_scores,
                                    int64_t *found, cfaiss_message message) {
    return guarded(message, [&] {
        for (int64_t index = 0; index < query_count; index++) {
            found[index] = scan_nearest(*matrix, queries[index], rows, k, found_rows + index * k, found_scores + index * k);
        }
    });
}

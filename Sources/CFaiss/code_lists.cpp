#include "code_kernels.h"
#include "code_search.h"
#include "exact_scan.h"
#include "guarded.h"
#include "row_codes.h"

#include <algorithm>
#include <cmath>
#include <vector>

using row_codes::Block;

namespace {

/// The centroids as rows of their own, found by inner products.
cfaiss_matrix centroid_matrix(const cfaiss_lists &lists, int32_t dim) {
    return {lists.centroids, 0, dim, lists.count, nullptr};
}

/// How far a sum of products of 32-bit floats can be from the true one, for centroids of length 1.
double slack(int32_t dim, double norm) { return (dim + 8) * (0x1p-24 * norm + 0x1p-149); }

/// Rows whose lists are looked for at a time: the centroids' codes are read once for them.
constexpr int64_t assigned_at_once = 64;

void search_list(CodeSearch &search, const cfaiss_lists &lists, int64_t list, float base, const uint64_t *wanted,
                 int32_t dim) {
    const auto one = code_kernels().one;
    const int32_t groups = row_codes::groups(dim);
    const size_t bytes = row_codes::block_bytes(dim);
    const CodeQuery query = search.with_base(base);
    float most[row_codes::rows];
    for (int64_t block = lists.first_blocks[list]; block < lists.first_blocks[list + 1]; block++) {
        const auto &codes =
            *reinterpret_cast<const Block *>(static_cast<const uint8_t *>(lists.blocks) + bytes * static_cast<size_t>(block));
        const uint32_t reaching = one(codes, groups, query, search.least(), most);
        if (reaching == 0) continue;
        const int32_t *rows = lists.rows + block * row_codes::rows;
        search.offer(reaching, most, [&](int place) -> int64_t {
            const int32_t row = rows[place];
            return row >= 0 && contains(wanted, row) ? row : -1;
        });
    }
}

}  // namespace

cfaiss_status cfaiss_lists_nearest(const cfaiss_matrix *matrix, const cfaiss_lists *lists, const cfaiss_query *query,
                                   int64_t nprobe, const uint64_t *rows, int64_t k, int64_t *found_rows,
                                   float *found_scores, int64_t *found, cfaiss_message message) {
    return guarded(message, [&] {
        CodeSearch search(*matrix, *query, nullptr, lists->spread, k);
        if (!search.is_usable()) {
            *found = scan_nearest(*matrix, *query, rows, k, found_rows, found_scores);
            return;
        }
        const cfaiss_matrix centroids = centroid_matrix(*lists, matrix->dim);
        const double norm = matrix->scales == nullptr ? query->norm : 1;
        const cfaiss_query coarse = {query->scanned, query->scanned, norm, slack(matrix->dim, norm)};
        std::vector<int64_t> nearest(static_cast<size_t>(nprobe));
        std::vector<float> scores(static_cast<size_t>(nprobe));
        int64_t count = 0;
        const cfaiss_status status = cfaiss_codes_nearest(&centroids, &lists->centroid_codes, &coarse, 1, nullptr, nprobe,
                                                          nearest.data(), scores.data(), &count, message);
        if (status != CFAISS_OK) throw std::runtime_error(message.bytes);
        for (int64_t index = 0; index < count; index++) {
            search_list(search, *lists, nearest[static_cast<size_t>(index)], scores[static_cast<size_t>(index)], rows,
                        matrix->dim);
        }
        *found = search.finish(found_rows, found_scores);
    });
}

cfaiss_status cfaiss_lists_assign(const cfaiss_matrix *matrix, int32_t is_cosine, const cfaiss_lists *lists,
                                  const int64_t *rows, int64_t first, int64_t count, int32_t *assigned,
                                  cfaiss_message message) {
    return guarded(message, [&] {
        const cfaiss_matrix centroids = centroid_matrix(*lists, matrix->dim);
        const auto dim = static_cast<size_t>(matrix->dim);
        std::vector<float> values(dim * assigned_at_once), scores(assigned_at_once);
        std::vector<int64_t> nearest(assigned_at_once), found(assigned_at_once);
        std::vector<cfaiss_query> queries;
        for (int64_t start = 0; start < count; start += assigned_at_once) {
            const int64_t end = std::min(start + assigned_at_once, count);
            queries.clear();
            for (int64_t index = start; index < end; index++) {
                float *vector = values.data() + dim * static_cast<size_t>(index - start);
                const double length = row_codes::read(*matrix, rows == nullptr ? first + index : rows[index],
                                                      is_cosine != 0, vector);
                const double norm = is_cosine != 0 ? 1 : length;
                queries.push_back({vector, vector, norm, slack(matrix->dim, norm)});
            }
            const cfaiss_status status =
                cfaiss_codes_nearest(&centroids, &lists->centroid_codes, queries.data(), end - start, nullptr, 1,
                                     nearest.data(), scores.data(), found.data(), message);
            if (status != CFAISS_OK) throw std::runtime_error(message.bytes);
            for (int64_t index = start; index < end; index++) {
                assigned[index] = static_cast<int32_t>(nearest[static_cast<size_t>(index - start)]);
            }
        }
    });
}

cfaiss_status cfaiss_lists_sum(const cfaiss_matrix *matrix, int32_t is_cosine, const int64_t *rows, int64_t count,
                               const int32_t *assigned, double *sums, int64_t *counts, cfaiss_message message) {
    return guarded(message, [&] {
        std::vector<float> vector(static_cast<size_t>(matrix->dim));
        for (int64_t index = 0; index < count; index++) {
            row_codes::read(*matrix, rows[index], is_cosine != 0, vector.data());
            double *sum = sums + static_cast<int64_t>(assigned[index]) * matrix->dim;
            for (int32_t at = 0; at < matrix->dim; at++) sum[at] += vector[static_cast<size_t>(at)];
            counts[assigned[index]]++;
        }
    });
}

cfaiss_status cfaiss_lists_spread(const cfaiss_matrix *matrix, int32_t is_cosine, const float *centroids,
                                  const int64_t *rows, int64_t count, const int32_t *assigned, float *spread,
                                  cfaiss_message message) {
    return guarded(message, [&] {
        std::vector<float> vector(static_cast<size_t>(matrix->dim));
        std::vector<double> deviations(static_cast<size_t>(matrix->dim));
        for (int64_t index = 0; index < count; index++) {
            row_codes::read(*matrix, rows[index], is_cosine != 0, vector.data());
            const float *centroid = centroids + static_cast<int64_t>(assigned[index]) * matrix->dim;
            for (size_t at = 0; at < deviations.size(); at++) {
                const double away = static_cast<double>(vector[at]) - centroid[at];
                deviations[at] += away * away;
            }
        }
        for (double &deviation : deviations) deviation = std::sqrt(deviation / static_cast<double>(std::max<int64_t>(1, count)));
        row_codes::set_spread(deviations.data(), matrix->dim, spread);
    });
}

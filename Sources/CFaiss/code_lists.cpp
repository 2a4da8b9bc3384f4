#include "code_kernels.h"
#include "code_search.h"
#include "exact_scan.h"
#include "guarded.h"
#include "row_codes.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

using row_codes::Block;

namespace {

/// Rows whose lists are looked for at a time: the centroids' codes are read once for them.
constexpr int64_t assigned_at_once = 64;

/// What codes leave out points anywhere: its product with a query is seldom more than this many times |q| |e| / √dim, which
/// is the deviation of such products. Beyond, a row of a list is not looked at again.
constexpr float likely_deviations = 5;

struct Centroids {
    const void *blocks;
    const size_t block_bytes;
    const int32_t groups;
    const int64_t block_count;

    Centroids(const cfaiss_lists &lists, int32_t dim)
        : blocks(lists.centroid_codes.blocks),
          block_bytes(row_codes::block_bytes(dim)),
          groups(row_codes::groups(dim)),
          block_count((lists.count + row_codes::rows - 1) / row_codes::rows) {}

    const Block &block(int64_t index) const {
        return row_codes::block_at(blocks, block_bytes, index);
    }
};

/// Only what the codes say, without a bound of what they leave out.
CodeQuery estimating(const PreparedQuery &query) {
    CodeQuery codes = query.codes;
    codes.size = codes.rest = 0;
    return codes;
}

struct Probe {
    float score;
    int64_t list;

    bool operator<(const Probe &other) const { return score != other.score ? score > other.score : list < other.list; }
};

/// The `count` lists whose centroids are nearest by their codes, the nearest first.
std::vector<Probe> nearest_lists(const cfaiss_lists &lists, const PreparedQuery &query, int32_t dim, int64_t count) {
    const Centroids centroids(lists, dim);
    const CodeQuery codes = estimating(query);
    const auto one = code_kernels().one;
    std::vector<Probe> probes(static_cast<size_t>(lists.count));
    float estimates[row_codes::rows];
    for (int64_t block = 0; block < centroids.block_count; block++) {
        one(centroids.block(block), centroids.groups, codes, -std::numeric_limits<float>::infinity(), estimates);
        const int64_t first = block * row_codes::rows;
        for (int64_t list = first; list < std::min(first + row_codes::rows, lists.count); list++) {
            const float estimate = estimates[list - first];
            probes[static_cast<size_t>(list)] = {std::isnan(estimate) ? 0 : estimate, list};
        }
    }
    std::partial_sort(probes.begin(), probes.begin() + count, probes.end());
    probes.resize(static_cast<size_t>(count));
    return probes;
}

void search_list(CodeSearch &search, const cfaiss_lists &lists, int64_t list, const CodeQuery &query,
                 const uint64_t *wanted, int32_t dim) {
    const auto one = code_kernels().one;
    const int32_t groups = row_codes::groups(dim);
    const size_t bytes = row_codes::block_bytes(dim);
    float most[row_codes::rows];
    for (int64_t block = lists.first_blocks[list]; block < lists.first_blocks[list + 1]; block++) {
        const Block &codes = row_codes::block_at(lists.blocks, bytes, block);
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
        const int32_t dim = matrix->dim;
        CodeSearch search(*matrix, *query, nullptr, lists->spread, k);
        const double norm = matrix->scales == nullptr ? query->norm : 1;
        const PreparedQuery coarse(query->scanned, dim, 1, norm, lists->centroid_codes.mean, lists->centroid_codes.spread);
        if (!search.prepared().is_usable || !coarse.is_usable) {
            *found = scan_nearest(*matrix, *query, rows, k, found_rows, found_scores);
            return;
        }
        CodeQuery codes = search.prepared().codes;
        codes.size *= std::min(1.0f, likely_deviations / std::sqrt(static_cast<float>(dim)));
        for (const Probe &probe : nearest_lists(*lists, coarse, dim, nprobe)) {
            double dot = 0, squares = 0;
            cfaiss_dot_f32(query->scanned, lists->centroids + probe.list * dim, dim, &dot, &squares);
            codes.base = static_cast<float>(dot);
            search_list(search, *lists, probe.list, codes, rows, dim);
        }
        *found = search.finish(found_rows, found_scores);
    });
}

cfaiss_status cfaiss_lists_assign(const cfaiss_matrix *matrix, int32_t is_cosine, const cfaiss_lists *lists,
                                  const int64_t *rows, int64_t first, int64_t count, int32_t *assigned,
                                  cfaiss_message message) {
    return guarded(message, [&] {
        const int32_t dim = matrix->dim;
        const Centroids centroids(*lists, dim);
        const auto several = code_kernels().several;
        std::vector<float> vector(static_cast<size_t>(dim));
        float estimates[code_queries_at_once * row_codes::rows];
        uint32_t reaching[code_queries_at_once];
        for (int64_t start = 0; start < count; start += assigned_at_once) {
            const int64_t own = std::min(assigned_at_once, count - start);
            std::vector<PreparedQuery> queries;
            queries.reserve(static_cast<size_t>(own));
            std::vector<CodeQuery> codes;
            for (int64_t index = start; index < start + own; index++) {
                const double length =
                    row_codes::read(*matrix, rows == nullptr ? first + index : rows[index], is_cosine != 0, vector.data());
                queries.emplace_back(vector.data(), dim, 1, is_cosine != 0 ? 1 : length, lists->centroid_codes.mean,
                                     lists->centroid_codes.spread);
                codes.push_back(estimating(queries.back()));
                assigned[index] = 0;
            }
            while (codes.size() % code_queries_at_once != 0) codes.push_back(codes.back());
            std::vector<float> best(codes.size(), -std::numeric_limits<float>::max());
            for (int64_t block = 0; block < centroids.block_count; block++) {
                for (size_t group = 0; group < codes.size(); group += code_queries_at_once) {
                    several(centroids.block(block), centroids.groups, codes.data() + group, best.data() + group, estimates,
                            reaching);
                    for (size_t index = 0; index < code_queries_at_once; index++) {
                        if (reaching[index] == 0 || static_cast<int64_t>(group + index) >= own) continue;
                        const float *estimate = estimates + row_codes::rows * index;
                        const int64_t first_list = block * row_codes::rows;
                        for (int64_t list = first_list; list < std::min(first_list + row_codes::rows, lists->count); list++) {
                            if (!(estimate[list - first_list] > best[group + index])) continue;
                            best[group + index] = estimate[list - first_list];
                            assigned[start + static_cast<int64_t>(group + index)] = static_cast<int32_t>(list);
                        }
                    }
                }
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

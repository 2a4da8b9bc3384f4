#include "code_kernels.h"
#include "code_search.h"
#include "exact_scan.h"
#include "guarded.h"
#include "row_codes.h"

#include <algorithm>
#include <limits>
#include <vector>

namespace {

class Scan {
public:
    Scan(const cfaiss_matrix &matrix, const cfaiss_codes &codes, const uint64_t *rows)
        : rows(rows),
          blocks(codes.blocks),
          block_bytes(row_codes::block_bytes(matrix.dim)),
          groups(row_codes::groups(matrix.dim)),
          count(matrix.count),
          block_count((matrix.count + row_codes::rows - 1) / row_codes::rows) {}

    void run(CodeSearch &search) const {
        const auto one = code_kernels().one;
        float most[row_codes::rows];
        for (int64_t block = 0; block < block_count; block++) {
            const uint32_t wanted = wanted_in(block);
            if (wanted == 0) continue;
            const uint32_t reaching = wanted & one(row_codes::block_at(blocks, block_bytes, block), groups, search.prepared().codes, search.least(), most);
            if (reaching != 0) offer(search, block, reaching, most);
        }
    }

    void run(const std::vector<CodeSearch *> &searches) const {
        const auto several = code_kernels().several;
        const size_t count = searches.size();
        const size_t padded = (count + code_queries_at_once - 1) / code_queries_at_once * code_queries_at_once;
        // Queries that nothing reaches fill the last group.
        std::vector<CodeQuery> queries(padded);
        std::vector<float> least(padded, std::numeric_limits<float>::infinity());
        for (size_t index = 0; index < padded; index++) queries[index] = searches[std::min(index, count - 1)]->prepared().codes;
        float most[code_queries_at_once * row_codes::rows];
        uint32_t reaching[code_queries_at_once];
        for (int64_t block = 0; block < block_count; block++) {
            const uint32_t wanted = wanted_in(block);
            if (wanted == 0) continue;
            for (size_t first = 0; first < padded; first += code_queries_at_once) {
                for (size_t index = first; index < std::min(count, first + code_queries_at_once); index++) {
                    least[index] = searches[index]->least();
                }
                several(row_codes::block_at(blocks, block_bytes, block), groups, queries.data() + first, least.data() + first, most, reaching);
                for (size_t index = 0; first + index < count && index < code_queries_at_once; index++) {
                    const uint32_t found = reaching[index] & wanted;
                    if (found == 0) continue;
                    offer(*searches[first + index], block, found, most + row_codes::rows * index);
                }
            }
        }
    }

private:
    const uint64_t *rows;
    const void *blocks;
    const size_t block_bytes;
    const int32_t groups;
    const int64_t count;
    const int64_t block_count;

    static void offer(CodeSearch &search, int64_t block, uint32_t reaching, const float *most) {
        search.offer(reaching, most, [&](int place) { return block * row_codes::rows + place; });
    }

    uint32_t wanted_in(int64_t block) const {
        if (rows != nullptr) return static_cast<uint32_t>(rows[block / 4] >> (16 * (block % 4)) & 0xffff);
        const int64_t left = count - block * row_codes::rows;
        return left >= row_codes::rows ? 0xffff : (1u << left) - 1;
    }
};

/// Below this share of the rows, reading those that may be found is less than reading the codes of all.
constexpr int64_t least_share = 16;

int64_t count_of(const uint64_t *rows, int64_t count) {
    if (rows == nullptr) return count;
    int64_t set = 0;
    for (int64_t word = 0; word < (count + 63) / 64; word++) set += __builtin_popcountll(rows[word]);
    return set;
}

}  // namespace

cfaiss_status cfaiss_codes_nearest(const cfaiss_matrix *matrix, const cfaiss_codes *codes, const cfaiss_query *queries,
                                   int64_t query_count, const uint64_t *rows, int64_t k, int64_t *found_rows,
                                   float *found_scores, int64_t *found, cfaiss_message message) {
    return guarded(message, [&] {
        const int64_t wanted = count_of(rows, matrix->count);
        // Where most rows are part of the answer, or few may be, codes only add to the work.
        const bool pays = k < wanted / 8 && wanted >= matrix->count / least_share;
        const auto scan_vectors = [&](int64_t index) {
            found[index] = scan_nearest(*matrix, queries[index], rows, k, found_rows + index * k, found_scores + index * k);
        };
        if (!pays) {
            for (int64_t index = 0; index < query_count; index++) scan_vectors(index);
            return;
        }
        std::vector<CodeSearch> searches;
        std::vector<CodeSearch *> usable;
        searches.reserve(static_cast<size_t>(query_count));
        for (int64_t index = 0; index < query_count; index++) {
            searches.emplace_back(*matrix, queries[index], codes->mean, codes->spread, k);
            if (searches.back().prepared().is_usable) usable.push_back(&searches.back());
        }
        const Scan scan(*matrix, *codes, rows);
        if (usable.size() == 1) {
            scan.run(*usable.front());
        } else if (!usable.empty()) {
            scan.run(usable);
        }
        for (int64_t index = 0; index < query_count; index++) {
            CodeSearch &search = searches[static_cast<size_t>(index)];
            if (search.prepared().is_usable) {
                found[index] = search.finish(found_rows + index * k, found_scores + index * k);
            } else {
                scan_vectors(index);
            }
        }
    });
}

#include "code_kernels.h"
#include "exact_scan.h"
#include "guarded.h"
#include "row_codes.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

using row_codes::Block;

namespace {

constexpr float infinity = std::numeric_limits<float>::infinity();

/// Beyond these lengths of a query, products of 32 bits overflow or lose digits.
constexpr double least_size = 1e-15, largest_size = 1e15;

struct Hit {
    float score;
    int64_t row;

    /// Best first, ties by row.
    bool operator<(const Hit &other) const { return score != other.score ? score > other.score : row < other.row; }
};

/// A row that by its code can belong to the answer.
struct Candidate {
    /// No score of it is above.
    float most;
    int64_t row;
};

/// One query on its way through the codes.
class Search {
public:
    Search(const cfaiss_matrix &matrix, const cfaiss_codes &codes, const cfaiss_query &query, int64_t k)
        : matrix(matrix), query(query), k(static_cast<size_t>(k)), room(std::max<size_t>(2 * this->k, 64)) {
        prepare(codes);
        waiting.reserve(room + row_codes::rows);
    }

    /// Whether codes say anything about this query's scores.
    bool is_usable() const { return usable; }

    const CodeQuery &prepared() const { return code_query; }
    /// What a row has to reach.
    float least() const { return threshold; }

    void offer(int64_t first_row, uint32_t reaching, const float *most) {
        for (; reaching != 0; reaching &= reaching - 1) {
            const int place = __builtin_ctz(reaching);
            waiting.push_back({most[place], first_row + place});
        }
        if (waiting.size() >= room) tighten();
    }

    int64_t finish(int64_t *rows, float *scores) {
        drop();
        std::sort(waiting.begin(), waiting.end(), by_most);
        score(waiting.size());
        std::sort_heap(best.begin(), best.end());
        for (size_t index = 0; index < best.size(); index++) {
            rows[index] = best[index].row;
            scores[index] = best[index].score;
        }
        return static_cast<int64_t>(best.size());
    }

private:
    const cfaiss_matrix &matrix;
    const cfaiss_query &query;
    const size_t k;
    size_t room;
    bool usable = false;
    std::vector<int8_t> numbers;
    CodeQuery code_query{};
    float threshold = -infinity;
    std::vector<Candidate> waiting;
    /// A heap, the worst in front.
    std::vector<Hit> best;

    static bool by_most(const Candidate &one, const Candidate &other) { return one.most > other.most; }

    void prepare(const cfaiss_codes &codes) {
        const int32_t dim = matrix.dim;
        numbers.resize(8 * static_cast<size_t>(row_codes::groups(dim)));
        const bool is_cosine = matrix.scales != nullptr;
        if (!(query.norm > least_size && query.norm < largest_size)) return;
        const double length = is_cosine ? query.norm : 1;
        double base = 0, largest = 0;
        for (int32_t at = 0; at < dim; at++) {
            const double value = query.values[at] / length;
            base += value * codes.mean[at];
            largest = std::max(largest, std::fabs(value * codes.spread[at]));
        }
        const auto unit = static_cast<float>(largest / 127);
        if (!(unit > std::numeric_limits<float>::min())) return;
        double rests = 0;
        for (int32_t at = 0; at < dim; at++) {
            const double scaled = query.values[at] / length * codes.spread[at];
            const double number = std::max(-127.0, std::min(127.0, std::nearbyint(scaled / unit)));
            const double rest = scaled - unit * number;
            rests += rest * rest;
            numbers[at] = static_cast<int8_t>(number);
            code_query.sum += static_cast<int32_t>(number);
        }
        code_query.numbers = numbers.data();
        code_query.unit = unit;
        code_query.base = static_cast<float>(base);
        // Rounded up, and by more than the roundings of the products with them.
        code_query.size = static_cast<float>(query.norm / length * (1 + 0x1p-20));
        code_query.rest = static_cast<float>(std::sqrt(rests) * (1 + 0x1p-10));
        usable = true;
    }

    /// Scores those that promise most, so that fewer others reach what is found.
    void tighten() {
        const size_t count = std::min(k, waiting.size());
        std::nth_element(waiting.begin(), waiting.begin() + static_cast<int64_t>(count - 1), waiting.end(), by_most);
        score(count);
        waiting.erase(waiting.begin(), waiting.begin() + static_cast<int64_t>(count));
        drop();
        // Many near each other: not again after each one more.
        room = std::max(room, 2 * waiting.size());
    }

    /// Lets go of those that do not reach what is found.
    void drop() {
        waiting.erase(std::remove_if(waiting.begin(), waiting.end(),
                                     [&](const Candidate &candidate) { return candidate.most < threshold; }),
                      waiting.end());
    }

    /// Scores the first `count` of those that wait, quickly first, where they still reach what is found.
    void score(size_t count) {
        for (size_t start = 0; start < count; start += quick_rows) {
            int64_t rows[quick_rows];
            float quick[quick_rows];
            for (size_t index = 0; index < quick_rows; index++) {
                rows[index] = waiting[start + index < count ? start + index : start].row;
                if (start + quick_rows + index < count) prefetch(waiting[start + quick_rows + index].row);
            }
            const size_t end = std::min(count - start, static_cast<size_t>(quick_rows));
            const bool reaches = std::any_of(waiting.begin() + static_cast<int64_t>(start),
                                             waiting.begin() + static_cast<int64_t>(start + end),
                                             [&](const Candidate &candidate) { return !(candidate.most < threshold); });
            if (!reaches) continue;
            quick_scores(matrix, query, rows, quick);
            for (size_t index = 0; index < end; index++) {
                // Not a number says nothing.
                if (quick[index] + query.slack < threshold) continue;
                take({exact_score(matrix, query, rows[index]), rows[index]});
            }
        }
    }

    void prefetch(int64_t row) const {
        const size_t bytes = static_cast<size_t>(matrix.dim) * (matrix.is_half ? 2 : 4);
        const char *vector = static_cast<const char *>(matrix.vectors) + static_cast<size_t>(row) * bytes;
        for (size_t line = 0; line < std::min<size_t>(bytes, 512); line += 64) __builtin_prefetch(vector + line);
    }

    void take(const Hit &hit) {
        if (best.size() == k) {
            if (!(hit < best.front())) return;
            std::pop_heap(best.begin(), best.end());
            best.back() = hit;
        } else {
            best.push_back(hit);
        }
        std::push_heap(best.begin(), best.end());
        if (best.size() < k) return;
        // A score that is rounded to this one, or to a better one, is at least so large before.
        const double worst = best.front().score;
        const double least = worst - std::fabs(worst) * 0x1p-22 - 1e-44;
        threshold = least > -std::numeric_limits<float>::max() ? std::nextafter(static_cast<float>(least), -infinity)
                                                                : -infinity;
    }
};

class Scan {
public:
    Scan(const cfaiss_matrix &matrix, const cfaiss_codes &codes, const uint64_t *rows)
        : rows(rows),
          blocks(static_cast<const uint8_t *>(codes.blocks)),
          block_bytes(row_codes::block_bytes(matrix.dim)),
          groups(row_codes::groups(matrix.dim)),
          count(matrix.count),
          block_count((matrix.count + row_codes::rows - 1) / row_codes::rows) {}

    void run(Search &search) const {
        const auto one = code_kernels().one;
        float most[row_codes::rows];
        for (int64_t block = 0; block < block_count; block++) {
            const uint32_t wanted = wanted_in(block);
            if (wanted == 0) continue;
            const uint32_t reaching = wanted & one(at(block), groups, search.prepared(), search.least(), most);
            if (reaching != 0) search.offer(block * row_codes::rows, reaching, most);
        }
    }

    void run(const std::vector<Search *> &searches) const {
        const auto several = code_kernels().several;
        const size_t count = searches.size();
        const size_t padded = (count + code_queries_at_once - 1) / code_queries_at_once * code_queries_at_once;
        // Queries that nothing reaches fill the last group.
        std::vector<CodeQuery> queries(padded);
        std::vector<float> least(padded, infinity);
        for (size_t index = 0; index < padded; index++) queries[index] = searches[std::min(index, count - 1)]->prepared();
        float most[code_queries_at_once * row_codes::rows];
        uint32_t reaching[code_queries_at_once];
        for (int64_t block = 0; block < block_count; block++) {
            const uint32_t wanted = wanted_in(block);
            if (wanted == 0) continue;
            for (size_t first = 0; first < padded; first += code_queries_at_once) {
                for (size_t index = first; index < std::min(count, first + code_queries_at_once); index++) {
                    least[index] = searches[index]->least();
                }
                several(at(block), groups, queries.data() + first, least.data() + first, most, reaching);
                for (size_t index = 0; first + index < count && index < code_queries_at_once; index++) {
                    const uint32_t found = reaching[index] & wanted;
                    if (found == 0) continue;
                    searches[first + index]->offer(block * row_codes::rows, found, most + row_codes::rows * index);
                }
            }
        }
    }

private:
    const uint64_t *rows;
    const uint8_t *blocks;
    const size_t block_bytes;
    const int32_t groups;
    const int64_t count;
    const int64_t block_count;

    const Block &at(int64_t block) const {
        return *reinterpret_cast<const Block *>(blocks + block_bytes * static_cast<size_t>(block));
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
        std::vector<Search> searches;
        std::vector<Search *> usable;
        searches.reserve(static_cast<size_t>(query_count));
        for (int64_t index = 0; index < query_count; index++) {
            searches.emplace_back(*matrix, *codes, queries[index], k);
            if (pays && searches.back().is_usable()) usable.push_back(&searches.back());
        }
        const Scan scan(*matrix, *codes, rows);
        if (usable.size() == 1) {
            scan.run(*usable.front());
        } else if (!usable.empty()) {
            scan.run(usable);
        }
        for (int64_t index = 0; index < query_count; index++) {
            int64_t *to = found_rows + index * k;
            float *scores = found_scores + index * k;
            Search &search = searches[static_cast<size_t>(index)];
            found[index] = pays && search.is_usable() ? search.finish(to, scores)
                                                      : scan_nearest(*matrix, queries[index], rows, k, to, scores);
        }
    });
}

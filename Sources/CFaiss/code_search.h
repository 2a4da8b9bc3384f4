// One query on its way through compact codes, whatever order they are in.
#pragma once

#include "code_kernels.h"
#include "exact_scan.h"

#include <cstdint>
#include <limits>
#include <vector>

/// A query as codes take it.
struct PreparedQuery {
    /// - Parameters:
    ///   - factor: what `values` are multiplied by, to be of length 1 where the metric is cosine.
    ///   - norm: length of `values`.
    ///   - mean: of the codes; NULL where each list of them has its own (`with_base`).
    PreparedQuery(const float *values, int32_t dim, double factor, double norm, const float *mean, const float *spread);

    PreparedQuery(PreparedQuery &&) = default;
    PreparedQuery(const PreparedQuery &) = delete;

    /// Whether codes say anything about this query's scores.
    bool is_usable = false;
    CodeQuery codes{};

private:
    std::vector<int8_t> numbers;
};

/// Collects the rows that by their codes can belong to the answer, and scores those that still do on their original vectors.
class CodeSearch {
public:
    /// - Parameters:
    ///   - mean: of the codes; NULL where each list of them has its own (`with_base`).
    ///   - spread: of the codes.
    CodeSearch(const cfaiss_matrix &matrix, const cfaiss_query &query, const float *mean, const float *spread, int64_t k);

    const PreparedQuery &prepared() const { return prepared_query; }

    /// What a row has to reach.
    float least() const { return threshold; }

    /// Takes rows of a block that reach `least`, given what their scores are not above.
    ///
    /// - Parameter row_of: the row at a place of the block; less than 0 for none.
    template <typename RowOf>
    void offer(uint32_t reaching, const float *most, RowOf row_of) {
        for (; reaching != 0; reaching &= reaching - 1) {
            const int place = __builtin_ctz(reaching);
            const int64_t row = row_of(place);
            if (row >= 0) waiting.push_back({most[place], row});
        }
        if (waiting.size() >= room) tighten();
    }

    /// Fills in the nearest rows, best first, ties by row.
    ///
    /// - Returns: how many there are.
    int64_t finish(int64_t *rows, float *scores);

private:
    /// A row that by its code can belong to the answer: no score of it is above `most`.
    struct Candidate {
        float most;
        int64_t row;
    };

    struct Hit {
        float score;
        int64_t row;

        /// Best first, ties by row.
        bool operator<(const Hit &other) const { return score != other.score ? score > other.score : row < other.row; }
    };

    const cfaiss_matrix &matrix;
    const cfaiss_query &query;
    const size_t k;
    size_t room;
    PreparedQuery prepared_query;
    float threshold = -std::numeric_limits<float>::infinity();
    std::vector<Candidate> waiting;
    /// A heap, the worst in front.
    std::vector<Hit> best;

    static bool by_most(const Candidate &one, const Candidate &other) { return one.most > other.most; }
    void tighten();
    void drop();
    void score(size_t count);
    void prefetch(int64_t row) const;
    void take(const Hit &hit);
};

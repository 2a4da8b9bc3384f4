#include "code_search.h"

#include "row_codes.h"

#include <algorithm>
#include <cmath>

namespace {

constexpr float infinity = std::numeric_limits<float>::infinity();

/// Beyond these lengths of a query, products of 32 bits overflow or lose digits.
constexpr double least_size = 1e-15, largest_size = 1e15;

}  // namespace

PreparedQuery::PreparedQuery(const float *values, int32_t dim, double factor, double norm, const float *mean,
                             const float *spread)
    : numbers(8 * static_cast<size_t>(row_codes::groups(dim))) {
    codes.numbers = numbers.data();
    if (!(norm > least_size && norm < largest_size)) return;
    double base = 0, largest = 0;
    for (int32_t at = 0; at < dim; at++) {
        const double value = values[at] * factor;
        if (mean != nullptr) base += value * mean[at];
        largest = std::max(largest, std::fabs(value * spread[at]));
    }
    const auto unit = static_cast<float>(largest / 127);
    if (!(unit > std::numeric_limits<float>::min())) return;
    const double per_unit = 1 / static_cast<double>(unit);
    double rests = 0;
    for (int32_t at = 0; at < dim; at++) {
        const double scaled = values[at] * factor * spread[at];
        const double units = std::max(-127.0, std::min(127.0, scaled * per_unit));
        const auto number = static_cast<int32_t>(units + (units < 0 ? -0.5 : 0.5));
        const double rest = scaled - static_cast<double>(unit) * number;
        rests += rest * rest;
        numbers[at] = static_cast<int8_t>(number);
        codes.sum += number;
    }
    codes.unit = unit;
    codes.base = static_cast<float>(base);
    // Rounded up, and by more than the roundings of the products with them.
    codes.size = static_cast<float>(norm * factor * (1 + 0x1p-20));
    codes.rest = static_cast<float>(std::sqrt(rests) * (1 + 0x1p-10));
    is_usable = true;
}

CodeSearch::CodeSearch(const cfaiss_matrix &matrix, const cfaiss_query &query, const float *mean, const float *spread,
                       int64_t k)
    : matrix(matrix),
      query(query),
      k(static_cast<size_t>(k)),
      room(std::max<size_t>(2 * this->k, 64)),
      prepared_query(query.values, matrix.dim, matrix.scales == nullptr ? 1 : 1 / query.norm, query.norm, mean, spread) {
    if (prepared_query.is_usable) waiting.reserve(std::min<size_t>(room, 4096) + row_codes::rows);
}

int64_t CodeSearch::finish(int64_t *rows, float *scores) {
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

/// Scores those that promise most, so that fewer others reach what is found.
void CodeSearch::tighten() {
    const size_t count = std::min(k, waiting.size());
    std::nth_element(waiting.begin(), waiting.begin() + static_cast<int64_t>(count - 1), waiting.end(), by_most);
    score(count);
    waiting.erase(waiting.begin(), waiting.begin() + static_cast<int64_t>(count));
    drop();
    // Many near each other: not again after each one more.
    room = std::max(room, 2 * waiting.size());
}

/// Lets go of those that do not reach what is found.
void CodeSearch::drop() {
    waiting.erase(std::remove_if(waiting.begin(), waiting.end(),
                                 [&](const Candidate &candidate) { return candidate.most < threshold; }),
                  waiting.end());
}

/// Scores the first `count` of those that wait, quickly first, where they still reach what is found.
void CodeSearch::score(size_t count) {
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

void CodeSearch::prefetch(int64_t row) const {
    const size_t bytes = static_cast<size_t>(matrix.dim) * (matrix.is_half ? 2 : 4);
    const char *vector = static_cast<const char *>(matrix.vectors) + static_cast<size_t>(row) * bytes;
    for (size_t line = 0; line < std::min<size_t>(bytes, 512); line += 64) __builtin_prefetch(vector + line);
}

void CodeSearch::take(const Hit &hit) {
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

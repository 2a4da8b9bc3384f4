// The kernels of Sources/CFaiss, compiled with the address and undefined-behaviour sanitizers and run on buffers of exactly
// the sizes that their header asks for: `Tools/check-kernels` builds and runs this. Every answer is compared with a search in
// plain double arithmetic.
//
//     kernel_checks [TURNS]
#include "cfaiss.h"
#include "test_distances.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <vector>

namespace {

using Random = std::mt19937_64;

int between(Random &random, int least, int most) { return std::uniform_int_distribution<int>(least, most)(random); }

char text[512];
const cfaiss_message message = {text, sizeof text};

void check(bool holds, const std::string &what) {
    if (holds) return;
    std::fprintf(stderr, "kernel_checks: %s\n", what.c_str());
    std::exit(1);
}

void check(cfaiss_status status, const char *what) { check(status == CFAISS_OK, std::string(what) + ": " + text); }

/// Bytes that end where they end: what reads beyond them is found.
struct Bytes {
    explicit Bytes(size_t count)
        : bytes(static_cast<uint8_t *>(std::aligned_alloc(64, (count + 63) / 64 * 64)), &std::free) {}
    std::unique_ptr<uint8_t, void (*)(void *)> bytes;
};

struct Case {
    int dim, count, k;
    bool is_half, is_cosine;
    std::vector<float> values;
    std::vector<uint16_t> halves;
    std::vector<float> scales;
    cfaiss_matrix matrix{};

    explicit Case(Random &random) {
        dim = between(random, 0, 7) == 0 ? between(random, 150, 1536) : between(random, 1, 150);
        count = between(random, 1, dim > 150 ? 200 : 500);
        k = between(random, 0, 3) == 0 ? between(random, 1, count) : std::min(count, between(random, 1, 12));
        is_half = between(random, 0, 2) == 0;
        is_cosine = between(random, 0, 1) == 0;
        const int nature = between(random, 0, 5);
        std::normal_distribution<float> normal;
        values.resize(static_cast<size_t>(dim) * count);
        for (int row = 0; row < count; row++) {
            float scale = 1;
            if (nature == 1 && !is_half) scale = std::pow(10.0f, static_cast<float>(between(random, -40, 30)));
            const int twin = nature == 2 && row > 0 && row % 3 > 0 ? between(random, 0, row - 1) : -1;
            for (int at = 0; at < dim; at++) {
                float value = normal(random) + (nature == 3 ? 9 : 0);
                if (nature == 4) value = static_cast<float>(between(random, 1, 2));
                if (nature == 5) value = 0.5f;
                values[size_t(row) * dim + at] = twin >= 0 ? values[size_t(twin) * dim + at] : value * scale;
            }
            if (values[size_t(row) * dim] == 0) values[size_t(row) * dim] = is_half ? 0.25f : 1e-40f;
        }
        if (is_half) {
            halves.resize(values.size());
            cfaiss_f32_to_f16(values.data(), halves.data(), int64_t(values.size()));
            cfaiss_f16_to_f32(halves.data(), values.data(), int64_t(values.size()));
        }
        matrix = {is_half ? static_cast<const void *>(halves.data()) : values.data(), is_half, dim, count, nullptr};
        if (is_cosine) {
            scales.resize(count);
            cfaiss_matrix_scales(&matrix, scales.data());
            matrix.scales = scales.data();
        }
    }

    std::string name() const {
        return std::to_string(count) + " x " + std::to_string(dim) + (is_half ? " f16" : " f32") +
               (is_cosine ? " cosine" : " ip") + ", k " + std::to_string(k) + ", " + cfaiss_instructions();
    }
};

struct Query {
    std::vector<float> values, scanned;
    double norm;

    Query(const Case &rows, Random &random) : values(rows.dim) {
        std::normal_distribution<float> normal;
        const float scale = between(random, 0, 5) == 0 ? std::pow(10.0f, static_cast<float>(between(random, -30, 20))) : 1;
        for (float &value : values) value = normal(random) * scale;
        if (values[0] == 0) values[0] = 1;
        double dot = 0, squares = 0;
        cfaiss_dot_f32(values.data(), values.data(), rows.dim, &dot, &squares);
        norm = std::sqrt(squares);
        scanned = values;
        if (rows.is_cosine) cfaiss_normalise(scanned.data(), rows.dim);
    }

    cfaiss_query prepared(const Case &rows) const {
        double largest = 0;
        for (int row = 0; row < rows.count; row++) {
            double squares = 0;
            for (int at = 0; at < rows.dim; at++) squares += double(rows.values[size_t(row) * rows.dim + at]) * rows.values[size_t(row) * rows.dim + at];
            largest = std::max(largest, squares);
        }
        const double size = rows.is_cosine ? 1 : norm * std::sqrt(largest);
        const double slack = size < 1e38 ? (rows.dim + 8) * (0x1p-24 * size + 0x1p-149) : INFINITY;
        return {values.data(), scanned.data(), norm, slack};
    }

    /// The score in double, rounded once, as the header promises.
    float score(const Case &rows, int row) const {
        double dot = 0, squares = 0;
        const size_t start = size_t(row) * rows.dim;
        cfaiss_dot_f32(values.data(), rows.values.data() + start, rows.dim, &dot, &squares);
        const double value = rows.is_cosine ? dot / (norm * std::sqrt(squares)) : dot;
        return static_cast<float>(std::max(-3.4028234663852886e38, std::min(3.4028234663852886e38, value)));
    }

    std::vector<int64_t> nearest(const Case &rows, const std::vector<bool> &allowed) const {
        std::vector<std::pair<float, int64_t>> all;
        for (int row = 0; row < rows.count; row++) {
            if (allowed[row]) all.push_back({-score(rows, row), row});
        }
        std::sort(all.begin(), all.end());
        std::vector<int64_t> best;
        for (size_t index = 0; index < all.size() && index < size_t(rows.k); index++) best.push_back(all[index].second);
        return best;
    }
};

/// The codes of a case in memory of its own.
struct Codes {
    std::vector<float> mean, spread;
    Bytes blocks;

    Codes(const cfaiss_matrix &matrix, bool is_cosine)
        : mean(matrix.dim), spread(matrix.dim), blocks(cfaiss_codes_block_bytes(matrix.dim) * ((matrix.count + 15) / 16)) {
        check(cfaiss_codes_learn(&matrix, is_cosine, 100, mean.data(), spread.data(), message), "learn");
        check(cfaiss_codes_encode(&matrix, is_cosine, mean.data(), spread.data(), nullptr, 0, matrix.count,
                                  blocks.bytes.get(), nullptr, message),
              "encode");
    }

    cfaiss_codes kernel() const { return {mean.data(), spread.data(), blocks.bytes.get()}; }
};

/// Rows that searches of lists should have found, and did.
int64_t listed = 0, listed_found = 0;

void search(const Case &rows, Random &random) {
    std::vector<Query> queries;
    const int query_count = between(random, 0, 2) == 0 ? between(random, 2, 19) : 1;
    for (int index = 0; index < query_count; index++) queries.emplace_back(rows, random);
    std::vector<cfaiss_query> prepared;
    for (const Query &query : queries) prepared.push_back(query.prepared(rows));
    std::vector<bool> allowed(rows.count, true);
    std::vector<uint64_t> words((rows.count + 63) / 64);
    const bool is_filtered = between(random, 0, 1) == 0;
    for (int row = 0; row < rows.count; row++) {
        if (is_filtered) allowed[row] = between(random, 0, 3) > 0;
        if (allowed[row]) words[row / 64] |= uint64_t(1) << (row % 64);
    }
    const uint64_t *mask = is_filtered ? words.data() : nullptr;
    std::vector<int64_t> found_rows(size_t(rows.k) * query_count), found(query_count);
    std::vector<float> scores(size_t(rows.k) * query_count);
    const auto compare = [&](const char *what) {
        for (int index = 0; index < query_count; index++) {
            const auto expected = queries[index].nearest(rows, allowed);
            check(size_t(found[index]) == expected.size() &&
                      std::equal(expected.begin(), expected.end(), found_rows.begin() + size_t(rows.k) * index),
                  std::string(what) + ": " + rows.name());
        }
    };
    check(cfaiss_matrix_nearest(&rows.matrix, prepared.data(), query_count, mask, rows.k, found_rows.data(), scores.data(),
                                found.data(), message),
          "matrix");
    compare("the scan of the vectors");
    const Codes codes(rows.matrix, rows.is_cosine);
    const cfaiss_codes kernel = codes.kernel();
    check(cfaiss_codes_nearest(&rows.matrix, &kernel, prepared.data(), query_count, mask, rows.k, found_rows.data(),
                               scores.data(), found.data(), message),
          "codes");
    compare("the scan of the codes");

    // A graph of which every row can be reached: with the effort of all rows its answer is that of all rows.
    const int links = between(random, 1, 6);
    std::vector<uint32_t> neighbours(size_t(links) * rows.count), upper;
    for (size_t place = 0; place < neighbours.size(); place++) {
        const int row = int(place) / links, link = int(place) % links;
        neighbours[place] = link == 0 ? (row + 1) % rows.count
                            : between(random, 0, 4) == 0 ? UINT32_MAX : between(random, 0, rows.count - 1);
    }
    std::vector<uint32_t> level_rows;
    for (int row = 0; row < rows.count; row += 5) level_rows.push_back(row);
    for (size_t place = 0; place < level_rows.size(); place++) {
        upper.push_back(level_rows[between(random, 0, int(level_rows.size()) - 1)]);
        upper.push_back(between(random, 0, 1) == 0 ? UINT32_MAX : uint32_t(between(random, 0, rows.count - 1)));
    }
    const cfaiss_graph_level level = {int64_t(level_rows.size()), level_rows.data(), upper.data(), 2};
    const cfaiss_graph graph = {0, neighbours.data(), links, 1, &level};
    for (int index = 0; index < query_count; index++) {
        check(cfaiss_graph_nearest(&rows.matrix, &graph, &prepared[index], rows.count, rows.count, mask, rows.k,
                                   found_rows.data() + size_t(rows.k) * index, scores.data() + size_t(rows.k) * index,
                                   &found[index], message),
              "graph");
    }
    compare("the search of a graph");

    // Lists: two rows as centroids, and with all lists searched the answer is that of all rows.
    if (rows.count < 2) return;
    const int64_t list_count = std::min(rows.count, 12);
    std::vector<float> centroids(size_t(list_count) * rows.dim);
    for (int64_t list = 0; list < list_count; list++) {
        std::copy_n(rows.values.data() + list * rows.dim, rows.dim, centroids.data() + list * rows.dim);
        cfaiss_normalise(centroids.data() + list * rows.dim, rows.dim);
    }
    const cfaiss_matrix centroid_matrix = {centroids.data(), 0, rows.dim, list_count, nullptr};
    const Codes centroid_codes(centroid_matrix, false);
    cfaiss_lists lists = {list_count, centroids.data(), centroid_codes.kernel(), nullptr, nullptr, nullptr, nullptr};
    std::vector<int32_t> assigned(rows.count);
    check(cfaiss_lists_assign(&rows.matrix, rows.is_cosine, &lists, nullptr, 0, rows.count, assigned.data(), message),
          "assign");
    std::vector<int64_t> all(rows.count), counts(list_count);
    for (int row = 0; row < rows.count; row++) all[row] = row;
    std::vector<double> sums(size_t(list_count) * rows.dim);
    check(cfaiss_lists_sum(&rows.matrix, rows.is_cosine, all.data(), rows.count, assigned.data(), sums.data(),
                           counts.data(), message),
          "sum");
    std::vector<float> spread(rows.dim);
    check(cfaiss_lists_spread(&rows.matrix, rows.is_cosine, centroids.data(), all.data(), rows.count, assigned.data(),
                              spread.data(), message),
          "spread");
    std::vector<int64_t> first_blocks = {0};
    std::vector<int32_t> places;
    std::vector<std::vector<int64_t>> members(list_count);
    for (int row = 0; row < rows.count; row++) members[assigned[row]].push_back(row);
    for (const auto &own : members) {
        places.insert(places.end(), own.begin(), own.end());
        places.resize((places.size() + 15) / 16 * 16, -1);
        first_blocks.push_back(int64_t(places.size() / 16));
    }
    const size_t block_bytes = cfaiss_codes_block_bytes(rows.dim);
    const Bytes blocks(block_bytes * (places.size() / 16));
    for (int64_t list = 0; list < list_count; list++) {
        check(cfaiss_codes_encode(&rows.matrix, rows.is_cosine, centroids.data() + list * rows.dim, spread.data(),
                                  members[list].data(), 0, int64_t(members[list].size()),
                                  blocks.bytes.get() + block_bytes * size_t(first_blocks[list]), nullptr, message),
              "encode a list");
    }
    lists.spread = spread.data();
    lists.first_blocks = first_blocks.data();
    lists.rows = places.data();
    lists.blocks = blocks.bytes.get();
    for (int index = 0; index < query_count; index++) {
        check(cfaiss_lists_nearest(&rows.matrix, &lists, &prepared[index], list_count, mask, rows.k,
                                   found_rows.data() + size_t(rows.k) * index, scores.data() + size_t(rows.k) * index,
                                   &found[index], message),
              "lists");
    }
    // Which rows are looked at again is a matter of likelihood there: hardly one is missed, and no score is wrong.
    for (int index = 0; index < query_count; index++) {
        const auto expected = queries[index].nearest(rows, allowed);
        const int64_t *own = found_rows.data() + size_t(rows.k) * index;
        check(size_t(found[index]) <= expected.size(), "the search of all lists finds too many: " + rows.name());
        for (int64_t place = 0; place < found[index]; place++) {
            const bool is_right = allowed[own[place]] && std::count(own, own + found[index], own[place]) == 1 &&
                                  scores[size_t(rows.k) * index + place] == queries[index].score(rows, int(own[place]));
            check(is_right, "the search of all lists: " + rows.name());
        }
        listed += int(expected.size());
        for (const int64_t row : expected) listed_found += std::count(own, own + found[index], row);
    }
}

}  // namespace

int main(int argc, char **argv) {
    const int turns = argc > 1 ? std::atoi(argv[1]) : 400;
    cfaiss_use_callers_threads_only();
    int levels = 0;
    for (const char *level : {"portable", "AVX2", "AVX-512", "AVX-512 VNNI"}) {
        if (cfaiss_use_instructions(level) != 0) continue;
        levels++;
        Random random(606);
        for (int turn = 0; turn < turns; turn++) search(Case(random), random);
        for (int turn = 0; turn < turns; turn++) {
            const int dim = 1 + turn % 130 + (turn % 7 == 0 ? 700 : 0);
            check(test_distances(dim, between(random, 1, 40), uint64_t(turn), text, sizeof text) == 0,
                  std::string(text) + " of " + std::to_string(dim) + " numbers, " + level);
        }
    }
    check(listed_found * 1000 >= listed * 999, "searches of all lists miss more than one row of a thousand");
    std::printf("kernel_checks: %d cases for each of %d kinds of instructions agree\n", turns, levels);
    return 0;
}

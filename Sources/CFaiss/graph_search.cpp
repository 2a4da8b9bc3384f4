// The search of a graph of neighbours (Malkov and Yashunin, 2016) that FAISS has built, on the original vectors.
//
// It looks at the same rows as FAISS's own for the same effort, but scores several at once, has the next ones fetched
// meanwhile, and needs no second copy of the vectors.
#include "exact_scan.h"
#include "guarded.h"

#include <faiss/impl/FaissAssert.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

namespace {

constexpr int64_t line_bytes = 64;
/// Of a vector that comes next: the processor fetches the rest of it by itself.
constexpr int64_t fetched_bytes = 4 * line_bytes;

struct Found {
    float score;
    uint32_t row;

    bool operator<(const Found &other) const { return score != other.score ? score < other.score : row > other.row; }
};

struct Worse {
    bool operator()(const Found &one, const Found &other) const { return other < one; }
};

/// What a search of one thread writes into; kept, since it is as large as the graph.
struct Room {
    /// The search that saw a row last, one byte each.
    std::vector<uint8_t> seen;
    uint8_t search = 0;
    /// A heap, the best first: rows whose neighbours may be looked at.
    std::vector<Found> open;
    /// A heap, the worst first: the best rows so far.
    std::vector<Found> best;

    void start(int64_t count) {
        if (static_cast<int64_t>(seen.size()) < count) seen.resize(static_cast<size_t>(count), search);
        if (++search == 0) {
            std::fill(seen.begin(), seen.end(), 0);
            search = 1;
        }
        open.clear();
        best.clear();
    }

    bool see(uint32_t row) {
        if (seen[row] == search) return false;
        seen[row] = search;
        return true;
    }
};

class Search {
public:
    Search(const cfaiss_matrix &matrix, const cfaiss_graph &graph, const cfaiss_query &query)
        : matrix(matrix), graph(graph), query(query),
          row_bytes(static_cast<int64_t>(matrix.dim) * (matrix.is_half ? 2 : 4)),
          vectors(static_cast<const char *>(matrix.vectors)) {}

    /// The best rows of a search that keeps `effort` of them while it looks: a heap, the worst first.
    std::vector<Found> &run(size_t effort, Room &room) const {
        Found start{0, static_cast<uint32_t>(graph.entry)};
        score(&start, 1);
        for (int32_t level = graph.level_count; level > 0; level--) start = descend(graph.levels[level - 1], start);
        room.start(matrix.count);
        room.see(start.row);
        room.open.push_back(start);
        room.best.push_back(start);
        std::vector<Found> near(static_cast<size_t>(graph.links));
        while (!room.open.empty()) {
            const Found next = room.open.front();
            if (room.best.size() >= effort && next < room.best.front()) break;
            std::pop_heap(room.open.begin(), room.open.end());
            room.open.pop_back();
            const size_t count = unseen(next.row, room, near.data());
            score(near.data(), count);
            for (size_t index = 0; index < count; index++) take(near[index], effort, room);
            if (!room.open.empty()) __builtin_prefetch(links(room.open.front().row));
        }
        return room.best;
    }

private:
    const cfaiss_matrix &matrix;
    const cfaiss_graph &graph;
    const cfaiss_query &query;
    const int64_t row_bytes;
    const char *vectors;

    const uint32_t *links(uint32_t row) const { return graph.neighbours + static_cast<int64_t>(row) * graph.links; }

    /// Whether a link leads anywhere. Files are checked by their sums; this keeps a wrong one from doing harm.
    bool leads(uint32_t row) const { return row < static_cast<uint64_t>(matrix.count); }

    /// The nearest row of a level that steps to ever nearer neighbours reach.
    Found descend(const cfaiss_graph_level &level, Found from) const {
        std::vector<Found> near(static_cast<size_t>(level.links));
        for (;;) {
            const uint32_t *end = level.rows + level.count;
            const uint32_t *place = std::lower_bound(level.rows, end, from.row);
            if (place == end || *place != from.row) return from;
            const uint32_t *own = level.neighbours + (place - level.rows) * level.links;
            size_t count = 0;
            for (int32_t link = 0; link < level.links && leads(own[link]); link++) {
                fetch(own[link]);
                near[count++] = {0, own[link]};
            }
            score(near.data(), count);
            const Found *best = std::max_element(near.data(), near.data() + count);
            if (count == 0 || !(from < *best)) return from;
            from = *best;
        }
    }

    /// The neighbours that this search has not seen yet.
    size_t unseen(uint32_t row, Room &room, Found *near) const {
        const uint32_t *own = links(row);
        size_t count = 0;
        for (int32_t link = 0; link < graph.links && leads(own[link]); link++) {
            if (room.see(own[link])) near[count++] = {0, own[link]};
        }
        return count;
    }

    void fetch(uint32_t row) const {
        const char *vector = vectors + row * row_bytes;
        for (int64_t line = 0; line < std::min(row_bytes, fetched_bytes); line += line_bytes) {
            __builtin_prefetch(vector + line, 0, 2);
        }
    }

    /// Scores rows, several at once, while the next ones come from memory.
    void score(Found *rows, size_t count) const {
        for (size_t index = 0; index < std::min<size_t>(count, quick_rows); index++) fetch(rows[index].row);
        for (size_t start = 0; start < count; start += quick_rows) {
            for (size_t index = start + quick_rows; index < std::min(count, start + 2 * quick_rows); index++) {
                fetch(rows[index].row);
            }
            int64_t places[quick_rows];
            float scores[quick_rows];
            for (int index = 0; index < quick_rows; index++) {
                places[index] = rows[std::min(start + static_cast<size_t>(index), count - 1)].row;
            }
            quick_scores(matrix, query, places, scores);
            for (size_t index = 0; index < quick_rows && start + index < count; index++) {
                Found &row = rows[start + index];
                row.score = std::isnan(scores[index]) ? exact_score(matrix, query, row.row) : scores[index];
            }
        }
    }

    static void take(const Found &found, size_t effort, Room &room) {
        if (room.best.size() >= effort) {
            if (found < room.best.front()) return;
            std::pop_heap(room.best.begin(), room.best.end(), Worse());
            room.best.back() = found;
        } else {
            room.best.push_back(found);
        }
        std::push_heap(room.best.begin(), room.best.end(), Worse());
        room.open.push_back(found);
        std::push_heap(room.open.begin(), room.open.end());
    }
};

}  // namespace

cfaiss_status cfaiss_graph_nearest(const cfaiss_matrix *matrix, const cfaiss_graph *graph, const cfaiss_query *query,
                                   int32_t effort, int64_t candidates, const uint64_t *rows, int64_t k,
                                   int64_t *found_rows, float *found_scores, int64_t *found, cfaiss_message message) {
    return guarded(message, [&] {
        FAISS_THROW_IF_NOT_MSG(k > 0 && candidates >= k && graph->entry >= 0 && graph->entry < matrix->count &&
                                   matrix->count <= std::numeric_limits<int32_t>::max(),
                               "the graph starts at no row");
        thread_local Room room;
        const Search search(*matrix, *graph, *query);
        std::vector<Found> &best = search.run(static_cast<size_t>(std::max<int64_t>(effort, candidates)), room);
        std::sort(best.begin(), best.end(), Worse());
        if (static_cast<int64_t>(best.size()) > candidates) best.resize(static_cast<size_t>(candidates));
        best.erase(std::remove_if(best.begin(), best.end(), [&](const Found &one) { return !contains(rows, one.row); }),
                   best.end());
        for (Found &one : best) one.score = exact_score(*matrix, *query, one.row);
        std::sort(best.begin(), best.end(), Worse());
        *found = std::min(k, static_cast<int64_t>(best.size()));
        for (int64_t index = 0; index < *found; index++) {
            found_rows[index] = best[static_cast<size_t>(index)].row;
            found_scores[index] = best[static_cast<size_t>(index)].score;
        }
    });
}

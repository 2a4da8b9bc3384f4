// The part of FAISS that Capstan uses, without C++ in sight.
//
// Every function that can fail returns a status and writes a message into the caller's buffer (always terminated,
// cut when too long). No C++ exception leaves this library.
#ifndef CAPSTAN_CFAISS_H
#define CAPSTAN_CFAISS_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum {
    CFAISS_OK = 0,
    /// FAISS refused: wrong dimension, unreadable file, unknown index description.
    CFAISS_REFUSED = 1,
    CFAISS_OUT_OF_MEMORY = 2,
    CFAISS_UNEXPECTED = 3,
} cfaiss_status;

typedef struct {
    char *bytes;
    size_t capacity;
} cfaiss_message;

typedef struct cfaiss_index cfaiss_index;

/// The release of FAISS, for example "1.7.3".
const char *cfaiss_version(void);

/// Ends this process when the thread that started it ends, and lets no program that it starts have more rights.
/// Returns 0, or -1 where the system has no such thing or the parent is gone already.
int cfaiss_stay_with_parent(void);
/// Called once before any search: FAISS and the BLAS behind it start no threads of their own.
void cfaiss_use_callers_threads_only(void);

/// An empty inner-product index, described as `faiss::index_factory` reads it ("Flat").
cfaiss_status cfaiss_index_create(int32_t dim, const char *description, cfaiss_index **index, cfaiss_message message);
/// Makes room for `count` vectors at once, where the index keeps them in one piece: it would else grow by copying.
cfaiss_status cfaiss_index_reserve(cfaiss_index *index, int64_t count, cfaiss_message message);
/// Adds `count` row-major vectors.
cfaiss_status cfaiss_index_add(cfaiss_index *index, int64_t count, const float *vectors, cfaiss_message message);
/// Learns the lists and codes of an index that has some from `count` row-major vectors; always the same ones.
cfaiss_status cfaiss_index_train(cfaiss_index *index, int64_t count, const float *vectors, cfaiss_message message);
/// How widely a graph looks for the neighbours of what is added; nothing for another index.
void cfaiss_index_set_ef_construction(cfaiss_index *index, int32_t ef_construction);

/// How far one search looks. Given with each call, never kept in the index: searches run side by side.
typedef struct {
    /// Graphs: candidates that are kept while searching.
    int32_t ef_search;
    /// Lists: how many are searched.
    int32_t nprobe;
    /// The rows that may be found, bit `row % 8` of byte `row / 8`; NULL for all. Lists only, graphs refuse it.
    const uint8_t *rows;
    /// Bytes of `rows`.
    size_t rows_size;
} cfaiss_effort;

/// Finds the `k` best rows of one query, best first. Fills with row -1 when it finds fewer than `k`.
/// Safe on several threads at once as long as nothing is added.
cfaiss_status cfaiss_index_search(const cfaiss_index *index, const float *query, int64_t k,
                                  const cfaiss_effort *effort, float *scores, int64_t *rows,
                                  cfaiss_message message);
/// The name of the processors that OpenBLAS has its kernels for, for example "SkylakeX".
const char *cfaiss_blas_core(void);
/// The name of the instructions that our kernels use: "AVX-512 VNNI", "AVX-512", "AVX2", "portable".
const char *cfaiss_instructions(void);
/// Uses the instructions of that name from now on, or the best again for NULL: for tests. Returns 0, or -1 where this
/// processor has none of that name.
int cfaiss_use_instructions(const char *name);

// Exact search over original vectors.

typedef struct {
    /// Row-major: IEEE half floats, or 32-bit floats.
    const void *vectors;
    int32_t is_half;
    int32_t dim;
    int64_t count;
    /// For cosine 1/|vector| of each row, NaN where 32 bits cannot hold what comes of it; NULL for inner products.
    const float *scales;
} cfaiss_matrix;

/// Fills `scales`, one for each row.
void cfaiss_matrix_scales(const cfaiss_matrix *matrix, float *scales);

typedef struct {
    /// As it came.
    const float *values;
    /// What 32-bit products are made with: of length 1 for cosine, else as it came.
    const float *scanned;
    /// Euclidean norm of `values`; for cosine.
    double norm;
    /// How far a product in 32 bits can be from the exact score; infinity makes no use of such products.
    double slack;
} cfaiss_query;

/// The `k` nearest rows of each query, best first, ties by row: those that scores in double say, certainly.
///
/// One pass in 32 bits finds every row that can belong to the answer: a row is out once `k` others are nearer by more than
/// twice the slack. Those that are left are scored in double.
/// - rows: the rows that may be found by all queries, bit `row % 64` of word `row / 64`; NULL for all.
/// - found_rows, found_scores: room for `k` of each query, one query behind the other.
/// - found: how many there are for each query; less than `k` when there are no more rows.
cfaiss_status cfaiss_matrix_nearest(const cfaiss_matrix *matrix, const cfaiss_query *queries, int64_t query_count,
                                    const uint64_t *rows, int64_t k, int64_t *found_rows, float *found_scores,
                                    int64_t *found, cfaiss_message message);

// Exact search that reads compact codes first: an eighth of what 32-bit vectors take. Sources/CFaiss/row_codes.h has what
// they say.

/// Bytes of sixteen rows' codes; a multiple of 64.
size_t cfaiss_codes_block_bytes(int32_t dim);

/// Takes the mean and the spread of each number from `sample` rows spread over all; the same rows always give the same.
/// - is_cosine: whether vectors count as of length 1.
/// - mean, spread: filled, `dim` numbers each; no spread is 0.
cfaiss_status cfaiss_codes_learn(const cfaiss_matrix *matrix, int32_t is_cosine, int64_t sample, float *mean,
                                 float *spread, cfaiss_message message);

/// Makes the codes of `count` rows: the rows behind `first`, or those that `rows` lists.
/// - blocks: filled, one for each sixteen rows begun.
/// - scales: filled with what `cfaiss_matrix_scales` says, one for each row; NULL when they are not wanted.
cfaiss_status cfaiss_codes_encode(const cfaiss_matrix *matrix, int32_t is_cosine, const float *mean,
                                  const float *spread, const int64_t *rows, int64_t first, int64_t count, void *blocks,
                                  float *scales, cfaiss_message message);

typedef struct {
    const float *mean;
    const float *spread;
    /// On a multiple of 64 bytes.
    const void *blocks;
} cfaiss_codes;

/// Whether codes that came from elsewhere are of these vectors: what a code says that it leaves out, it does not leave out
/// more, and the scales of `matrix` (cosine) are those of its vectors.
/// - largest_norm: what no row's length is above.
/// - rows: the row at each place of the blocks, -1 for none; NULL where place and row are one.
/// - first, count: the places that are looked at.
/// - row: the first row of which that is not so, else -1.
cfaiss_status cfaiss_codes_check(const cfaiss_matrix *matrix, const cfaiss_codes *codes, double largest_norm,
                                 const int32_t *rows, int64_t first, int64_t count, int64_t *row,
                                 cfaiss_message message);

/// The same as `cfaiss_matrix_nearest` finds. Every row that by its code can belong to the answer is scored on its original
/// vector.
cfaiss_status cfaiss_codes_nearest(const cfaiss_matrix *matrix, const cfaiss_codes *codes, const cfaiss_query *queries,
                                   int64_t query_count, const uint64_t *rows, int64_t k, int64_t *found_rows,
                                   float *found_scores, int64_t *found, cfaiss_message message);

// Lists of near vectors, by compact codes of what each is away from the centre of its list.

typedef struct {
    int64_t count;
    /// Row-major 32-bit floats, each of length 1.
    const float *centroids;
    /// Of the centroids, for inner products.
    cfaiss_codes centroid_codes;
    /// Of the codes of all lists; their means are the centroids.
    const float *spread;
    /// The first block of each list, and one behind the last: `count + 1` numbers.
    const int64_t *first_blocks;
    /// The row at each of the sixteen places of each block; -1 for none.
    const int32_t *rows;
    /// On a multiple of 64 bytes.
    const void *blocks;
} cfaiss_lists;

/// For one query, nearest rows among those of the `nprobe` lists whose centroids are nearest. Scores are exact; a row that is
/// unlikely to be among the `k` is not scored.
cfaiss_status cfaiss_lists_nearest(const cfaiss_matrix *matrix, const cfaiss_lists *lists, const cfaiss_query *query,
                                   int64_t nprobe, const uint64_t *rows, int64_t k, int64_t *found_rows,
                                   float *found_scores, int64_t *found, cfaiss_message message);

/// Says in which list each of some rows belongs: that of the nearest centroid, by the centroids' codes.
/// - is_cosine: whether vectors count as of length 1.
/// - rows: which rows; NULL for those behind `first`.
/// - assigned: filled, one number for each.
cfaiss_status cfaiss_lists_assign(const cfaiss_matrix *matrix, int32_t is_cosine, const cfaiss_lists *lists,
                                  const int64_t *rows, int64_t first, int64_t count, int32_t *assigned,
                                  cfaiss_message message);

/// Adds rows to the sums of their lists, and counts them.
/// - sums: `list_count` × dim numbers; counts: `list_count`.
cfaiss_status cfaiss_lists_sum(const cfaiss_matrix *matrix, int32_t is_cosine, const int64_t *rows, int64_t count,
                               const int32_t *assigned, double *sums, int64_t *counts, cfaiss_message message);

/// The spread of what some rows are away from the centroids of their lists.
cfaiss_status cfaiss_lists_spread(const cfaiss_matrix *matrix, int32_t is_cosine, const float *centroids,
                                  const int64_t *rows, int64_t count, const int32_t *assigned, float *spread,
                                  cfaiss_message message);

// Graphs of neighbours.

typedef struct {
    int64_t count;
    /// The rows of this level, ascending.
    const uint32_t *rows;
    /// `links` neighbours of each of them; behind the last neighbour a number that is no row.
    const uint32_t *neighbours;
    int32_t links;
} cfaiss_graph_level;

typedef struct {
    /// Where a search starts.
    int64_t entry;
    /// `links` neighbours of each row of the matrix, as those of a level.
    const uint32_t *neighbours;
    int32_t links;
    /// Levels above, the lowest first.
    int32_t level_count;
    const cfaiss_graph_level *levels;
} cfaiss_graph;

/// For one query, the nearest of the rows that a search of the graph finds; the same ones for the same query.
/// - effort: rows that are kept while searching.
/// - candidates: of these the best that are scored in double; `k` at least.
/// - rows: as above. The search finds others too: they are left out of the candidates.
cfaiss_status cfaiss_graph_nearest(const cfaiss_matrix *matrix, const cfaiss_graph *graph, const cfaiss_query *query,
                                   int32_t effort, int64_t candidates, const uint64_t *rows, int64_t k,
                                   int64_t *found_rows, float *found_scores, int64_t *found, cfaiss_message message);

/// What a graph of FAISS's looks like; `links` is 0 for another index.
typedef struct {
    int64_t entry;
    /// Neighbours of a row at most, at the lowest level and above.
    int32_t links;
    int32_t upper_links;
    /// Levels above the lowest.
    int32_t level_count;
} cfaiss_graph_shape;

void cfaiss_index_graph_shape(const cfaiss_index *index, cfaiss_graph_shape *shape);
/// Levels above the lowest that a row is in.
int32_t cfaiss_index_graph_level(const cfaiss_index *index, int64_t row);
/// Fills `neighbours`, as many as that level has, with those of a row, and what is left with UINT32_MAX.
void cfaiss_index_graph_neighbours(const cfaiss_index *index, int64_t row, int32_t level, uint32_t *neighbours);

cfaiss_status cfaiss_index_write(const cfaiss_index *index, const char *path, cfaiss_message message);
/// Reads a file that this library wrote; its checksum must have been checked before.
cfaiss_status cfaiss_index_read(const char *path, cfaiss_index **index, cfaiss_message message);
int64_t cfaiss_index_count(const cfaiss_index *index);
int32_t cfaiss_index_dim(const cfaiss_index *index);
void cfaiss_index_free(cfaiss_index *index);

// The vectors of an index file of someone else's. Such a file can make FAISS write where it must not, so this belongs
// into a process that may be lost: `capstand extract-vectors`.

typedef struct cfaiss_rows cfaiss_rows;

typedef struct {
    int64_t count;
    int32_t dim;
    /// FAISS's MetricType: 0 inner product, 1 L2.
    int32_t metric;
    /// 1 when the vectors come back as they were added, bit for bit.
    int32_t is_exact;
    /// The classes of the index, for example "IndexIDMap(IndexFlatIP)"; terminated, cut when too long.
    char kind[160];
} cfaiss_rows_info;

/// Reads the index in an open file, which is closed. Its ids must be 0 to count - 1, each once, in any order.
/// Opens no other file for writing, but does open for reading what an on-disk index names.
cfaiss_status cfaiss_rows_open(int descriptor, cfaiss_rows **rows, cfaiss_rows_info *info, cfaiss_message message);
/// Fills `vectors`, row-major, with the vectors of the ids `first` to `first + count - 1`.
cfaiss_status cfaiss_rows_read(const cfaiss_rows *rows, int64_t first, int64_t count, float *vectors,
                               cfaiss_message message);
void cfaiss_rows_free(cfaiss_rows *rows);

// Exact arithmetic on original vectors, accumulated in double in index order: the same on every machine.

/// The dot product of a query and a stored vector, and the stored vector's sum of squares.
void cfaiss_dot_f32(const float *query, const float *vector, int32_t dim, double *dot, double *squares);
/// As above for IEEE half floats.
void cfaiss_dot_f16(const float *query, const void *vector, int32_t dim, double *dot, double *squares);
/// Multiplies a vector by 1/|vector|; zero vectors stay as they are.
void cfaiss_normalise(float *vector, int32_t dim);
void cfaiss_f16_to_f32(const void *halves, float *floats, int64_t count);
void cfaiss_f32_to_f16(const float *floats, void *halves, int64_t count);

/// The largest sum of squares of `count` rows of `dim` numbers each, end to end: 32-bit floats, or 16-bit ones.
double cfaiss_largest_squares(const void *rows, int32_t is_half, int32_t dim, int64_t count);

#ifdef __cplusplus
}
#endif

#endif

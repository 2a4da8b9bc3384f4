// Index files of many kinds, as other programs write them, for tests of reading such files.
#ifndef CAPSTAN_TEST_INDEX_H
#define CAPSTAN_TEST_INDEX_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/// Trains and fills the index that `faiss::index_factory` makes of `factory`, and writes it to `path`.
/// `metric` is FAISS's: 0 inner product, 1 L2. `ids` may be NULL; given, they are one for each vector.
/// With `lists_path` the inverted lists are written there, and the index only names that file.
/// Returns 0, or 1 after printing why not.
int test_index_write(const char *path, const char *factory, int metric, int32_t dim, int64_t count,
                     const float *vectors, const int64_t *ids, const char *lists_path);

#ifdef __cplusplus
}
#endif

#endif

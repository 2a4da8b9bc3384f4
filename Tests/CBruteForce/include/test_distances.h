// FAISS's distance functions against sums in double.
#ifndef CAPSTAN_TEST_DISTANCES_H
#define CAPSTAN_TEST_DISTANCES_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/// Calls every function that Capstan puts in the place of FAISS's own, with random vectors of `dim` numbers, at any
/// alignment, up to `count` of them at a time. Returns 0, or 1 after writing which function is wrong into `message`.
int test_distances(int32_t dim, int32_t count, uint64_t seed, char *message, size_t capacity);

/// The inner product that FAISS computes.
float test_inner_product(const float *x, const float *y, int32_t dim);

#ifdef __cplusplus
}
#endif

#endif

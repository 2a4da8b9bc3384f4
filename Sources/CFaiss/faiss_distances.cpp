// FAISS's `distances_simd.cpp` in our words: the linker finds these functions before it looks into libfaiss.a, so that
// FAISS's own searches and training use the instructions of this processor.
//
// Debian builds FAISS for the oldest x86-64, which has SSE2 only. All functions of that file are here, and of no other:
// one that were missing would bring the file in, and with it all the others a second time, which the linker refuses.
#include <faiss/utils/distances.h>

#include <cmath>
#include <cstdint>
#include <cstring>

#define KERNELS "distance_kernels.h"
#include "each_instructions.h"

namespace faiss {

float fvec_inner_product(const float *x, const float *y, size_t d) { return BEST(inner_product(x, y, d)); }
float fvec_L2sqr(const float *x, const float *y, size_t d) { return BEST(squared_distance(x, y, d)); }
float fvec_L1(const float *x, const float *y, size_t d) { return BEST(distance_1(x, y, d)); }
float fvec_Linf(const float *x, const float *y, size_t d) { return BEST(largest_difference(x, y, d)); }
float fvec_norm_L2sqr(const float *x, size_t d) { return BEST(inner_product(x, x, d)); }

void fvec_inner_products_ny(float *ip, const float *x, const float *y, size_t d, size_t ny) {
    BEST(inner_products(ip, x, y, d, ny));
}

void fvec_L2sqr_ny(float *dis, const float *x, const float *y, size_t d, size_t ny) {
    BEST(squared_distances(dis, x, y, d, ny));
}

size_t fvec_L2sqr_ny_nearest(float *distances_tmp_buffer, const float *x, const float *y, size_t d, size_t ny) {
    fvec_L2sqr_ny(distances_tmp_buffer, x, y, d, ny);
    return BEST(place_of_smallest(distances_tmp_buffer, ny, HUGE_VALF, 0));
}

size_t fvec_L2sqr_ny_nearest_y_transposed(float *distances_tmp_buffer, const float *x, const float *y,
                                          const float *y_sqlen, size_t d, size_t d_offset, size_t ny) {
    BEST(squared_distances_transposed(distances_tmp_buffer, x, y, y_sqlen, d, d_offset, ny));
    return BEST(place_of_smallest(distances_tmp_buffer, ny, HUGE_VALF, 0));
}

void fvec_madd(size_t n, const float *a, float bf, const float *b, float *c) { BEST(multiply_add(n, a, bf, b, c)); }

int fvec_madd_and_argmin(size_t n, const float *a, float bf, const float *b, float *c) {
    fvec_madd(n, a, bf, b, c);
    return static_cast<int>(BEST(place_of_smallest(c, n, 1e20f, static_cast<size_t>(-1))));
}

void fvec_add(size_t d, const float *a, const float *b, float *c) { BEST(add(d, a, b, c)); }
void fvec_add(size_t d, const float *a, float b, float *c) { BEST(add(d, a, b, c)); }
void fvec_sub(size_t d, const float *a, const float *b, float *c) { BEST(subtract(d, a, b, c)); }

void compute_PQ_dis_tables_dsub2(size_t d, size_t ksub, const float *centroids, size_t nx, const float *x,
                                 bool is_inner_product, float *dis_tables) {
    const auto fill = is_inner_product ? fvec_inner_products_ny : fvec_L2sqr_ny;
    for (size_t part = 0; part < nx * (d / 2); part++) {
        fill(dis_tables + part * ksub, x + 2 * part, centroids + part % (d / 2) * 2 * ksub, 2, ksub);
    }
}

// What FAISS compares its own with; no header of its names them.

float fvec_inner_product_ref(const float *x, const float *y, size_t d) { return portable::inner_product(x, y, d); }
float fvec_L2sqr_ref(const float *x, const float *y, size_t d) { return portable::squared_distance(x, y, d); }
float fvec_L1_ref(const float *x, const float *y, size_t d) { return portable::distance_1(x, y, d); }
float fvec_Linf_ref(const float *x, const float *y, size_t d) { return portable::largest_difference(x, y, d); }
float fvec_norm_L2sqr_ref(const float *x, size_t d) { return portable::inner_product(x, x, d); }

void fvec_inner_products_ny_ref(float *ip, const float *x, const float *y, size_t d, size_t ny) {
    portable::inner_products(ip, x, y, d, ny);
}

void fvec_L2sqr_ny_ref(float *dis, const float *x, const float *y, size_t d, size_t ny) {
    portable::squared_distances(dis, x, y, d, ny);
}

void fvec_L2sqr_ny_y_transposed_ref(float *dis, const float *x, const float *y, const float *y_sqlen, size_t d,
                                    size_t d_offset, size_t ny) {
    portable::squared_distances_transposed(dis, x, y, y_sqlen, d, d_offset, ny);
}

size_t fvec_L2sqr_ny_nearest_ref(float *distances_tmp_buffer, const float *x, const float *y, size_t d, size_t ny) {
    portable::squared_distances(distances_tmp_buffer, x, y, d, ny);
    return portable::place_of_smallest(distances_tmp_buffer, ny, HUGE_VALF, 0);
}

size_t fvec_L2sqr_ny_nearest_y_transposed_ref(float *distances_tmp_buffer, const float *x, const float *y,
                                              const float *y_sqlen, size_t d, size_t d_offset, size_t ny) {
    portable::squared_distances_transposed(distances_tmp_buffer, x, y, y_sqlen, d, d_offset, ny);
    return portable::place_of_smallest(distances_tmp_buffer, ny, HUGE_VALF, 0);
}

}  // namespace faiss

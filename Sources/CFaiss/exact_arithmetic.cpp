#include "include/cfaiss.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>

#define KERNELS "exact_kernels.h"
#include "each_instructions.h"

void cfaiss_dot_f32(const float *query, const float *vector, int32_t dim, double *dot, double *squares) {
    BEST(dot(query, vector, dim, dot, squares));
}

void cfaiss_dot_f16(const float *query, const void *vector, int32_t dim, double *dot, double *squares) {
    BEST(dot(query, static_cast<const _Float16 *>(vector), dim, dot, squares));
}

void cfaiss_normalise(float *vector, int32_t dim) {
    double dot = 0, squares = 0;
    cfaiss_dot_f32(vector, vector, dim, &dot, &squares);
    if (squares == 0) return;
    BEST(scale(vector, dim, 1.0 / std::sqrt(squares)));
}

void cfaiss_f16_to_f32(const void *halves, float *floats, int64_t count) {
    BEST(convert(static_cast<const _Float16 *>(halves), floats, count));
}

void cfaiss_f32_to_f16(const float *floats, void *halves, int64_t count) {
    BEST(convert(floats, static_cast<_Float16 *>(halves), count));
}

double cfaiss_largest_squares(const void *rows, int32_t is_half, int32_t dim, int64_t count) {
    return is_half ? BEST(largest_squares(static_cast<const _Float16 *>(rows), dim, count))
                   : BEST(largest_squares(static_cast<const float *>(rows), dim, count));
}

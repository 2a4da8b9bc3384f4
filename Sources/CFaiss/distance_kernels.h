// Sums over the numbers of vectors, for faiss_distances.cpp. No `#pragma once`: see each_instructions.h.
//
// `Lanes` are sixteen numbers, which the compiler keeps in as few registers as the target has: one, two or four.

#define INLINE inline __attribute__((always_inline))

using Lanes = float __attribute__((vector_size(64)));
using Half = float __attribute__((vector_size(32)));
using Quarter = float __attribute__((vector_size(16)));
using LaneBits = int32_t __attribute__((vector_size(64)));

constexpr size_t lanes = 16;

INLINE Lanes load(const float *from) {
    Lanes values;
    std::memcpy(&values, from, sizeof values);
    return values;
}

INLINE void store(float *to, Lanes values) { std::memcpy(to, &values, sizeof values); }

/// The last `count` of the sixteen numbers that end at `end`; zero in place of the others.
INLINE Lanes load_last(const float *end, size_t count) {
    alignas(64) static constexpr int32_t masks[2 * lanes] = {0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,
                                                             0,  0,  0,  0,  0,  -1, -1, -1, -1, -1, -1,
                                                             -1, -1, -1, -1, -1, -1, -1, -1, -1, -1};
    LaneBits mask, bits;
    std::memcpy(&mask, masks + count, sizeof mask);
    std::memcpy(&bits, end - lanes, sizeof bits);
    bits &= mask;
    Lanes values;
    std::memcpy(&values, &bits, sizeof values);
    return values;
}

struct Product {
    static INLINE Lanes add(Lanes sum, Lanes x, Lanes y) { return sum + x * y; }
    static INLINE float add(float sum, float x, float y) { return sum + x * y; }
};

struct SquaredDifference {
    static INLINE Lanes add(Lanes sum, Lanes x, Lanes y) {
        const Lanes difference = x - y;
        return sum + difference * difference;
    }
    static INLINE float add(float sum, float x, float y) { return sum + (x - y) * (x - y); }
};

struct Difference {
    static INLINE Lanes add(Lanes sum, Lanes x, Lanes y) { return sum + __builtin_elementwise_abs(x - y); }
    static INLINE float add(float sum, float x, float y) { return sum + std::fabs(x - y); }
};

INLINE float total(Lanes sums) {
    const Half half = __builtin_shufflevector(sums, sums, 0, 1, 2, 3, 4, 5, 6, 7) +
                      __builtin_shufflevector(sums, sums, 8, 9, 10, 11, 12, 13, 14, 15);
    const Quarter quarter =
        __builtin_shufflevector(half, half, 0, 1, 2, 3) + __builtin_shufflevector(half, half, 4, 5, 6, 7);
    return (quarter[0] + quarter[2]) + (quarter[1] + quarter[3]);
}

/// The sum over all numbers, in a fixed order.
template <typename Term>
INLINE float sum(const float *x, const float *y, size_t d) {
    if (d < lanes) {
        float sum = 0;
        for (size_t index = 0; index < d; index++) sum = Term::add(sum, x[index], y[index]);
        return sum;
    }
    Lanes sums[running_sums] = {};
    size_t index = 0;
    for (; index + running_sums * lanes <= d; index += running_sums * lanes) {
        for (size_t part = 0; part < running_sums; part++) {
            sums[part] = Term::add(sums[part], load(x + index + part * lanes), load(y + index + part * lanes));
        }
    }
    for (; index + lanes <= d; index += lanes) sums[0] = Term::add(sums[0], load(x + index), load(y + index));
    if (index < d) {
        sums[running_sums - 1] =
            Term::add(sums[running_sums - 1], load_last(x + d, d - index), load_last(y + d, d - index));
    }
    Lanes all = sums[0];
    for (size_t part = 1; part < running_sums; part++) all += sums[part];
    return total(all);
}

/// The sums of `x` with each of `ny` short vectors, several at a time.
template <typename Term, size_t d>
INLINE void sums_of_short(float *sums, const float *x, const float *y, size_t ny) {
    for (size_t row = 0; row < ny; row++) {
        float sum = 0;
        for (size_t index = 0; index < d; index++) sum = Term::add(sum, x[index], y[row * d + index]);
        sums[row] = sum;
    }
}

/// The sums of `x` with each of `ny` vectors. The lengths that parts of product quantisers have are written out.
template <typename Term>
INLINE void sums_of_each(float *sums, const float *x, const float *y, size_t d, size_t ny) {
    switch (d) {
        case 1: return sums_of_short<Term, 1>(sums, x, y, ny);
        case 2: return sums_of_short<Term, 2>(sums, x, y, ny);
        case 4: return sums_of_short<Term, 4>(sums, x, y, ny);
        case 8: return sums_of_short<Term, 8>(sums, x, y, ny);
        case 12: return sums_of_short<Term, 12>(sums, x, y, ny);
        default:
            for (size_t row = 0; row < ny; row++) sums[row] = sum<Term>(x, y + row * d, d);
    }
}

float inner_product(const float *x, const float *y, size_t d) { return sum<Product>(x, y, d); }
float squared_distance(const float *x, const float *y, size_t d) { return sum<SquaredDifference>(x, y, d); }
float distance_1(const float *x, const float *y, size_t d) { return sum<Difference>(x, y, d); }

float largest_difference(const float *x, const float *y, size_t d) {
    float largest = 0;
    size_t index = 0;
    Lanes most = {};
    for (; index + lanes <= d; index += lanes) {
        most = __builtin_elementwise_max(most, __builtin_elementwise_abs(load(x + index) - load(y + index)));
    }
    for (size_t lane = 0; lane < lanes; lane++) largest = std::fmax(largest, most[lane]);
    for (; index < d; index++) largest = std::fmax(largest, std::fabs(x[index] - y[index]));
    return largest;
}

void inner_products(float *products, const float *x, const float *y, size_t d, size_t ny) {
    sums_of_each<Product>(products, x, y, d, ny);
}
void squared_distances(float *distances, const float *x, const float *y, size_t d, size_t ny) {
    sums_of_each<SquaredDifference>(distances, x, y, d, ny);
}

/// Vectors that lie number by number: number j of vector i at `y[i + j * stride]`.
void squared_distances_transposed(float *distances, const float *x, const float *y, const float *y_squares, size_t d,
                                  size_t stride, size_t ny) {
    const float x_squares = inner_product(x, x, d);
    size_t row = 0;
    for (; row + lanes <= ny; row += lanes) {
        Lanes product = {};
        for (size_t index = 0; index < d; index++) product += x[index] * load(y + row + index * stride);
        store(distances + row, x_squares + load(y_squares + row) - 2 * product);
    }
    for (; row < ny; row++) {
        float product = 0;
        for (size_t index = 0; index < d; index++) product += x[index] * y[row + index * stride];
        distances[row] = x_squares + y_squares[row] - 2 * product;
    }
}

/// The place of the first of the smallest numbers that are below `limit`, or `otherwise` where there are none.
size_t place_of_smallest(const float *values, size_t count, float limit, size_t otherwise) {
    float smallest = limit;
    size_t index = 0;
    Lanes least = limit - Lanes{};
    for (; index + lanes <= count; index += lanes) {
        const Lanes value = load(values + index);
        least = value < least ? value : least;
    }
    for (size_t lane = 0; lane < lanes; lane++) smallest = least[lane] < smallest ? least[lane] : smallest;
    for (; index < count; index++) smallest = values[index] < smallest ? values[index] : smallest;
    if (!(smallest < limit)) return otherwise;
    for (index = 0; values[index] != smallest; index++) {}
    return index;
}

/// `c = a + factor × b`.
void multiply_add(size_t n, const float *a, float factor, const float *b, float *c) {
    for (size_t index = 0; index < n; index++) c[index] = a[index] + factor * b[index];
}

void add(size_t d, const float *a, const float *b, float *c) {
    for (size_t index = 0; index < d; index++) c[index] = a[index] + b[index];
}

void add(size_t d, const float *a, float b, float *c) {
    for (size_t index = 0; index < d; index++) c[index] = a[index] + b;
}

void subtract(size_t d, const float *a, const float *b, float *c) {
    for (size_t index = 0; index < d; index++) c[index] = a[index] - b[index];
}

#undef INLINE

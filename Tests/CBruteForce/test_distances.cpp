#include "test_distances.h"

#include <faiss/utils/distances.h>

#include <cmath>
#include <cstdio>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

namespace faiss {
// Of the same file of FAISS's, but named in other headers or in none.
void fvec_madd(size_t n, const float *a, float bf, const float *b, float *c);
int fvec_madd_and_argmin(size_t n, const float *a, float bf, const float *b, float *c);
float fvec_inner_product_ref(const float *x, const float *y, size_t d);
float fvec_L2sqr_ref(const float *x, const float *y, size_t d);
float fvec_L1_ref(const float *x, const float *y, size_t d);
float fvec_Linf_ref(const float *x, const float *y, size_t d);
float fvec_norm_L2sqr_ref(const float *x, size_t d);
void fvec_inner_products_ny_ref(float *ip, const float *x, const float *y, size_t d, size_t ny);
void fvec_L2sqr_ny_ref(float *dis, const float *x, const float *y, size_t d, size_t ny);
void fvec_L2sqr_ny_y_transposed_ref(float *dis, const float *x, const float *y, const float *y_sqlen, size_t d,
                                    size_t d_offset, size_t ny);
size_t fvec_L2sqr_ny_nearest_ref(float *distances, const float *x, const float *y, size_t d, size_t ny);
size_t fvec_L2sqr_ny_nearest_y_transposed_ref(float *distances, const float *x, const float *y, const float *y_sqlen,
                                              size_t d, size_t d_offset, size_t ny);
}  // namespace faiss

namespace {

using Vector = std::vector<float>;

/// What a function should give: the sum, and the sum of what was added without signs, which bounds the error.
struct Sum {
    double value = 0, size = 0;

    void add(double term, double weight) {
        value += term;
        size += weight;
    }
};

Sum product(const float *x, const float *y, size_t d) {
    Sum sum;
    for (size_t index = 0; index < d; index++) sum.add(double(x[index]) * y[index], std::fabs(double(x[index]) * y[index]));
    return sum;
}

Sum squared_distance(const float *x, const float *y, size_t d) {
    Sum sum;
    for (size_t index = 0; index < d; index++) {
        const double difference = double(x[index]) - y[index];
        sum.add(difference * difference, difference * difference);
    }
    return sum;
}

void expect(bool holds, const std::string &what) {
    if (!holds) throw std::runtime_error(what);
}

void expect(float got, const Sum &sum, size_t d, const std::string &what) {
    if (std::fabs(got - sum.value) <= (d + 8) * 0x1p-24 * sum.size + 1e-37) return;
    throw std::runtime_error(what + ": got " + std::to_string(got) + ", expected " + std::to_string(sum.value));
}

size_t place_of_smallest(const Vector &values) {
    size_t place = 0;
    for (size_t index = 1; index < values.size(); index++) place = values[index] < values[place] ? index : place;
    return place;
}

void check(size_t d, size_t count, uint64_t seed) {
    std::mt19937_64 random(seed);
    std::normal_distribution<float> normal;
    const auto numbers = [&](size_t size) {
        Vector made(size);
        for (float &value : made) value = normal(random);
        return made;
    };
    // Off by one number, so that nothing lies where wide loads like it.
    const Vector x_room = numbers(d + 1), y_room = numbers(count * d + 1), z_room = numbers(d + 1);
    const float *x = x_room.data() + 1, *y = y_room.data() + 1, *z = z_room.data() + 1;

    Sum difference;
    double largest = 0;
    for (size_t index = 0; index < d; index++) {
        const double one = std::fabs(double(x[index]) - y[index]);
        difference.add(one, one);
        largest = std::max(largest, one);
    }
    for (int reference = 0; reference < 2; reference++) {
        const std::string suffix = reference ? "_ref" : "";
        const auto pick = [&](auto one, auto other) { return reference ? other : one; };
        expect(pick(faiss::fvec_inner_product, faiss::fvec_inner_product_ref)(x, y, d), product(x, y, d), d,
               "fvec_inner_product" + suffix);
        expect(pick(faiss::fvec_L2sqr, faiss::fvec_L2sqr_ref)(x, y, d), squared_distance(x, y, d), d,
               "fvec_L2sqr" + suffix);
        expect(pick(faiss::fvec_L1, faiss::fvec_L1_ref)(x, y, d), difference, d, "fvec_L1" + suffix);
        expect(pick(faiss::fvec_Linf, faiss::fvec_Linf_ref)(x, y, d), Sum{largest, largest}, d, "fvec_Linf" + suffix);
        expect(pick(faiss::fvec_norm_L2sqr, faiss::fvec_norm_L2sqr_ref)(x, d), product(x, x, d), d,
               "fvec_norm_L2sqr" + suffix);

        Vector sums(count);
        pick(faiss::fvec_inner_products_ny, faiss::fvec_inner_products_ny_ref)(sums.data(), x, y, d, count);
        for (size_t row = 0; row < count; row++) {
            expect(sums[row], product(x, y + row * d, d), d, "fvec_inner_products_ny" + suffix);
        }
        pick(faiss::fvec_L2sqr_ny, faiss::fvec_L2sqr_ny_ref)(sums.data(), x, y, d, count);
        for (size_t row = 0; row < count; row++) {
            expect(sums[row], squared_distance(x, y + row * d, d), d, "fvec_L2sqr_ny" + suffix);
        }
        const size_t nearest =
            pick(faiss::fvec_L2sqr_ny_nearest, faiss::fvec_L2sqr_ny_nearest_ref)(sums.data(), x, y, d, count);
        expect(nearest == place_of_smallest(sums), "fvec_L2sqr_ny_nearest" + suffix);

        const size_t stride = count + 3;
        Vector transposed(d * stride), squares(count);
        for (size_t row = 0; row < count; row++) {
            squares[row] = static_cast<float>(product(y + row * d, y + row * d, d).value);
            for (size_t index = 0; index < d; index++) transposed[row + index * stride] = y[row * d + index];
        }
        const auto expect_distances = [&](const std::string &what) {
            for (size_t row = 0; row < count; row++) {
                Sum sum = squared_distance(x, y + row * d, d);
                sum.size = 4 * (product(x, x, d).value + squares[row]);
                expect(sums[row], sum, d, what);
            }
        };
        const size_t nearest_transposed =
            pick(faiss::fvec_L2sqr_ny_nearest_y_transposed, faiss::fvec_L2sqr_ny_nearest_y_transposed_ref)(
                sums.data(), x, transposed.data(), squares.data(), d, stride, count);
        expect(nearest_transposed == place_of_smallest(sums), "fvec_L2sqr_ny_nearest_y_transposed" + suffix);
        expect_distances("fvec_L2sqr_ny_nearest_y_transposed" + suffix);
        if (reference) {
            faiss::fvec_L2sqr_ny_y_transposed_ref(sums.data(), x, transposed.data(), squares.data(), d, stride, count);
            expect_distances("fvec_L2sqr_ny_y_transposed_ref");
        }
    }

    Vector made(d), again(d);
    faiss::fvec_madd(d, x, 0.37f, z, made.data());
    for (size_t index = 0; index < d; index++) {
        expect(made[index], Sum{x[index] + 0.37f * double(z[index]), 10}, 1, "fvec_madd");
    }
    expect(faiss::fvec_madd_and_argmin(d, x, 0.37f, z, again.data()) == int(place_of_smallest(made)) && made == again,
           "fvec_madd_and_argmin");
    const Vector large(d, 1e30f);
    expect(faiss::fvec_madd_and_argmin(d, large.data(), 1, large.data(), again.data()) == -1,
           "fvec_madd_and_argmin of large numbers");
    faiss::fvec_add(d, x, z, made.data());
    for (size_t index = 0; index < d; index++) expect(made[index] == x[index] + z[index], "fvec_add");
    faiss::fvec_add(d, x, 1.5f, made.data());
    for (size_t index = 0; index < d; index++) expect(made[index] == x[index] + 1.5f, "fvec_add of one number");
    faiss::fvec_sub(d, x, z, made.data());
    for (size_t index = 0; index < d; index++) expect(made[index] == x[index] - z[index], "fvec_sub");

    if (d % 2 == 0) {
        const size_t parts = d / 2, codes = 16;
        const Vector centroids = numbers(parts * codes * 2), queries = numbers(3 * d);
        Vector tables(3 * parts * codes);
        for (const bool is_product : {true, false}) {
            faiss::compute_PQ_dis_tables_dsub2(d, codes, centroids.data(), 3, queries.data(), is_product, tables.data());
            for (size_t place = 0; place < tables.size(); place++) {
                const size_t part = place / codes % parts, query = place / codes / parts;
                const float *one = queries.data() + query * d + 2 * part;
                const float *other = centroids.data() + (part * codes + place % codes) * 2;
                expect(tables[place], is_product ? product(one, other, 2) : squared_distance(one, other, 2), 2,
                       "compute_PQ_dis_tables_dsub2");
            }
        }
    }

    // What is no number is never the nearest, and of equal ones the first is.
    Vector sums(count), same(count * d);
    for (size_t row = 0; row < count; row++) {
        for (size_t index = 0; index < d; index++) same[row * d + index] = row == 0 ? NAN : x[index];
    }
    const size_t first = faiss::fvec_L2sqr_ny_nearest(sums.data(), x, same.data(), d, count);
    expect(first == (count > 1 ? 1 : 0), "fvec_L2sqr_ny_nearest of equal vectors behind one of no numbers");
}

}  // namespace

int test_distances(int32_t dim, int32_t count, uint64_t seed, char *message, size_t capacity) {
    try {
        check(static_cast<size_t>(dim), static_cast<size_t>(count), seed);
        return 0;
    } catch (const std::exception &error) {
        std::snprintf(message, capacity, "%s", error.what());
        return 1;
    }
}

float test_inner_product(const float *x, const float *y, int32_t dim) {
    return faiss::fvec_inner_product(x, y, static_cast<size_t>(dim));
}

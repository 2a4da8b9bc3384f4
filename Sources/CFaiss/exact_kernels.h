// Arithmetic for exact_arithmetic.cpp. No `#pragma once`: see each_instructions.h.

/// Eight running sums, added in a fixed order: the same result wherever it is compiled and whatever instructions it is
/// compiled for, since a product of two floats is exact in double, also where it is not rounded before it is added.
template <typename Element>
void dot(const float *query, const Element *vector, int32_t dim, double *dot, double *squares) {
    constexpr int lanes = 8;
    using Doubles = double __attribute__((vector_size(lanes * sizeof(double))));
    using Floats = float __attribute__((vector_size(lanes * sizeof(float))));
    using Elements = Element __attribute__((vector_size(lanes * sizeof(Element))));
    Doubles dots = {}, sums = {};
    int32_t index = 0;
    for (; index + lanes <= dim; index += lanes) {
        Floats numbers;
        Elements elements;
        std::memcpy(&numbers, query + index, sizeof numbers);
        std::memcpy(&elements, vector + index, sizeof elements);
        const Doubles values = __builtin_convertvector(__builtin_convertvector(elements, Floats), Doubles);
        dots += __builtin_convertvector(numbers, Doubles) * values;
        sums += values * values;
    }
    for (int lane = 0; index < dim; index++, lane++) {
        const double value = static_cast<double>(static_cast<float>(vector[index]));
        dots[lane] += static_cast<double>(query[index]) * value;
        sums[lane] += value * value;
    }
    *dot = ((dots[0] + dots[4]) + (dots[1] + dots[5])) + ((dots[2] + dots[6]) + (dots[3] + dots[7]));
    *squares = ((sums[0] + sums[4]) + (sums[1] + sums[5])) + ((sums[2] + sums[6]) + (sums[3] + sums[7]));
}

void scale(float *vector, int32_t dim, double factor) {
    for (int32_t index = 0; index < dim; index++) {
        vector[index] = static_cast<float>(static_cast<double>(vector[index]) * factor);
    }
}

template <typename From, typename To>
void convert(const From *from, To *to, int64_t count) {
    for (int64_t index = 0; index < count; index++) to[index] = static_cast<To>(from[index]);
}

/// Sums as `dot` sums squares: the largest of some rows.
template <typename Element>
double largest_squares(const Element *rows, int32_t dim, int64_t count) {
    constexpr int lanes = 8;
    double largest = 0;
    for (int64_t row = 0; row < count; row++) {
        const Element *vector = rows + row * dim;
        double sums[lanes] = {};
        int32_t index = 0;
        for (; index + lanes <= dim; index += lanes) {
            for (int lane = 0; lane < lanes; lane++) {
                const double value = static_cast<double>(static_cast<float>(vector[index + lane]));
                sums[lane] += value * value;
            }
        }
        for (int lane = 0; index < dim; index++, lane++) {
            const double value = static_cast<double>(static_cast<float>(vector[index]));
            sums[lane] += value * value;
        }
        largest = std::max(largest, ((sums[0] + sums[4]) + (sums[1] + sums[5])) + ((sums[2] + sums[6]) + (sums[3] + sums[7])));
    }
    return largest;
}

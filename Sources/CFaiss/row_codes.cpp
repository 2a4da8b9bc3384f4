#include "row_codes.h"

#include "exact_scan.h"
#include "guarded.h"
#include "instructions.h"

#include <algorithm>
#include <cfloat>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

using row_codes::Block;

namespace {

#define ALWAYS_INLINE inline __attribute__((always_inline))

/// Sums are kept apart for so many numbers, which lie side by side in a register.
constexpr int lanes = 16;

/// How many standard deviations the sixteen steps reach over: what suits a row best is taken.
constexpr float reaches[] = {2.2f, 2.7f, 3.3f};

/// The products of 32-bit floats that estimates are made of neither overflow nor lose digits within these.
constexpr double least_size = 1e-10, largest_size = 1e15;

/// What a code says beside the sixteen steps.
struct Fit {
    float step, error, norm;
};

constexpr Fit unbounded = {0, std::numeric_limits<float>::infinity(), 0};

/// What the vectors of one call have in common, and room for one of them. Arrays are padded with zeros to whole lanes.
struct Encoder {
    Encoder(const cfaiss_matrix &matrix, bool is_cosine, const float *mean, const float *spread)
        : matrix(matrix), is_cosine(is_cosine), padded((matrix.dim + lanes - 1) / lanes * lanes) {
        for (auto *array : {&this->mean, &this->spread, &inverse_spread, &wanted, &halves, &best}) array->resize(padded);
        bytes.resize(padded);
        double squares = 0;
        for (int32_t at = 0; at < matrix.dim; at++) {
            this->mean[at] = mean[at];
            this->spread[at] = spread[at];
            inverse_spread[at] = 1 / spread[at];
            squares += static_cast<double>(mean[at]) * mean[at];
        }
        mean_norm = std::sqrt(squares);
    }

    const cfaiss_matrix &matrix;
    const bool is_cosine;
    const int32_t padded;
    std::vector<float> mean, spread, inverse_spread;
    double mean_norm = 0;
    std::vector<float> wanted, halves, best;
    std::vector<uint8_t> bytes;
};

template <typename Number>
ALWAYS_INLINE Number sum_of(const Number *sums) {
    Number total = 0;
    for (int lane = 0; lane < lanes; lane++) total += sums[lane];
    return total;
}

/// One row as 32-bit floats, of length 1 where the metric is cosine.
///
/// - Returns: its own length before.
template <typename Element>
ALWAYS_INLINE double read(const cfaiss_matrix &matrix, int64_t row, bool is_cosine, float *to) {
    const Element *from = static_cast<const Element *>(matrix.vectors) + row * matrix.dim;
    double sums[lanes] = {};
    int32_t index = 0;
    for (; index + lanes <= matrix.dim; index += lanes) {
        for (int lane = 0; lane < lanes; lane++) {
            const auto value = static_cast<float>(from[index + lane]);
            to[index + lane] = value;
            sums[lane] += static_cast<double>(value) * static_cast<double>(value);
        }
    }
    for (; index < matrix.dim; index++) {
        to[index] = static_cast<float>(from[index]);
        sums[0] += static_cast<double>(to[index]) * static_cast<double>(to[index]);
    }
    const double norm = std::sqrt(sum_of(sums));
    if (is_cosine && norm > 0) {
        const double inverse = 1 / norm;
        for (index = 0; index < matrix.dim; index++) to[index] = static_cast<float>(to[index] * inverse);
    }
    return norm;
}

/// Rounds `wanted` / spread to sixteen steps of one width.
///
/// - Returns: the least-squares factor, what the code is long, and how much of the squares of `wanted` it explains.
struct Rounded {
    float step, norm, explained;
};

ALWAYS_INLINE Rounded round(const Encoder &encoder, float width, float *halves) {
    const float *wanted = encoder.wanted.data(), *spread = encoder.spread.data();
    const float *inverse_spread = encoder.inverse_spread.data();
    const float inverse_width = 1 / width;
    float products[lanes] = {}, squares[lanes] = {}, steps[lanes] = {};
    for (int32_t index = 0; index < encoder.padded; index += lanes) {
        for (int lane = 0; lane < lanes; lane++) {
            const int32_t at = index + lane;
            const float scaled = wanted[at] * inverse_spread[at] * inverse_width;
            const float half = std::floor(std::max(-8.0f, std::min(7.0f, scaled))) + 0.5f;
            const float direction = spread[at] * half;
            halves[at] = half;
            products[lane] += wanted[at] * direction;
            squares[lane] += direction * direction;
            steps[lane] += half * half;
        }
    }
    const float product = sum_of(products), length = sum_of(squares);
    const float step = length > 0 ? product / length : 0;
    return {step, std::fabs(step) * std::sqrt(sum_of(steps)), step * product};
}

/// Makes the code of `encoder.wanted`, whose mean is to be taken off; leaves the steps in `encoder.best`.
///
/// - Parameter size: length of the vector.
ALWAYS_INLINE Fit fit(Encoder &encoder, double size) {
    float *wanted = encoder.wanted.data();
    const float *mean = encoder.mean.data(), *spread = encoder.spread.data();
    const float *inverse_spread = encoder.inverse_spread.data();
    float lengths[lanes] = {}, deviations[lanes] = {};
    for (int32_t index = 0; index < encoder.padded; index += lanes) {
        for (int lane = 0; lane < lanes; lane++) {
            const int32_t at = index + lane;
            wanted[at] -= mean[at];
            const float scaled = wanted[at] * inverse_spread[at];
            lengths[lane] += wanted[at] * wanted[at];
            deviations[lane] += scaled * scaled;
        }
    }
    const float length = std::sqrt(sum_of(lengths));
    const float deviation = std::sqrt(sum_of(deviations) / static_cast<float>(encoder.matrix.dim));
    // At the mean, or no numbers: nothing is explained.
    Rounded best = {0, 0, 0};
    std::fill(encoder.best.begin(), encoder.best.end(), 0.5f);
    for (const float reach : reaches) {
        const float width = reach * deviation / 8;
        if (!(width > FLT_MIN)) break;
        const Rounded rounded = round(encoder, width, encoder.halves.data());
        if (rounded.explained > best.explained) {
            best = rounded;
            std::swap(encoder.halves, encoder.best);
        }
    }
    const float *halves = encoder.best.data();
    float rests[lanes] = {};
    for (int32_t index = 0; index < encoder.padded; index += lanes) {
        for (int lane = 0; lane < lanes; lane++) {
            const int32_t at = index + lane;
            const float rest = wanted[at] - best.step * (spread[at] * halves[at]);
            rests[lane] += rest * rest;
        }
    }
    const float error = std::sqrt(sum_of(rests));
    // All is computed in 32 bits, here and in the search. A sum of d squares is off by less than (d + 16) × 2⁻²⁴ of it;
    // other roundings are below 2⁻¹⁸ of the sizes that are added up.
    const double sizes = size + encoder.mean_norm + length;
    const double sums = 1 + (encoder.matrix.dim + 16) * 0x1p-24;
    const bool is_bounded =
        sizes > least_size && sizes < largest_size && std::isfinite(error) && std::isfinite(best.norm);
    if (!is_bounded) return unbounded;
    return {best.step, static_cast<float>((error + 0x1p-18 * sizes) * sums * (1 + 0x1p-20)),
            static_cast<float>(best.norm * sums * (1 + 0x1p-20))};
}

/// Makes the code of one row and puts it into its place.
///
/// - Returns: the row's length.
template <typename Element>
ALWAYS_INLINE double encode(Encoder &encoder, int64_t row, Block &block, int place) {
    const int32_t dim = encoder.matrix.dim;
    const double norm = read<Element>(encoder.matrix, row, encoder.is_cosine, encoder.wanted.data());
    std::fill(encoder.wanted.begin() + dim, encoder.wanted.end(), 0.0f);
    const bool has_direction = !encoder.is_cosine || (norm > least_size && norm < largest_size);
    const Fit fitted = has_direction ? fit(encoder, encoder.is_cosine ? 1 : norm) : unbounded;
    block.step[place] = fitted.step;
    block.error[place] = fitted.error;
    block.norm[place] = fitted.norm;
    if (!std::isfinite(fitted.error)) return norm;
    uint8_t *bytes = encoder.bytes.data();
    const float *halves = encoder.best.data();
    for (int32_t at = 0; at < dim; at++) bytes[at] = static_cast<uint8_t>(static_cast<int32_t>(halves[at] + 7.5f));
    std::memset(bytes + dim, 0, static_cast<size_t>(encoder.padded - dim));
    uint8_t *codes = block.codes() + 4 * place;
    for (int32_t group = 0; group < row_codes::groups(dim); group++, bytes += 8, codes += 64) {
        uint32_t low, high;
        std::memcpy(&low, bytes, 4);
        std::memcpy(&high, bytes + 4, 4);
        low |= high << 4;
        std::memcpy(codes, &low, 4);
    }
    return norm;
}

template <typename Element>
using RowEncoder = double (*)(Encoder &, int64_t row, Block &, int place);

template <typename Element>
double encode_portable(Encoder &encoder, int64_t row, Block &block, int place) {
    return encode<Element>(encoder, row, block, place);
}

#if defined(__x86_64__)
template <typename Element>
TARGET_AVX2 double encode_avx2(Encoder &encoder, int64_t row, Block &block, int place) {
    return encode<Element>(encoder, row, block, place);
}

template <typename Element>
TARGET_AVX512 double encode_avx512(Encoder &encoder, int64_t row, Block &block, int place) {
    return encode<Element>(encoder, row, block, place);
}
#endif

template <typename Element>
RowEncoder<Element> row_encoder() {
#if defined(__x86_64__)
    switch (instructions()) {
        case Instructions::avx512_vnni:
        case Instructions::avx512: return encode_avx512<Element>;
        case Instructions::avx2: return encode_avx2<Element>;
        case Instructions::portable: break;
    }
#endif
    return encode_portable<Element>;
}

}  // namespace

double row_codes::read(const cfaiss_matrix &matrix, int64_t row, bool is_cosine, float *to) {
    return matrix.is_half ? ::read<_Float16>(matrix, row, is_cosine, to) : ::read<float>(matrix, row, is_cosine, to);
}

void row_codes::set_spread(const double *deviations, int32_t dim, float *spread) {
    const double largest = *std::max_element(deviations, deviations + dim);
    for (int32_t at = 0; at < dim; at++) {
        spread[at] = largest > 0 ? static_cast<float>(std::max(deviations[at] / largest, 1e-3)) : 1;
    }
}

size_t cfaiss_codes_block_bytes(int32_t dim) { return row_codes::block_bytes(dim); }

cfaiss_status cfaiss_codes_learn(const cfaiss_matrix *matrix, int32_t is_cosine, int64_t sample, float *mean,
                                 float *spread, cfaiss_message message) {
    return guarded(message, [&] {
        const int32_t dim = matrix->dim;
        const int64_t count = std::min(matrix->count, std::max<int64_t>(1, sample));
        std::vector<double> sums(dim), squares(dim);
        std::vector<float> values(dim);
        int64_t taken = 0;
        for (int64_t index = 0; index < count; index++) {
            const double norm = row_codes::read(*matrix, index * matrix->count / count, is_cosine != 0, values.data());
            // One of these would be all the others' mean.
            if (!(norm > least_size && norm < largest_size)) continue;
            taken++;
            for (int32_t at = 0; at < dim; at++) {
                sums[at] += values[at];
                squares[at] += static_cast<double>(values[at]) * values[at];
            }
        }
        for (int32_t at = 0; at < dim; at++) {
            const double average = taken > 0 ? sums[at] / taken : 0;
            mean[at] = static_cast<float>(average);
            squares[at] = taken > 0 ? std::sqrt(std::max(0.0, squares[at] / taken - average * average)) : 0;
        }
        row_codes::set_spread(squares.data(), dim, spread);
    });
}

cfaiss_status cfaiss_codes_encode(const cfaiss_matrix *matrix, int32_t is_cosine, const float *mean,
                                  const float *spread, const int64_t *rows, int64_t first, int64_t count, void *blocks,
                                  float *scales, cfaiss_message message) {
    return guarded(message, [&] {
        Encoder encoder(*matrix, is_cosine != 0, mean, spread);
        const RowEncoder<float> encode_floats = row_encoder<float>();
        const RowEncoder<_Float16> encode_halves = row_encoder<_Float16>();
        const size_t bytes = row_codes::block_bytes(matrix->dim);
        const int64_t places = (count + row_codes::rows - 1) / row_codes::rows * row_codes::rows;
        std::memset(blocks, 0, bytes * static_cast<size_t>(places / row_codes::rows));
        for (int64_t index = 0; index < places; index++) {
            auto &block = *reinterpret_cast<Block *>(static_cast<uint8_t *>(blocks) +
                                                     bytes * static_cast<size_t>(index / row_codes::rows));
            const int place = static_cast<int>(index % row_codes::rows);
            if (index >= count) {
                block.error[place] = -std::numeric_limits<float>::infinity();
                continue;
            }
            const int64_t row = rows == nullptr ? first + index : rows[index];
            const double norm = matrix->is_half ? encode_halves(encoder, row, block, place)
                                                : encode_floats(encoder, row, block, place);
            if (scales != nullptr) scales[index] = scale_of(norm);
        }
    });
}

cfaiss_status cfaiss_codes_check(const cfaiss_matrix *matrix, const cfaiss_codes *codes, double largest_norm,
                                 const int32_t *rows, int64_t first, int64_t count, int64_t *row,
                                 cfaiss_message message) {
    return guarded(message, [&] {
        const int32_t dim = matrix->dim;
        const bool is_cosine = matrix->scales != nullptr;
        const size_t bytes = row_codes::block_bytes(dim);
        std::vector<float> vector(static_cast<size_t>(dim));
        double mean_squares = 0;
        for (int32_t at = 0; at < dim; at++) mean_squares += static_cast<double>(codes->mean[at]) * codes->mean[at];
        bool has_spread = std::isfinite(mean_squares);
        for (int32_t at = 0; at < dim; at++) has_spread = has_spread && codes->spread[at] > 0 && codes->spread[at] <= 1;
        // The mean and the spread are of all rows: the first one is as wrong as any.
        *row = has_spread || count == 0 ? -1 : rows == nullptr ? first : std::max(0, rows[first]);
        if (*row >= 0) return;
        for (int64_t at_place = first; at_place < first + count; at_place++) {
            const int64_t index = rows == nullptr ? at_place : rows[at_place];
            if (index < 0) continue;
            const Block &block = row_codes::block_at(codes->blocks, bytes, at_place / row_codes::rows);
            const int place = static_cast<int>(at_place % row_codes::rows);
            const uint8_t *own = block.codes() + 4 * place;
            const double norm = row_codes::read(*matrix, index, is_cosine, vector.data());
            const double step = block.step[place];
            double rests = 0, steps = 0, lengths = 0;
            for (int32_t at = 0; at < dim; at++) {
                const uint8_t byte = own[64 * (at / 8) + at % 4];
                const double half = (at % 8 < 4 ? byte & 15 : byte >> 4) - 7.5;
                const double wanted = static_cast<double>(vector[static_cast<size_t>(at)]) - codes->mean[at];
                const double rest = wanted - step * codes->spread[at] * half;
                rests += rest * rest;
                steps += half * half;
                lengths += wanted * wanted;
            }
            // Half of what is allowed for roundings when codes are made.
            const double sizes = (is_cosine ? 1 : norm) + std::sqrt(mean_squares) + std::sqrt(lengths);
            const double least_error = std::sqrt(rests) + 0x1p-19 * sizes, least_norm = std::fabs(step) * std::sqrt(steps);
            // What is no number leaves nothing out: the row is scored. Beyond these sizes nothing else may be said.
            const bool is_in_range = sizes < largest_size && std::fabs(step) < largest_size;
            bool is_right = !(block.error[place] < least_error) && !(block.norm[place] < least_norm) &&
                            (is_in_range || !std::isfinite(block.error[place])) && norm <= largest_norm * (1 + 1e-12);
            if (is_cosine) {
                const float scale = scale_of(norm), given = matrix->scales[index];
                is_right = is_right && (std::isnan(given) || std::fabs(given - scale) <= 0x1p-22f * scale);
            }
            if (is_right) continue;
            *row = index;
            return;
        }
    });
}

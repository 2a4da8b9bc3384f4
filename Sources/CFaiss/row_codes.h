// Compact codes of vectors: 4 bits for each number, with a bound of what they leave out.
//
// A vector v (of length 1 where the metric is cosine) is mean + step × spread ∘ h + e, where each h is one of the sixteen
// numbers -7.5, -6.5 … 7.5, `step` is the least-squares factor, and ∘ multiplies number by number. So for any query q
//
//     <q, v> = <q, mean> + step × <q ∘ spread, h> + <q, e>   and   |<q, e>| ≤ |q| |e|   (Cauchy and Schwarz),
//
// and a row whose estimate plus |q| |e| is below the k-th best score certainly is not among the k best. The query's own
// numbers q ∘ spread are rounded to bytes, which adds at most |rounding| × step × |h|.
//
// Sixteen rows are a block, as one lane of sixteen belongs to each:
//
//     float step[16], error[16], norm[16];      // error ≥ |e|, norm ≥ step × |h|
//     uint8_t codes[groups][64];                // groups = ⌈dim / 8⌉; byte 4 × row + j of group g: h + 7.5 of the numbers
//                                               // 8 g + j (low four bits) and 8 g + 4 + j (high four bits)
//
// A row that has no such bound (numbers beyond what 32 bits can multiply) has error = infinity: it is always scored. A
// place without a row has error = -infinity.
#pragma once

#include "cfaiss.h"

#include <cstddef>
#include <cstdint>

namespace row_codes {

constexpr int rows = 16;

struct Block {
    float step[rows];
    float error[rows];
    float norm[rows];

    const uint8_t *codes() const { return reinterpret_cast<const uint8_t *>(this + 1); }
    uint8_t *codes() { return reinterpret_cast<uint8_t *>(this + 1); }
};

static_assert(sizeof(Block) == 192, "three vectors of sixteen floats");

inline int32_t groups(int32_t dim) { return (dim + 7) / 8; }
inline size_t block_bytes(int32_t dim) { return sizeof(Block) + 64 * static_cast<size_t>(groups(dim)); }

/// One of the blocks that lie one behind the other.
inline const Block &block_at(const void *blocks, size_t block_bytes, int64_t index) {
    return *reinterpret_cast<const Block *>(static_cast<const uint8_t *>(blocks) + block_bytes * static_cast<size_t>(index));
}

/// One row as 32-bit floats, of length 1 where the metric is cosine.
///
/// - Returns: its own length before.
double read(const cfaiss_matrix &matrix, int64_t row, bool is_cosine, float *to);

/// From deviations of each number to their spread: the largest is 1, none is too small to divide by.
void set_spread(const double *deviations, int32_t dim, float *spread);

}  // namespace row_codes

#include "code_kernels.h"

#include "instructions.h"

#include <cstring>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

using row_codes::Block;

namespace {

constexpr int rows = row_codes::rows;

#define ALWAYS_INLINE inline __attribute__((always_inline))

/// From products of numbers with codes (0 to 15) to bounds of scores.
ALWAYS_INLINE uint32_t bound(const Block &block, const int32_t *products, const CodeQuery &query, float least,
                             float *most) {
    uint32_t reaching = 0;
    float bounds[rows];
    for (int row = 0; row < rows; row++) {
        const auto halves = static_cast<float>(2 * products[row] - 15 * query.sum);
        const float estimate = query.base + block.step[row] * (0.5f * query.unit * halves);
        bounds[row] = estimate + (query.size * block.error[row] + query.rest * block.norm[row]);
    }
    // Not a number says nothing: it stays.
    for (int row = 0; row < rows; row++) reaching |= static_cast<uint32_t>(!(bounds[row] < least)) << row;
    if (reaching != 0) std::memcpy(most, bounds, sizeof bounds);
    return reaching;
}

// MARK: Every processor

ALWAYS_INLINE void products_portable(const Block &block, int32_t groups, const CodeQuery &query, int32_t *products) {
    const uint8_t *codes = block.codes();
    const int8_t *numbers = query.numbers;
    int32_t sums[rows] = {};
    for (int32_t group = 0; group < groups; group++, codes += 64, numbers += 8) {
        for (int row = 0; row < rows; row++) {
            int32_t sum = 0;
            for (int index = 0; index < 4; index++) {
                const int code = codes[4 * row + index];
                sum += (code & 15) * numbers[index] + (code >> 4) * numbers[4 + index];
            }
            sums[row] += sum;
        }
    }
    std::memcpy(products, sums, sizeof sums);
}

uint32_t one_portable(const Block &block, int32_t groups, const CodeQuery &query, float least, float *most) {
    int32_t products[rows];
    products_portable(block, groups, query, products);
    return bound(block, products, query, least, most);
}

void several_portable(const Block &block, int32_t groups, const CodeQuery *queries, const float *least, float *most,
                      uint32_t *reaching) {
    for (int query = 0; query < code_queries_at_once; query++) {
        reaching[query] = one_portable(block, groups, queries[query], least[query], most + rows * query);
    }
}

#if defined(__x86_64__)

/// Four numbers, for all rows alike.
ALWAYS_INLINE int32_t four(const int8_t *numbers) {
    int32_t value;
    std::memcpy(&value, numbers, 4);
    return value;
}

// MARK: AVX2

/// Sums of pairs are at most 2 × 15 × 127 each, so eight of them fit 16 bits.
constexpr int32_t groups_in_16_bits = 4;

TARGET_AVX2 ALWAYS_INLINE void products_avx2(const Block &block, int32_t groups, const CodeQuery &query,
                                             int32_t *products) {
    const uint8_t *codes = block.codes();
    const int8_t *numbers = query.numbers;
    const __m256i low = _mm256_set1_epi8(15), ones = _mm256_set1_epi16(1);
    __m256i first = _mm256_setzero_si256(), second = first;
    for (int32_t group = 0; group < groups;) {
        __m256i first_pairs = _mm256_setzero_si256(), second_pairs = first_pairs;
        for (int32_t end = group + groups_in_16_bits < groups ? group + groups_in_16_bits : groups; group < end; group++) {
            const __m256i here = _mm256_load_si256(reinterpret_cast<const __m256i *>(codes));
            const __m256i there = _mm256_load_si256(reinterpret_cast<const __m256i *>(codes + 32));
            const __m256i even = _mm256_set1_epi32(four(numbers)), odd = _mm256_set1_epi32(four(numbers + 4));
            const auto pairs = [&](__m256i both) __attribute__((always_inline, target("avx2"))) {
                const __m256i lower = _mm256_maddubs_epi16(_mm256_and_si256(both, low), even);
                const __m256i upper =
                    _mm256_maddubs_epi16(_mm256_and_si256(_mm256_srli_epi16(both, 4), low), odd);
                return _mm256_add_epi16(lower, upper);
            };
            first_pairs = _mm256_add_epi16(first_pairs, pairs(here));
            second_pairs = _mm256_add_epi16(second_pairs, pairs(there));
            codes += 64;
            numbers += 8;
        }
        first = _mm256_add_epi32(first, _mm256_madd_epi16(first_pairs, ones));
        second = _mm256_add_epi32(second, _mm256_madd_epi16(second_pairs, ones));
    }
    _mm256_storeu_si256(reinterpret_cast<__m256i *>(products), first);
    _mm256_storeu_si256(reinterpret_cast<__m256i *>(products + 8), second);
}

TARGET_AVX2 uint32_t one_avx2(const Block &block, int32_t groups, const CodeQuery &query, float least, float *most) {
    int32_t products[rows];
    products_avx2(block, groups, query, products);
    return bound(block, products, query, least, most);
}

TARGET_AVX2 void several_avx2(const Block &block, int32_t groups, const CodeQuery *queries, const float *least,
                              float *most, uint32_t *reaching) {
    for (int query = 0; query < code_queries_at_once; query++) {
        reaching[query] = one_avx2(block, groups, queries[query], least[query], most + rows * query);
    }
}

// MARK: AVX-512

TARGET_AVX512 ALWAYS_INLINE uint32_t bound512(const Block &block, __m512i products, const CodeQuery &query, float least,
                                              float *most) {
    const __m512i halves = _mm512_sub_epi32(_mm512_slli_epi32(products, 1), _mm512_set1_epi32(15 * query.sum));
    const __m512 steps = _mm512_mul_ps(_mm512_load_ps(block.step), _mm512_set1_ps(0.5f * query.unit));
    const __m512 estimate = _mm512_fmadd_ps(steps, _mm512_cvtepi32_ps(halves), _mm512_set1_ps(query.base));
    const __m512 errors = _mm512_fmadd_ps(_mm512_set1_ps(query.size), _mm512_load_ps(block.error),
                                          _mm512_mul_ps(_mm512_set1_ps(query.rest), _mm512_load_ps(block.norm)));
    const __m512 bounds = _mm512_add_ps(estimate, errors);
    const __mmask16 reaching = _mm512_cmp_ps_mask(bounds, _mm512_set1_ps(least), _CMP_NLT_UQ);
    if (reaching != 0) _mm512_storeu_ps(most, bounds);
    return reaching;
}

TARGET_AVX512 ALWAYS_INLINE __m512i products_avx512(const Block &block, int32_t groups, const CodeQuery &query) {
    const uint8_t *codes = block.codes();
    const int8_t *numbers = query.numbers;
    const __m512i low = _mm512_set1_epi8(15), ones = _mm512_set1_epi16(1);
    __m512i sums = _mm512_setzero_si512();
    for (int32_t group = 0; group < groups;) {
        __m512i pairs = _mm512_setzero_si512();
        for (int32_t end = group + groups_in_16_bits < groups ? group + groups_in_16_bits : groups; group < end; group++) {
            const __m512i both = _mm512_load_si512(codes);
            const __m512i lower = _mm512_maddubs_epi16(_mm512_and_si512(both, low), _mm512_set1_epi32(four(numbers)));
            const __m512i upper = _mm512_maddubs_epi16(_mm512_and_si512(_mm512_srli_epi16(both, 4), low),
                                                       _mm512_set1_epi32(four(numbers + 4)));
            pairs = _mm512_add_epi16(pairs, _mm512_add_epi16(lower, upper));
            codes += 64;
            numbers += 8;
        }
        sums = _mm512_add_epi32(sums, _mm512_madd_epi16(pairs, ones));
    }
    return sums;
}

TARGET_AVX512 uint32_t one_avx512(const Block &block, int32_t groups, const CodeQuery &query, float least,
                                  float *most) {
    return bound512(block, products_avx512(block, groups, query), query, least, most);
}

TARGET_AVX512 void several_avx512(const Block &block, int32_t groups, const CodeQuery *queries, const float *least,
                                  float *most, uint32_t *reaching) {
    for (int query = 0; query < code_queries_at_once; query++) {
        reaching[query] = one_avx512(block, groups, queries[query], least[query], most + rows * query);
    }
}

// MARK: AVX-512 VNNI

/// Blocks lie one behind the other: so far ahead, the next ones are asked for while this one is computed.
constexpr int ahead = 8192;

TARGET_AVX512_VNNI uint32_t one_vnni(const Block &block, int32_t groups, const CodeQuery &query, float least,
                                     float *most) {
    const uint8_t *codes = block.codes();
    const int8_t *numbers = query.numbers;
    const __m512i low = _mm512_set1_epi8(15);
    __m512i sum0 = _mm512_setzero_si512(), sum1 = sum0, sum2 = sum0, sum3 = sum0;
    int32_t group = 0;
    for (; group + 2 <= groups; group += 2, codes += 128, numbers += 16) {
        const __m512i here = _mm512_load_si512(codes), there = _mm512_load_si512(codes + 64);
        _mm_prefetch(reinterpret_cast<const char *>(codes) + ahead, _MM_HINT_T0);
        _mm_prefetch(reinterpret_cast<const char *>(codes) + ahead + 64, _MM_HINT_T0);
        sum0 = _mm512_dpbusd_epi32(sum0, _mm512_and_si512(here, low), _mm512_set1_epi32(four(numbers)));
        sum1 = _mm512_dpbusd_epi32(sum1, _mm512_and_si512(_mm512_srli_epi16(here, 4), low),
                                   _mm512_set1_epi32(four(numbers + 4)));
        sum2 = _mm512_dpbusd_epi32(sum2, _mm512_and_si512(there, low), _mm512_set1_epi32(four(numbers + 8)));
        sum3 = _mm512_dpbusd_epi32(sum3, _mm512_and_si512(_mm512_srli_epi16(there, 4), low),
                                   _mm512_set1_epi32(four(numbers + 12)));
    }
    if (group < groups) {
        const __m512i here = _mm512_load_si512(codes);
        sum0 = _mm512_dpbusd_epi32(sum0, _mm512_and_si512(here, low), _mm512_set1_epi32(four(numbers)));
        sum1 = _mm512_dpbusd_epi32(sum1, _mm512_and_si512(_mm512_srli_epi16(here, 4), low),
                                   _mm512_set1_epi32(four(numbers + 4)));
    }
    const __m512i sums = _mm512_add_epi32(_mm512_add_epi32(sum0, sum1), _mm512_add_epi32(sum2, sum3));
    return bound512(block, sums, query, least, most);
}

TARGET_AVX512_VNNI void several_vnni(const Block &block, int32_t groups, const CodeQuery *queries, const float *least,
                                     float *most, uint32_t *reaching) {
    const uint8_t *codes = block.codes();
    const __m512i low = _mm512_set1_epi8(15);
    __m512i sums[code_queries_at_once];
    const int8_t *numbers[code_queries_at_once];
    for (int query = 0; query < code_queries_at_once; query++) {
        sums[query] = _mm512_setzero_si512();
        numbers[query] = queries[query].numbers;
    }
    for (int32_t group = 0; group < groups; group++, codes += 64) {
        const __m512i both = _mm512_load_si512(codes);
        const __m512i lower = _mm512_and_si512(both, low), upper = _mm512_and_si512(_mm512_srli_epi16(both, 4), low);
#pragma unroll
        for (int query = 0; query < code_queries_at_once; query++) {
            const int8_t *own = numbers[query] + 8 * group;
            sums[query] = _mm512_dpbusd_epi32(sums[query], lower, _mm512_set1_epi32(four(own)));
            sums[query] = _mm512_dpbusd_epi32(sums[query], upper, _mm512_set1_epi32(four(own + 4)));
        }
    }
    for (int query = 0; query < code_queries_at_once; query++) {
        reaching[query] = bound512(block, sums[query], queries[query], least[query], most + rows * query);
    }
}

constexpr CodeKernels avx2 = {one_avx2, several_avx2};
constexpr CodeKernels avx512 = {one_avx512, several_avx512};
constexpr CodeKernels vnni = {one_vnni, several_vnni};

#endif

constexpr CodeKernels portable = {one_portable, several_portable};

}  // namespace

const CodeKernels &code_kernels() {
#if defined(__x86_64__)
    switch (instructions()) {
        case Instructions::avx512_vnni: return vnni;
        case Instructions::avx512: return avx512;
        case Instructions::avx2: return avx2;
        case Instructions::portable: break;
    }
#endif
    return portable;
}

// Products of queries with compact codes, sixteen rows at a time.
#pragma once

#include "row_codes.h"

#include <cstdint>

/// A query, made ready for codes that share one mean and spread.
struct CodeQuery {
    /// The numbers q ∘ spread in units of `unit`, rounded, as the codes are grouped; zeros behind the last.
    const int8_t *numbers;
    /// Sum of `numbers`.
    int32_t sum;
    float unit;
    /// <q, mean>.
    float base;
    /// No less than |q|, and no less than the length of what rounding left out.
    float size, rest;
};

/// Queries that share the loads of a block.
constexpr int code_queries_at_once = 8;

struct CodeKernels {
    /// What the scores of a block's rows certainly are not above.
    ///
    /// - Returns: which of the rows are not below `least`, one bit each.
    uint32_t (*one)(const row_codes::Block &block, int32_t groups, const CodeQuery &query, float least, float *most);
    /// The same for several queries: `least` and the answers are one for each, `most` sixteen for each.
    void (*several)(const row_codes::Block &block, int32_t groups, const CodeQuery *queries, const float *least,
                    float *most, uint32_t *reaching);
};

/// Those for `instructions()`.
const CodeKernels &code_kernels();

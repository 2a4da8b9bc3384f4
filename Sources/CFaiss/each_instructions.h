// Compiles the header that KERNELS names once for each set of instructions, in the namespaces `portable`, `avx2` and
// `avx512`, and has `BEST(call)` call the version that this processor runs best. No `#pragma once`: each source file
// that includes it has kernels of its own, and has included what they need before.
#include "instructions.h"

// Wide vectors are passed to functions that are always inlined only: how they would be passed else does not matter.
#pragma clang diagnostic ignored "-Wpsabi"

namespace {

namespace portable {
/// Sums of sixteen numbers that registers hold beside what is loaded.
constexpr int running_sums = 2;
#include KERNELS
}  // namespace portable

#if defined(__x86_64__)
#pragma clang attribute push(__attribute__((target("avx2,fma,f16c"))), apply_to = function)
namespace avx2 {
constexpr int running_sums = 4;
#include KERNELS
}  // namespace avx2
#pragma clang attribute pop

#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,fma,f16c"))), apply_to = function)
namespace avx512 {
constexpr int running_sums = 4;
#include KERNELS
}  // namespace avx512
#pragma clang attribute pop

#define BEST(call)                                         \
    (instructions() >= Instructions::avx512 ? avx512::call \
     : instructions() == Instructions::avx2 ? avx2::call   \
                                            : portable::call)
#else
#define BEST(call) portable::call
#endif

}  // namespace

// Which instructions the kernels use: the best that this processor has, unless a test asks for less.
#pragma once

enum class Instructions {
    /// What every processor of the architecture has: SSE2 on x86-64, NEON on arm64.
    portable,
    /// AVX2, FMA and F16C.
    avx2,
    /// AVX-512 F, BW, VL and DQ.
    avx512,
    /// And VNNI: products of bytes, added up in 32 bits.
    avx512_vnni,
};

/// Cheap: one relaxed load.
Instructions instructions();

#if defined(__x86_64__)
#define TARGET_AVX2 __attribute__((target("avx2,fma,f16c")))
#define TARGET_AVX512 __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,fma,f16c")))
#define TARGET_AVX512_VNNI __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,fma,f16c")))
#endif

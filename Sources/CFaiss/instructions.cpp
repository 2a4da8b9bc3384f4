#include "instructions.h"

#include "include/cfaiss.h"

#include <atomic>
#include <cstring>

namespace {

constexpr const char *names[] = {"portable", "AVX2", "AVX-512", "AVX-512 VNNI"};

Instructions best() {
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq")) {
        return __builtin_cpu_supports("avx512vnni") ? Instructions::avx512_vnni : Instructions::avx512;
    }
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c")) {
        return Instructions::avx2;
    }
#endif
    return Instructions::portable;
}

/// Constant-initialised: FAISS's static objects may ask before any of ours is made.
std::atomic<int> chosen{-1};

}  // namespace

Instructions instructions() {
    int level = chosen.load(std::memory_order_relaxed);
    if (level < 0) {
        level = static_cast<int>(best());
        chosen.store(level, std::memory_order_relaxed);
    }
    return static_cast<Instructions>(level);
}

const char *cfaiss_instructions(void) { return names[static_cast<int>(instructions())]; }

int cfaiss_use_instructions(const char *name) {
    if (name == nullptr) {
        chosen.store(static_cast<int>(best()), std::memory_order_relaxed);
        return 0;
    }
    for (int level = 0; level <= static_cast<int>(best()); level++) {
        if (std::strcmp(name, names[level]) == 0) {
            chosen.store(level, std::memory_order_relaxed);
            return 0;
        }
    }
    return -1;
}

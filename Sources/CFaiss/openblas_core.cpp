// OpenBLAS takes the kernels of the processors that its release knows; Debian's 0.3.21 takes those of 2004 for many newer
// ones, and products of matrices are four times slower then. Here it is told better, before main, while nobody multiplies.
#include "include/cfaiss.h"
#include "instructions.h"

#include <cstdlib>
#include <cstring>
#include <initializer_list>

// Of builds that choose at run time; they are in no header.
extern "C" void gotoblas_dynamic_init(void) __attribute__((weak));
extern "C" void gotoblas_dynamic_quit(void) __attribute__((weak));
extern "C" char *openblas_get_corename(void);

const char *cfaiss_blas_core(void) { return openblas_get_corename(); }

#if defined(__x86_64__)
namespace {

constexpr const char *variable = "OPENBLAS_CORETYPE";

/// Whether kernels of that name use AVX2 at least.
bool is_wide(const char *core) {
    for (const char *wide : {"Haswell", "Zen", "SkylakeX", "Cooperlake", "SapphireRapids"}) {
        if (std::strcmp(core, wide) == 0) return true;
    }
    return false;
}

__attribute__((constructor)) void choose_core() {
    if (instructions() < Instructions::avx2 || is_wide(openblas_get_corename())) return;
    if (std::getenv(variable) != nullptr || gotoblas_dynamic_init == nullptr || gotoblas_dynamic_quit == nullptr) return;
    setenv(variable, instructions() >= Instructions::avx512 ? "SkylakeX" : "Haswell", 0);
    gotoblas_dynamic_quit();
    gotoblas_dynamic_init();
    unsetenv(variable);
}

}  // namespace
#endif

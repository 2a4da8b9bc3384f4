#include "cfaiss.h"

#include <faiss/Index.h>
#include <faiss/impl/FaissException.h>
#include <faiss/index_factory.h>
#include <faiss/index_io.h>


#include <cmath>
#include <cstdio>
#include <exception>
#include <memory>
#include <new>

extern "C" void openblas_set_num_threads(int count);
extern "C" void omp_set_num_threads(int count);

struct cfaiss_index {
    std::unique_ptr<faiss::Index> faiss;
};

namespace {

void say(cfaiss_message message, const char *text) {
    if (message.bytes != nullptr && message.capacity > 0) {
        std::snprintf(message.bytes, message.capacity, "%s", text);
    }
}

/// Runs `body` and turns whatever it throws into a status and a message.
template <typename Body>
cfaiss_status guarded(cfaiss_message message, Body body) noexcept {
    try {
        body();
        return CFAISS_OK;
    } catch (const faiss::FaissException &error) {
        say(message, error.msg.c_str());
        return CFAISS_REFUSED;
    } catch (const std::bad_alloc &) {
        say(message, "out of memory");
        return CFAISS_OUT_OF_MEMORY;
    } catch (const std::exception &error) {
        say(message, error.what());
        return CFAISS_UNEXPECTED;
    } catch (...) {
        say(message, "an exception of unknown type");
        return CFAISS_UNEXPECTED;
    }
}

/// OpenMP's team size belongs to the calling thread, so each thread that enters FAISS sets its own, once.
void use_one_thread() {
    thread_local bool done = false;
    if (!done) {
        omp_set_num_threads(1);
        done = true;
    }
}

}  // namespace

#define TEXT_OF(number) #number
#define VERSION_TEXT(major, minor, patch) TEXT_OF(major) "." TEXT_OF(minor) "." TEXT_OF(patch)

const char *cfaiss_version(void) {
    return VERSION_TEXT(FAISS_VERSION_MAJOR, FAISS_VERSION_MINOR, FAISS_VERSION_PATCH);
}

void cfaiss_use_callers_threads_only(void) {
    openblas_set_num_threads(1);
    use_one_thread();
}

cfaiss_status cfaiss_index_create(int32_t dim, const char *description, cfaiss_index **index,
                                  cfaiss_message message) {
    return guarded(message, [&] {
        std::unique_ptr<faiss::Index> made(faiss::index_factory(dim, description, faiss::METRIC_INNER_PRODUCT));
        *index = new cfaiss_index{std::move(made)};
    });
}

cfaiss_status cfaiss_index_add(cfaiss_index *index, int64_t count, const float *vectors, cfaiss_message message) {
    return guarded(message, [&] {
        use_one_thread();
        index->faiss->add(count, vectors);
    });
}

cfaiss_status cfaiss_index_search(const cfaiss_index *index, const float *query, int64_t k, float *scores,
                                  int64_t *rows, cfaiss_message message) {
    return guarded(message, [&] {
        use_one_thread();
        index->faiss->search(1, query, k, scores, rows);
    });
}

cfaiss_status cfaiss_index_write(const cfaiss_index *index, const char *path, cfaiss_message message) {
    return guarded(message, [&] { faiss::write_index(index->faiss.get(), path); });
}

cfaiss_status cfaiss_index_read(const char *path, cfaiss_index **index, cfaiss_message message) {
    return guarded(message, [&] {
        std::unique_ptr<faiss::Index> read(faiss::read_index(path));
        *index = new cfaiss_index{std::move(read)};
    });
}

int64_t cfaiss_index_count(const cfaiss_index *index) { return index->faiss->ntotal; }

int32_t cfaiss_index_dim(const cfaiss_index *index) { return static_cast<int32_t>(index->faiss->d); }

void cfaiss_index_free(cfaiss_index *index) { delete index; }

namespace {

/// Eight running sums, added in a fixed order: fast, and the same result wherever it is compiled.
template <typename Element>
void dot(const float *query, const Element *vector, int32_t dim, double *dot, double *squares) {
    constexpr int lanes = 8;
    double dots[lanes] = {};
    double sums[lanes] = {};
    int32_t index = 0;
    for (; index + lanes <= dim; index += lanes) {
        for (int lane = 0; lane < lanes; lane++) {
            const double value = static_cast<double>(static_cast<float>(vector[index + lane]));
            dots[lane] += static_cast<double>(query[index + lane]) * value;
            sums[lane] += value * value;
        }
    }
    for (int lane = 0; index < dim; index++, lane++) {
        const double value = static_cast<double>(static_cast<float>(vector[index]));
        dots[lane] += static_cast<double>(query[index]) * value;
        sums[lane] += value * value;
    }
    *dot = ((dots[0] + dots[4]) + (dots[1] + dots[5])) + ((dots[2] + dots[6]) + (dots[3] + dots[7]));
    *squares = ((sums[0] + sums[4]) + (sums[1] + sums[5])) + ((sums[2] + sums[6]) + (sums[3] + sums[7]));
}

}  // namespace

void cfaiss_dot_f32(const float *query, const float *vector, int32_t dim, double *out, double *squares) {
    dot(query, vector, dim, out, squares);
}

void cfaiss_dot_f16(const float *query, const void *vector, int32_t dim, double *out, double *squares) {
    dot(query, static_cast<const _Float16 *>(vector), dim, out, squares);
}

void cfaiss_normalise(float *vector, int32_t dim) {
    double squares = 0;
    for (int32_t index = 0; index < dim; index++) {
        squares += static_cast<double>(vector[index]) * static_cast<double>(vector[index]);
    }
    if (squares == 0) return;
    const double scale = 1.0 / std::sqrt(squares);
    for (int32_t index = 0; index < dim; index++) {
        vector[index] = static_cast<float>(static_cast<double>(vector[index]) * scale);
    }
}

void cfaiss_f16_to_f32(const void *halves, float *floats, int64_t count) {
    const _Float16 *from = static_cast<const _Float16 *>(halves);
    for (int64_t index = 0; index < count; index++) floats[index] = static_cast<float>(from[index]);
}

void cfaiss_f32_to_f16(const float *floats, void *halves, int64_t count) {
    _Float16 *to = static_cast<_Float16 *>(halves);
    for (int64_t index = 0; index < count; index++) to[index] = static_cast<_Float16>(floats[index]);
}

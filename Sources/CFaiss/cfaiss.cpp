#include "guarded.h"

#include <faiss/Index.h>
#include <faiss/IndexFlat.h>
#include <faiss/IndexHNSW.h>
#include <faiss/IndexIDMap.h>
#include <faiss/IndexIVF.h>
#include <faiss/IndexIVFFlat.h>
#include <faiss/IndexIVFPQ.h>
#include <faiss/IndexPreTransform.h>
#include <faiss/IndexRefine.h>
#include <faiss/VectorTransform.h>
#include <faiss/impl/FaissAssert.h>
#include <faiss/impl/FaissException.h>
#include <faiss/impl/IDSelector.h>
#include <faiss/index_factory.h>
#include <faiss/index_io.h>
#include <faiss/invlists/DirectMap.h>
#include <faiss/invlists/OnDiskInvertedLists.h>

#include <cxxabi.h>
#include <unistd.h>
#ifdef __linux__
#include <csignal>
#include <sys/prctl.h>
#endif

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <typeinfo>
#include <vector>

extern "C" void openblas_set_num_threads(int count);
extern "C" void omp_set_num_threads(int count);

struct cfaiss_index {
    std::unique_ptr<faiss::Index> faiss;
};

namespace {

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
        // A renumbering of codes for Hamming distances, which nobody asks for: it takes minutes.
        if (auto *codes = dynamic_cast<faiss::IndexIVFPQ *>(made.get())) codes->do_polysemous_training = false;
        *index = new cfaiss_index{std::move(made)};
    });
}

int cfaiss_stay_with_parent(void) {
#ifdef __linux__
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return -1;
    return getppid() == 1 ? -1 : 0;
#else
    return 0;
#endif
}

cfaiss_status cfaiss_index_reserve(cfaiss_index *index, int64_t count, cfaiss_message message) {
    return guarded(message, [&] {
        if (auto *flat = dynamic_cast<faiss::IndexFlatCodes *>(index->faiss.get()); flat != nullptr && count > 0) {
            flat->codes.reserve(flat->code_size * count);
        }
    });
}

cfaiss_status cfaiss_index_add(cfaiss_index *index, int64_t count, const float *vectors, cfaiss_message message) {
    return guarded(message, [&] {
        use_one_thread();
        index->faiss->add(count, vectors);
    });
}

cfaiss_status cfaiss_index_train(cfaiss_index *index, int64_t count, const float *vectors, cfaiss_message message) {
    return guarded(message, [&] {
        use_one_thread();
        index->faiss->train(count, vectors);
    });
}

void cfaiss_index_set_ef_construction(cfaiss_index *index, int32_t ef_construction) {
    if (auto *graph = dynamic_cast<faiss::IndexHNSW *>(index->faiss.get())) {
        graph->hnsw.efConstruction = ef_construction;
    }
}

cfaiss_status cfaiss_index_search(const cfaiss_index *index, const float *query, int64_t k,
                                  const cfaiss_effort *effort, float *scores, int64_t *rows,
                                  cfaiss_message message) {
    return guarded(message, [&] {
        use_one_thread();
        std::unique_ptr<faiss::IDSelectorBitmap> selector;
        if (effort->rows != nullptr) {
            selector = std::make_unique<faiss::IDSelectorBitmap>(effort->rows_size, effort->rows);
        }
        if (dynamic_cast<const faiss::IndexIVF *>(index->faiss.get()) != nullptr) {
            faiss::SearchParametersIVF parameters;
            parameters.nprobe = effort->nprobe > 0 ? effort->nprobe : 1;
            parameters.sel = selector.get();
            index->faiss->search(1, query, k, scores, rows, &parameters);
        } else if (dynamic_cast<const faiss::IndexHNSW *>(index->faiss.get()) != nullptr) {
            FAISS_THROW_IF_NOT_MSG(selector == nullptr, "a graph is not searched among some rows");
            faiss::SearchParametersHNSW parameters;
            parameters.efSearch = effort->ef_search;
            index->faiss->search(1, query, k, scores, rows, &parameters);
        } else {
            faiss::SearchParameters parameters;
            parameters.sel = selector.get();
            index->faiss->search(1, query, k, scores, rows, selector ? &parameters : nullptr);
        }
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

/// The links of a graph, or nullptr for another index.
const faiss::HNSW *graph_of(const cfaiss_index *index) {
    const auto *graph = dynamic_cast<const faiss::IndexHNSW *>(index->faiss.get());
    return graph == nullptr ? nullptr : &graph->hnsw;
}

}  // namespace

void cfaiss_index_graph_shape(const cfaiss_index *index, cfaiss_graph_shape *shape) {
    *shape = {};
    if (const faiss::HNSW *graph = graph_of(index)) {
        *shape = {graph->entry_point, graph->nb_neighbors(0), graph->nb_neighbors(1), std::max(graph->max_level, 0)};
    }
}

int32_t cfaiss_index_graph_level(const cfaiss_index *index, int64_t row) { return graph_of(index)->levels[row] - 1; }

void cfaiss_index_graph_neighbours(const cfaiss_index *index, int64_t row, int32_t level, uint32_t *neighbours) {
    size_t begin = 0, end = 0;
    const faiss::HNSW &graph = *graph_of(index);
    graph.neighbor_range(row, level, &begin, &end);
    for (size_t place = begin; place < end; place++) {
        neighbours[place - begin] = static_cast<uint32_t>(graph.neighbors[place]);
    }
}

namespace {

/// The vectors of an index by id. What is wrapped around another index is undone; ids must be 0 to count - 1.
class Rows {
public:
    /// The index must outlive its rows. Throws when sizes within it disagree, or when ids are of another kind.
    explicit Rows(const faiss::Index &index)
        : index(index),
          map(dynamic_cast<const faiss::IndexIDMap *>(&index)),
          transform(dynamic_cast<const faiss::IndexPreTransform *>(&index)),
          lists(dynamic_cast<const faiss::IndexIVF *>(&index)) {
        FAISS_THROW_IF_NOT_FMT(index.d > 0 && index.ntotal >= 0, "got %ld vectors of %d numbers", long(index.ntotal),
                               index.d);
        if (map != nullptr) {
            locate_ids_of_map();
        } else if (transform != nullptr) {
            wrap(transform->index);
            check_chain();
        } else if (lists != nullptr) {
            locate_ids_of_lists();
        } else if (const auto *refined = dynamic_cast<const faiss::IndexRefine *>(&index)) {
            wrap(refined->refine_index);
            check_same_dim();
        } else if (const auto *codes = dynamic_cast<const faiss::IndexFlatCodes *>(&index)) {
            FAISS_THROW_IF_NOT_MSG(
                codes->code_size == codes->sa_code_size() && codes->codes.size() == codes->code_size * index.ntotal,
                "the codes are not as many as the vectors");
        }
    }

    void read(int64_t first, int64_t count, float *to) const {
        if (lists != nullptr) {
            for (int64_t row = 0; row < count; row++) {
                const int64_t place = places[first + row];
                lists->reconstruct_from_offset(faiss::lo_listno(place), faiss::lo_offset(place), to + row * index.d);
            }
        } else if (inner == nullptr) {
            index.reconstruct_n(first, count, to);
        } else if (transform != nullptr && !transform->chain.empty()) {
            std::vector<float> transformed(count * inner->index.d);
            inner->read(first, count, transformed.data());
            transform->reverse_chain(count, transformed.data(), to);
        } else if (places.empty()) {
            inner->read(first, count, to);
        } else {
            for (int64_t row = 0; row < count; row++) inner->read(places[first + row], 1, to + row * index.d);
        }
    }

    /// Whether the vectors are kept as they were added.
    bool is_exact() const {
        if (transform != nullptr) return false;
        if (inner != nullptr) return inner->is_exact();
        // The header of the graphs needs OpenMP's, which not every compiler has; their names say what they keep.
        const std::string name = class_name();
        return dynamic_cast<const faiss::IndexFlat *>(&index) != nullptr ||
               dynamic_cast<const faiss::IndexIVFFlat *>(&index) != nullptr || name == "IndexHNSWFlat" ||
               name == "IndexNSGFlat";
    }

    std::string kind() const {
        return inner == nullptr ? class_name() : class_name() + "(" + inner->kind() + ")";
    }

private:
    const faiss::Index &index;
    const faiss::IndexIDMap *map;
    const faiss::IndexPreTransform *transform;
    const faiss::IndexIVF *lists;
    /// The rows of the index that `index` is around, if it is around one.
    std::unique_ptr<Rows> inner;
    /// Where an id's vector is: its number in `inner`, or its list and its offset there. Empty when it is the id.
    std::vector<int64_t> places;

    std::string class_name() const {
        if (map != nullptr) {
            return dynamic_cast<const faiss::IndexIDMap2 *>(map) != nullptr ? "IndexIDMap2" : "IndexIDMap";
        }
        const char *mangled = typeid(index).name();
        int status = 0;
        std::unique_ptr<char, void (*)(void *)> plain(abi::__cxa_demangle(mangled, nullptr, nullptr, &status),
                                                      std::free);
        const std::string name = status == 0 ? plain.get() : mangled;
        return name.rfind("faiss::", 0) == 0 ? name.substr(7) : name;
    }

    void wrap(const faiss::Index *wrapped) {
        FAISS_THROW_IF_NOT_MSG(wrapped != nullptr, "an index around nothing");
        inner = std::make_unique<Rows>(*wrapped);
        FAISS_THROW_IF_NOT_FMT(wrapped->ntotal == index.ntotal, "got %ld vectors around an index of %ld",
                               long(index.ntotal), long(wrapped->ntotal));
    }

    void check_same_dim() const {
        FAISS_THROW_IF_NOT_FMT(inner->index.d == index.d, "got %d numbers around an index of %d", index.d,
                               inner->index.d);
    }

    void check_chain() const {
        int dim = index.d;
        for (const faiss::VectorTransform *step : transform->chain) {
            FAISS_THROW_IF_NOT_FMT(step->d_in == dim, "a transform takes %d numbers, but gets %d", step->d_in, dim);
            dim = step->d_out;
        }
        FAISS_THROW_IF_NOT_FMT(inner->index.d == dim, "transforms give %d numbers to an index of %d", dim,
                               inner->index.d);
    }

    void place(int64_t id, int64_t at) {
        FAISS_THROW_IF_NOT_FMT(
            id >= 0 && id < index.ntotal && places[id] < 0,
            "its ids are not the numbers 0 to %ld, each once (got %ld%s): which row a vector belongs to is not known",
            long(index.ntotal - 1), long(id), id >= 0 && id < index.ntotal ? " twice" : "");
        places[id] = at;
    }

    void locate_ids_of_map() {
        wrap(map->index);
        check_same_dim();
        const auto &ids = map->id_map;
        FAISS_THROW_IF_NOT_FMT(int64_t(ids.size()) == index.ntotal, "got %ld ids, expected %ld", long(ids.size()),
                               long(index.ntotal));
        bool in_order = true;
        places.assign(index.ntotal, -1);
        for (int64_t at = 0; at < index.ntotal; at++) {
            place(ids[at], at);
            in_order = in_order && ids[at] == at;
        }
        if (in_order) places.clear();
    }

    void locate_ids_of_lists() {
        const faiss::InvertedLists *inverted = lists->invlists;
        FAISS_THROW_IF_NOT_MSG(inverted != nullptr && inverted->nlist == lists->nlist &&
                                   inverted->code_size == lists->code_size,
                               "its inverted lists are missing or of another index");
        FAISS_THROW_IF_NOT_MSG(dynamic_cast<const faiss::OnDiskInvertedLists *>(inverted) == nullptr,
                               "OnDiskInvertedLists: its vectors are in another file");
        places.assign(index.ntotal, -1);
        int64_t found = 0;
        for (size_t list = 0; list < inverted->nlist; list++) {
            const size_t size = inverted->list_size(list);
            faiss::InvertedLists::ScopedIds ids(inverted, list);
            for (size_t offset = 0; offset < size; offset++) {
                place(ids[offset], int64_t(faiss::lo_build(list, offset)));
                found++;
            }
        }
        FAISS_THROW_IF_NOT_FMT(found == index.ntotal, "its lists have %ld vectors, expected %ld", long(found),
                               long(index.ntotal));
    }
};

}  // namespace

struct cfaiss_rows {
    std::unique_ptr<faiss::Index> faiss;
    std::unique_ptr<Rows> rows;
};

cfaiss_status cfaiss_rows_open(int descriptor, cfaiss_rows **rows, cfaiss_rows_info *info, cfaiss_message message) {
    std::unique_ptr<FILE, int (*)(FILE *)> file(fdopen(descriptor, "rb"), std::fclose);
    if (file == nullptr) close(descriptor);
    return guarded(message, [&] {
        use_one_thread();
        FAISS_THROW_IF_NOT_MSG(file != nullptr, "the file is not open");
        const int flags = faiss::IO_FLAG_READ_ONLY | faiss::IO_FLAG_SKIP_PRECOMPUTE_TABLE;
        auto opened = std::make_unique<cfaiss_rows>();
        opened->faiss.reset(faiss::read_index(file.get(), flags));
        opened->rows = std::make_unique<Rows>(*opened->faiss);
        info->count = opened->faiss->ntotal;
        info->dim = opened->faiss->d;
        info->metric = opened->faiss->metric_type;
        info->is_exact = opened->rows->is_exact() ? 1 : 0;
        std::snprintf(info->kind, sizeof info->kind, "%s", opened->rows->kind().c_str());
        *rows = opened.release();
    });
}

cfaiss_status cfaiss_rows_read(const cfaiss_rows *rows, int64_t first, int64_t count, float *vectors,
                               cfaiss_message message) {
    return guarded(message, [&] {
        use_one_thread();
        FAISS_THROW_IF_NOT_FMT(first >= 0 && count >= 0 && first <= rows->faiss->ntotal - count,
                               "got rows %ld to %ld, expected less than %ld", long(first), long(first + count),
                               long(rows->faiss->ntotal));
        rows->rows->read(first, count, vectors);
    });
}

void cfaiss_rows_free(cfaiss_rows *rows) { delete rows; }

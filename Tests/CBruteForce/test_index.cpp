#include "test_index.h"

#include <faiss/IndexIVF.h>
#include <faiss/index_factory.h>
#include <faiss/index_io.h>
#include <faiss/invlists/OnDiskInvertedLists.h>

#include <cstdio>
#include <exception>
#include <memory>

int test_index_write(const char *path, const char *factory, int metric, int32_t dim, int64_t count,
                     const float *vectors, const int64_t *ids, const char *lists_path) {
    try {
        std::unique_ptr<faiss::Index> index(faiss::index_factory(dim, factory, faiss::MetricType(metric)));
        if (count > 0) {
            index->train(count, vectors);
            if (ids != nullptr) {
                index->add_with_ids(count, vectors, ids);
            } else {
                index->add(count, vectors);
            }
        }
        if (lists_path != nullptr) {
            auto &lists = dynamic_cast<faiss::IndexIVF &>(*index);
            auto on_disk = std::make_unique<faiss::OnDiskInvertedLists>(lists.nlist, lists.code_size, lists_path);
            const faiss::InvertedLists *in_memory = lists.invlists;
            on_disk->merge_from(&in_memory, 1);
            lists.replace_invlists(on_disk.release(), true);
        }
        faiss::write_index(index.get(), path);
        return 0;
    } catch (const std::exception &error) {
        std::fprintf(stderr, "test_index_write %s: %s\n", factory, error.what());
        return 1;
    }
}

"""The searchers that are measured: ours over a pipe, FAISS and hnswlib in this process. All have the same calls."""
import json
import subprocess
import time
from pathlib import Path

import faiss
import hnswlib
import numpy as np

# As Capstan builds its own: PlannedIndex.swift.
EF_CONSTRUCTION = 80
TRAINING_ROWS_PER_LIST = 64


class Memory:
    """Bytes of this process in memory: all, and those that are no mapped files, which the kernel could drop."""

    def __init__(self):
        lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
        self.resident, self.anonymous = (int(lines[name].split()[0]) * 1024 for name in ("VmRSS", "RssAnon"))

    def since(self, before):
        return self.resident - before.resident, self.anonymous - before.anonymous


def built(path: Path, build, write) -> float:
    """Writes an index unless it is there; the seconds that building it takes or took."""
    note = path.with_name(path.name + ".seconds")
    if not note.exists():
        start = time.perf_counter()
        index = build()
        seconds = time.perf_counter() - start
        write(index)
        note.write_text(str(seconds))
    return float(note.read_text())


class Ours:
    """An index of Capstan's, in a process of its own: `bench answer`."""

    def __init__(self, bench, plan, data, k):
        self.name, self.plan = f"capstan {plan}", plan
        self.graph, self.lists = plan.startswith("hnsw"), plan.startswith("ivf")
        # Once to build what is not there: memory that building left behind would be used again, and not be seen.
        for is_built in (False, True):
            self.process = subprocess.Popen(
                [bench, "answer", "--vectors", data.vectors_path, "--questions", data.questions_path,
                 "--work", data.work / "capstan", "-k", str(k)],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            try:
                answer = self.call({"open": plan})
            except RuntimeError:
                self.close()
                raise
            if not is_built:
                self.close()
        self.build_seconds = answer.get("build_seconds", 0.0)
        self.memory = answer["memory_bytes"], answer["anonymous_bytes"]

    def call(self, request):
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"bench answer ended while asked {request}")
        answer = json.loads(line)
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return answer

    def ask(self, first, count, batch, effort):
        """Milliseconds of each call, and the rows of each question."""
        request = {"ask": self.plan, "first": first, "count": count, "batch": batch}
        if effort is not None:
            request["effort"] = effort
        answer = self.call(request)
        self.memory = answer["memory_bytes"], answer["anonymous_bytes"]
        return answer["milliseconds"], answer["rows"]

    def close(self):
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()


class Faiss:
    """An index that faiss.index_factory makes."""

    def __init__(self, factory, data, k, refine=None):
        self.name = f"faiss-cpu {factory}" + (f", k_factor {refine}" if refine else "")
        self.graph, self.lists = factory.startswith("HNSW"), factory.startswith("IVF")
        self.questions, self.k = data.normalised(data.questions), k
        path = data.work / f"faiss-{factory}"
        self.build_seconds = built(
            path, lambda: self.build(factory, data), lambda index: faiss.write_index(index, str(path)))
        before = Memory()
        self.index = faiss.read_index(str(path))
        if refine:
            self.index.k_factor = refine
        self.inner = faiss.downcast_index(self.index.base_index) if refine else self.index
        self.scores = np.empty((32, k), np.float32)
        self.rows = np.empty((32, k), np.int64)
        self.index.search(self.questions[:1], k)
        self.memory = Memory().since(before)

    @staticmethod
    def build(factory, data):
        index = faiss.index_factory(data.dim, factory, faiss.METRIC_INNER_PRODUCT)
        vectors = data.normalised(data.vectors)
        if factory.startswith("HNSW"):
            index.hnsw.efConstruction = EF_CONSTRUCTION
        lists = faiss.try_extract_index_ivf(index)
        sample = vectors
        if lists is not None:
            count = min(len(vectors), max(65_536, TRAINING_ROWS_PER_LIST * lists.nlist))
            sample = np.ascontiguousarray(vectors[np.arange(count) * len(vectors) // count])
        index.train(sample)
        index.add(vectors)
        return index

    def ask(self, first, count, batch, effort):
        if self.graph:
            self.inner.hnsw.efSearch = effort
        elif self.lists:
            self.inner.nprobe = effort
        times, found = [], []
        for start in range(first, first + count, batch):
            asked = self.questions[start:min(start + batch, first + count)]
            scores, rows = self.scores[:len(asked)], self.rows[:len(asked)]
            clock = time.perf_counter()
            self.index.search(asked, self.k, D=scores, I=rows)
            times.append((time.perf_counter() - clock) * 1e3)
            found += rows.tolist()
        return times, found

    def close(self):
        del self.index, self.inner


class Hnswlib:
    """hnswlib's graph, with as many links as HNSW32 of FAISS has."""

    graph, lists = True, False

    def __init__(self, data, k):
        self.name, self.k = "hnswlib M=32", k
        self.questions = data.normalised(data.questions)
        path = data.work / "hnswlib-32"
        self.build_seconds = built(path, lambda: self.build(data), lambda index: index.save_index(str(path)))
        before = Memory()
        self.index = hnswlib.Index("ip", data.dim)
        self.index.load_index(str(path))
        self.index.set_num_threads(1)
        self.memory = Memory().since(before)

    @staticmethod
    def build(data):
        index = hnswlib.Index("ip", data.dim)
        index.init_index(len(data.vectors), M=32, ef_construction=EF_CONSTRUCTION)
        index.set_num_threads(1)
        for start in range(0, len(data.vectors), 10_000):
            index.add_items(data.normalised(data.vectors[start:start + 10_000]))
        return index

    def ask(self, first, count, batch, effort):
        self.index.set_ef(max(effort, self.k))
        times, found = [], []
        for start in range(first, first + count, batch):
            asked = self.questions[start:min(start + batch, first + count)]
            clock = time.perf_counter()
            rows, _ = self.index.knn_query(asked, k=self.k, num_threads=1)
            times.append((time.perf_counter() - clock) * 1e3)
            found += rows.tolist()
        return times, found

    def close(self):
        del self.index


class Product:
    """The scores of all rows as one product of NumPy's, which nobody has looked at: what a batch takes at least."""

    name, graph, lists, build_seconds, memory = "numpy product alone", False, False, 0.0, (0, 0)

    def __init__(self, data):
        self.questions, self.vectors = data.normalised(data.questions), data.vectors

    def ask(self, first, count, batch, effort):
        times = []
        for start in range(first, first + count, batch):
            clock = time.perf_counter()
            for part in range(0, len(self.vectors), 20_000):
                self.vectors[part:part + 20_000] @ self.questions[start:start + batch].T
            times.append((time.perf_counter() - clock) * 1e3)
        return times, None

    def close(self):
        pass

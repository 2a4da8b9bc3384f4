"""Capstan's searches beside those of faiss-cpu and hnswlib; Tools/bench-peers runs this.

Every group opens its indexes, finds the least effort with which each reaches the recall, then asks all of them in
turns, a few questions at a time. Times of the others are taken around their Python calls, with buffers that are there already;
ours are taken in its own process, from the numbers of a question to the answer."""
import argparse
import json
import math
import platform
import statistics
import sys
from pathlib import Path

import faiss
import numpy as np

from systems import Faiss, Hnswlib, Ours, Product

GROUPS = ("exact", "exact batch", "hnsw", "ivf_flat", "ivf_sq8", "ivf_codes")
TURN = 25
EF_SEARCH = (10, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 1024)
NPROBE = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 256, 512, 1024)


class Data:
    """Vectors and questions as NumPy files in the work folder: clustered ones, or those of the caller."""

    def __init__(self, options):
        if options.vectors:
            self.vectors_path, self.questions_path = options.vectors, options.questions
            name = options.vectors.stem
        else:
            name = f"{options.rows}x{options.dim}"
        self.work = options.work / name
        (self.work / "capstan").mkdir(parents=True, exist_ok=True)
        if not options.vectors:
            self.vectors_path, self.questions_path = self.work / "vectors.npy", self.work / "questions.npy"
            if not self.questions_path.exists():
                self.make(options.rows, options.dim)
        self.vectors = np.load(self.vectors_path, mmap_mode="r")
        self.questions = np.load(self.questions_path)[:options.count]
        self.dim = self.vectors.shape[1]

    def make(self, rows, dim):
        """1,000 centres and noise of 0.7 of their length around them, as `ClusteredVectors` of the other benchmarks."""
        random = np.random.default_rng(7)
        centres = random.standard_normal((1000, dim), dtype=np.float32)

        def vectors(count):
            noise = random.standard_normal((count, dim), dtype=np.float32)
            return self.normalised(centres[random.integers(0, 1000, count)] + np.float32(0.7) * noise)

        file = np.lib.format.open_memmap(self.vectors_path, "w+", np.float32, (rows, dim))
        for start in range(0, rows, 20_000):
            file[start:start + 20_000] = vectors(min(20_000, rows - start))
        file.flush()
        np.save(self.questions_path, vectors(1000))

    @staticmethod
    def normalised(vectors):
        vectors = np.asarray(vectors, np.float32)
        return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-30)


def recall(found, truth):
    return sum(len(set(one) & set(other)) for one, other in zip(found, truth)) / sum(len(other) for other in truth)


def efforts(system, data):
    if system.graph:
        return EF_SEARCH
    return [value for value in NPROBE if value <= data.lists] if system.lists else (None,)


class Line:
    """One index: its curve up to the recall that is wanted, then the times of its turns."""

    def __init__(self, system):
        self.system, self.effort, self.recall, self.curve, self.times = system, None, None, [], []

    def find_least_effort(self, data, truth, batch, wanted):
        for self.effort in efforts(self.system, data):
            times, found = self.system.ask(0, len(truth), batch, self.effort)
            if found is None:
                return
            self.recall = recall(found, truth)
            self.curve.append({"effort": self.effort, "recall": self.recall, "ms": statistics.median(times)})
            if self.recall >= wanted:
                return

    @property
    def ms(self):
        return statistics.median(self.times)

    def json(self, ours):
        system = self.system
        return {"system": system.name, "recall": self.recall, "effort": self.effort, "p50_ms": self.ms,
                "ours_to_this": ours / self.ms if ours else None, "build_seconds": system.build_seconds,
                "memory_bytes": system.memory[0], "anonymous_bytes": system.memory[1], "curve": self.curve}


def systems(group, data, options):
    """What a group compares: functions, for each index is opened when its turn comes."""
    lists, k = data.lists, options.k
    ours = lambda plan: lambda: Ours(options.bench, plan, data, k)
    theirs = lambda factory, refine=None: lambda: Faiss(factory, data, k, refine)
    return {
        "exact": [ours("exact"), theirs("Flat"), theirs("SQ8")],
        "exact batch": [ours("exact"), theirs("Flat"), lambda: Product(data)],
        "hnsw": [ours("hnsw:links=32"), theirs("HNSW32"), lambda: Hnswlib(data, k)],
        "ivf_flat": [ours(f"ivf_flat:lists={lists}"), theirs(f"IVF{lists},Flat")],
        "ivf_sq8": [ours(f"ivf_sq8:lists={lists}"), theirs(f"IVF{lists},SQ8")],
        "ivf_codes": [ours(f"ivf_sq4:lists={lists}")] + [
            theirs(f"IVF{lists},PQ{data.dim // 4}x4fs,RFlat", refine) for refine in (2, 4, 10)],
    }[group]


def measure(group, data, truth, options):
    batch = 32 if group == "exact batch" else 1
    count = batch if batch > 1 else options.exact_count if group == "exact" else len(truth)
    opened, lines = [], []
    try:
        for make in systems(group, data, options):
            try:
                opened.append(make())
            except RuntimeError as error:
                print(f"peers: left out: {error}", file=sys.stderr)
        for system in opened:
            print(f"peers: {group}: {system.name}", file=sys.stderr)
            line = Line(system)
            line.find_least_effort(data, truth[:count], batch, options.recall)
            lines.append(line)
        for _ in range(options.rounds):
            for first in range(0, count, max(TURN, batch)):
                for line in lines:
                    part = min(max(TURN, batch), count - first)
                    line.times += line.system.ask(first, part, batch, line.effort)[0]
        ours = min(line.ms for line in lines if isinstance(line.system, Ours))
        return [line.json(ours) for line in lines]
    finally:
        for system in opened:
            system.close()


def show(groups, options):
    print(f"\nThe least effort with recall {options.recall} of the {options.k} nearest; one thread; medians of "
          f"{options.rounds} rounds in turns. ours/this is below 1 where Capstan's best of the group is faster.\n")
    print("| search | system | recall | effort | p50 ms | ours/this | build s | memory MB | of it no file |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    for group, lines in groups.items():
        for line in lines:
            megabytes = [f"{line[name] / 1e6:.0f}" for name in ("memory_bytes", "anonymous_bytes")]
            cells = [group, line["system"], "-" if line["recall"] is None else f"{line['recall']:.3f}",
                     "all" if line["effort"] is None else str(line["effort"]), f"{line['p50_ms']:.3f}",
                     f"{line['ours_to_this']:.2f}", f"{line['build_seconds']:.0f}", *megabytes]
            print("| " + " | ".join(cells) + " |")


def main():
    parser = argparse.ArgumentParser(prog="Tools/bench-peers", description=__doc__)
    parser.add_argument("--bench", type=Path, required=True, help=argparse.SUPPRESS)
    parser.add_argument("--work", type=Path, required=True, help="folder that keeps vectors and indexes")
    parser.add_argument("--vectors", type=Path, help="a NumPy file, instead of clustered vectors")
    parser.add_argument("--questions", type=Path, help="a NumPy file, with --vectors")
    parser.add_argument("--rows", type=int, default=500_000)
    parser.add_argument("--dim", type=int, default=768)
    parser.add_argument("--count", type=int, default=300, help="questions (default 300)")
    parser.add_argument("--exact-count", type=int, default=30, help="questions of exact searches (default 30)")
    parser.add_argument("-k", type=int, default=10)
    parser.add_argument("--recall", type=float, default=0.98)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", default=",".join(GROUPS), help=f"groups of {', '.join(GROUPS)} (default all)")
    parser.add_argument("--json", type=Path, help="file to write the numbers to")
    options = parser.parse_args()
    chosen = [group.strip() for group in options.only.split(",")]
    if unknown := set(chosen) - set(GROUPS):
        parser.error(f"got --only {', '.join(sorted(unknown))}, expected {', '.join(GROUPS)}")
    if (options.vectors is None) != (options.questions is None):
        parser.error("--vectors and --questions belong together")
    faiss.omp_set_num_threads(1)
    data = Data(options)
    data.lists = max(1, min(int(4 * math.sqrt(len(data.vectors))), len(data.vectors) // 39))
    exact = Ours(options.bench, "exact", data, options.k)
    _, truth = exact.ask(0, len(data.questions), 1, None)
    exact.close()
    groups = {group: measure(group, data, truth, options) for group in chosen}
    show(groups, options)
    if options.json:
        options.json.write_text(json.dumps({
            "rows": len(data.vectors), "dim": data.dim, "k": options.k, "recall": options.recall,
            "questions": len(data.questions), "machine": platform.processor() or platform.machine(),
            "faiss": faiss.__version__, "groups": groups}, indent=2) + "\n")


if __name__ == "__main__":
    main()

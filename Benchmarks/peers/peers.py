#!/usr/bin/env python3
"""Runs faiss and hnswlib on the vectors that `ra bench index` measures, in one thread.

    Benchmarks/peers/peers.py --capture capture --output peers.json
    ra bench index --capture capture --merge peers.json

What is compared, and in whose favor (docs/index-benchmark.md has more):
- The same rows are indexed, between sink and window, and the same queries asked, scaled in the same way. These
  libraries search for one query, so every query head is searched for apart; ours are asked for a group at once.
- Time is that of the search alone, without attention to what was found: this favors them. All query heads of a
  group are searched for after one walk through the memory that empties the caches, and the time divided by their
  number. faiss is called through its wrapper of the C++ function, with arrays made before; from hnswlib's times
  that of an empty call is subtracted.
- Keys are f32, the only type that these libraries take; bytes are counted as they read them (see `bytes_read`).
"""

import argparse
import json
import math
import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENT = ROOT / ".build-peers"
REQUIREMENTS = Path(__file__).with_name("requirements.txt")


def enter_environment():
    """Makes the virtual environment when it is missing or out of date, and goes on inside it."""
    python = ENVIRONMENT / "bin" / "python"
    if Path(sys.prefix).resolve() == ENVIRONMENT.resolve():
        return
    if sys.version_info < (3, 11):
        sys.exit("peers: Python 3.11 or newer is needed for the pinned versions")
    wanted = REQUIREMENTS.read_text()
    stamp = ENVIRONMENT / "stamp"
    if not stamp.exists() or stamp.read_text() != wanted:
        note("installing faiss and hnswlib into " + str(ENVIRONMENT.name))
        subprocess.run([sys.executable, "-m", "venv", "--clear", ENVIRONMENT], check=True)
        lines = [line for line in wanted.splitlines() if line and not line.startswith("#")]
        for line in lines:
            command = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", line]
            if subprocess.run(command).returncode == 0:
                continue
            if not line.startswith("hnswlib"):
                sys.exit("peers: could not install " + line)
            note("could not compile " + line + " (compiler or Python.h missing?): faiss alone is measured")
        stamp.write_text(wanted)
    os.execv(python, [str(python), "-B", *sys.argv])


def note(text):
    print(text, file=sys.stderr, flush=True)


class Head:
    """One KV head: what is indexed, what is asked, and what exact attention answers."""

    def __init__(self, folder, capture, layer, head, options):
        def load(name):
            return np.load(folder / f"layer{layer}.head{head}.{name}.npy").astype(np.float32)

        self.positions = np.load(folder / "queryPositions.npy")
        self.keys, self.values = load("keys"), load("values")
        # [queries, groupSize, d], scaled
        queries = load("queries").transpose(1, 0, 2) * np.float32(capture["scale"])
        self.queries = np.ascontiguousarray(queries)
        self.start = options.sink
        self.end = int(self.positions.min()) + 1 - options.window
        if self.end <= self.start:
            sys.exit(f"peers: sink {options.sink} and window {options.window} leave no row to index")
        self.rows = np.ascontiguousarray(self.keys[self.start:self.end])
        self.dimension = self.keys.shape[1]
        self.k = min(options.recall_at, len(self.rows))
        # [queries, groupSize, tokens]
        self.scores = self.queries.astype(np.float64) @ self.keys.T.astype(np.float64)
        indexed = self.scores[:, :, self.start:self.end]
        self.top = np.argpartition(-indexed, self.k - 1, axis=2)[:, :, :self.k]
        count, group = self.queries.shape[:2]
        self.exact = [[self.attend(q, h, np.arange(self.positions[q] + 1)) for h in range(group)] for q in range(count)]

    def attend(self, query, member, rows):
        """The attention of one query head to some rows."""
        scores = self.scores[query, member, rows]
        weights = np.exp(scores - scores.max())
        return weights @ self.values[rows] / weights.sum()

    def answer(self, query, member, found):
        """Recall and relative error when `found`, offsets into the indexed rows, are attended to."""
        found = found[found >= 0]
        recall = len(np.intersect1d(found, self.top[query, member])) / self.k
        fixed = [np.arange(self.start), np.arange(self.end, self.positions[query] + 1)]
        output = self.attend(query, member, np.concatenate([*fixed, np.unique(found) + self.start]))
        exact = self.exact[query][member]
        return recall, float(np.linalg.norm(output - exact) / max(np.linalg.norm(exact), 1e-30))


class Counts:
    """What one search read."""

    def __init__(self, scored, bytes_read):
        self.scored = scored
        self.bytes_read = bytes_read


class Faiss:
    """A faiss index. Subclasses say how it is made, what is swept, and how its reads are counted."""

    def __init__(self, head, k):
        self.k = k
        self.dimension = head.dimension
        self.count = len(head.rows)
        begin = time.perf_counter()
        self.index = self.make(head.rows)
        self.build_seconds = time.perf_counter() - begin
        self.index_bytes = len(faiss.serialize_index(self.index))
        self.distances = np.empty((1, k), np.float32)
        self.found = np.empty((1, k), np.int64)

    def prepare(self, query):
        return faiss.swig_ptr(query), faiss.swig_ptr(self.distances), faiss.swig_ptr(self.found)

    def search(self, prepared):
        query, distances, found = prepared
        self.index.search_c(1, query, self.k, distances, found)

    def result(self):
        return self.found[0].copy()

    def reset(self):
        pass

    overhead = 0.0


class Flat(Faiss):
    name, points = "faiss-flat", [{}]

    def make(self, rows):
        index = faiss.IndexFlatIP(self.dimension)
        index.add(rows)
        return index

    def configure(self, parameters):
        pass

    def counts(self):
        return Counts(self.count, self.count * self.dimension * 4)


class IVF(Faiss):
    name, points = "faiss-ivf", [{"nprobe": n} for n in (2, 4, 8, 16, 32, 64)]

    def make(self, rows):
        # faiss's guidelines: 4 sqrt(n) lists.
        self.lists = max(1, int(4 * math.sqrt(self.count)))
        self.quantizer = faiss.IndexFlatIP(self.dimension)
        index = faiss.IndexIVFFlat(self.quantizer, self.dimension, self.lists, faiss.METRIC_INNER_PRODUCT)
        index.train(rows)
        index.add(rows)
        return index

    def configure(self, parameters):
        self.index.nprobe = min(parameters["nprobe"], self.lists)

    def reset(self):
        faiss.cvar.indexIVF_stats.reset()

    def counts(self):
        # Rows of the lists with their 8-byte ids, and the centroids.
        scored = int(faiss.cvar.indexIVF_stats.ndis)
        return Counts(scored + self.lists, scored * (self.dimension * 4 + 8) + self.lists * self.dimension * 4)


M = 32
EF_CONSTRUCTION = 200
BEAMS = (100, 200, 400, 800)


class HNSW(Faiss):
    name, points = "faiss-hnsw", [{"ef": ef} for ef in BEAMS]

    def make(self, rows):
        index = faiss.IndexHNSWFlat(self.dimension, M, faiss.METRIC_INNER_PRODUCT)
        index.hnsw.efConstruction = EF_CONSTRUCTION
        index.add(rows)
        return index

    def configure(self, parameters):
        self.index.hnsw.efSearch = max(parameters["ef"], self.k)

    def reset(self):
        faiss.cvar.hnsw_stats.reset()

    def counts(self):
        # Rows that were compared, and 2 M links of 4 bytes for each node that was looked at.
        stats = faiss.cvar.hnsw_stats
        return Counts(int(stats.ndis), int(stats.ndis) * self.dimension * 4 + int(stats.nhops) * 2 * M * 4)


class FastScan(Faiss):
    name, points = "faiss-pq-fastscan", [{"rerank": n} for n in (1, 2, 4, 8)]

    def make(self, rows):
        # 2 dimensions a code of 4 bits.
        self.codes = max(1, self.dimension // 2)
        self.base = faiss.IndexPQFastScan(self.dimension, self.codes, 4, faiss.METRIC_INNER_PRODUCT)
        index = faiss.IndexRefineFlat(self.base)
        index.train(rows)
        index.add(rows)
        return index

    def configure(self, parameters):
        self.index.k_factor = parameters["rerank"]

    def counts(self):
        # All codes, and the rows that are scored again.
        again = min(self.count, int(self.index.k_factor) * self.k)
        return Counts(self.count + again, self.count * self.codes // 2 + again * self.dimension * 4)


class HNSWLib:
    name, points = "hnswlib", [{"ef": ef} for ef in BEAMS]

    def __init__(self, head, k):
        self.k = k
        self.dimension = head.dimension
        begin = time.perf_counter()
        self.index = self.make(head.rows)
        self.build_seconds = time.perf_counter() - begin
        self.index_bytes = self.index.index_file_size()
        self.twin = None
        self.head = head
        self.overhead = self.empty_call()

    def make(self, rows):
        index = hnswlib.Index(space="ip", dim=rows.shape[1])
        index.init_index(max_elements=len(rows), ef_construction=EF_CONSTRUCTION, M=M, random_seed=100)
        index.set_num_threads(1)
        index.add_items(rows, num_threads=1)
        return index

    def empty_call(self):
        """Seconds that Python spends on a search in an index of one row."""
        index = self.make(self.head.rows[:1])
        query = self.head.queries[0, :1]
        times = []
        for _ in range(200):
            begin = time.perf_counter()
            index.knn_query(query, k=1, num_threads=1)
            times.append(time.perf_counter() - begin)
        return sorted(times)[len(times) // 2]

    def configure(self, parameters):
        self.index.set_ef(max(parameters["ef"], self.k))
        # hnswlib does not tell from Python what it read. faiss's graph of the same degree and beams does.
        if self.twin is None:
            self.twin = HNSW(self.head, self.k)
        self.twin.configure(parameters)

    def prepare(self, query):
        self.query = query
        return query

    def search(self, query):
        self.labels = self.index.knn_query(query, k=self.k, num_threads=1)[0]

    def result(self):
        return self.labels[0].astype(np.int64)

    def reset(self):
        self.twin.reset()

    def counts(self):
        self.twin.search(self.twin.prepare(self.query))
        return self.twin.counts()


class Samples:
    """Of one setting, over all heads."""

    def __init__(self):
        self.errors, self.recalls, self.scored, self.bytes, self.times = [], [], [], [], []
        self.head_errors, self.build_seconds, self.index_bytes = [], [], []


def measure(kind, head, samples, options, evict):
    index = kind(head, min(options.k, len(head.rows)))
    count, group = head.queries.shape[:2]
    timed = min(options.timed_queries, count)
    for point, into in zip(kind.points, samples):
        index.configure(point)
        into.build_seconds.append(index.build_seconds)
        into.index_bytes.append(index.index_bytes)
        errors = np.empty((count, group))
        for query in range(count):
            scored = 0
            for member in range(group):
                prepared = index.prepare(head.queries[query, member:member + 1])
                index.reset()
                index.search(prepared)
                found = index.result()
                counts = index.counts()
                recall, errors[query, member] = head.answer(query, member, found)
                into.recalls.append(recall)
                scored += counts.scored
                # The scores are known, so attention reads only the values, f16.
                into.bytes.append(counts.bytes_read + len(found) * head.dimension * 2)
            into.scored.append(scored / len(head.rows))
            if (query + 1) * timed // count > query * timed // count:
                queries = [index.prepare(head.queries[query, m:m + 1]) for m in range(group)]
                evict()
                begin = time.perf_counter()
                for prepared in queries:
                    index.search(prepared)
                elapsed = time.perf_counter() - begin
                into.times.append(max(elapsed / group - index.overhead, 0))
        into.errors += errors.ravel().tolist()
        into.head_errors += errors.mean(axis=0).tolist()


def summary(name, parameters, k, samples):
    errors = sorted(samples.errors)
    return {
        "index": name,
        "parameters": {"k": k, **parameters},
        "recall": float(np.mean(samples.recalls)),
        "meanError": float(np.mean(errors)),
        "p95Error": errors[min(len(errors) - 1, len(errors) * 95 // 100)],
        "worstHeadError": max(samples.head_errors),
        "keysScored": float(np.mean(samples.scored)),
        "bytesPerQuery": float(np.mean(samples.bytes)),
        "microsecondsPerQuery": float(np.median(samples.times)) * 1e6,
        "buildSeconds": float(np.mean(samples.build_seconds)),
        "indexBytes": float(np.mean(samples.index_bytes)),
        "timeScope": "search",
    }


def default_evicted_bytes():
    """A quarter more than the largest cache; 64 MiB where its size is not known."""
    sizes = []
    for name in ("SC_LEVEL2_CACHE_SIZE", "SC_LEVEL3_CACHE_SIZE", "SC_LEVEL4_CACHE_SIZE"):
        try:
            sizes.append(os.sysconf(name))
        except (ValueError, OSError):
            pass
    largest = max(sizes, default=0)
    return min(largest + largest // 4, 1 << 30) if largest > 0 else 64 << 20


def numbers(text):
    return [int(part) for part in text.split(",")]


def main():
    parser = argparse.ArgumentParser(description="faiss and hnswlib on the vectors of ra bench index")
    parser.add_argument("--capture", required=True, type=Path, help="a folder that ra capture wrote")
    parser.add_argument("--layers", type=numbers, help="layers of the capture (default: all)")
    parser.add_argument("--heads", type=numbers, help="KV heads of each layer (default: all)")
    parser.add_argument("--sink", type=int, default=128)
    parser.add_argument("--window", type=int, default=512)
    parser.add_argument("--k", type=int, default=100, help="rows retrieved for a query")
    parser.add_argument("--recall-at", type=int, default=100)
    parser.add_argument("--timed-queries", type=int, default=16)
    parser.add_argument("--evict", type=int, help="MiB walked through before each timed group")
    parser.add_argument("--output", type=Path, help="a JSON file (default: standard output)")
    options = parser.parse_args()
    for name in ("k", "recall_at", "timed_queries", "window"):
        if getattr(options, name) <= 0:
            parser.error(f"--{name.replace('_', '-')} must be positive")

    faiss.omp_set_num_threads(1)
    capture = json.loads((options.capture / "capture.json").read_text())
    layers = options.layers if options.layers is not None else capture["layers"]
    heads = options.heads if options.heads is not None else list(range(capture["kvHeadCount"]))
    evicted = default_evicted_bytes() if options.evict is None else options.evict << 20
    memory = np.zeros(max(8, evicted // 8), np.uint64)

    def evict():
        memory[::8] += np.uint64(1)

    kinds = [Flat, IVF, HNSW, FastScan] + ([HNSWLib] if hnswlib else [])
    samples = {kind: [Samples() for _ in kind.points] for kind in kinds}
    for number, (layer, head) in enumerate([(layer, head) for layer in layers for head in heads]):
        vectors = Head(options.capture, capture, layer, head, options)
        for kind in kinds:
            note(f"peers: layer {layer}, head {head}, {kind.name}")
            measure(kind, vectors, samples[kind], options, evict)
    count, group = vectors.queries.shape[:2]
    report = {
        "header": {
            "input": f"{capture['model']}, {capture['text']}, {capture['context']} tokens, layers "
            + ",".join(str(layer) for layer in layers),
            "heads": number + 1,
            "headDimension": vectors.dimension,
            "groupSize": group,
            "candidates": len(vectors.rows),
            "queries": count,
            "timedQueries": min(options.timed_queries, count),
            "trainingQueries": 0,
            "k": options.recall_at,
            "sink": options.sink,
            "window": options.window,
            "segment": len(vectors.rows),
            "threads": 1,
            "simd": "faiss " + faiss.__version__ + " " + faiss.get_compile_options().strip(),
            "evictedBytes": evicted,
            "interrupted": False,
        },
        "points": [
            summary(kind.name, point, options.k, into)
            for kind in kinds
            for point, into in zip(kind.points, samples[kind])
        ],
    }
    text = json.dumps(report, indent=2) + "\n"
    if options.output:
        options.output.write_text(text)
    else:
        sys.stdout.write(text)


if __name__ == "__main__":
    enter_environment()
    # One thread; read by the libraries when they are loaded.
    os.environ["OMP_NUM_THREADS"] = "1"
    import faiss
    import numpy as np

    try:
        import hnswlib
    except ImportError:
        hnswlib = None
    main()

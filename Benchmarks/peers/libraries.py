"""The indexes of faiss and hnswlib: how each is made, what is swept, and how its reads are counted.

Needs the environment that peers.py makes.
"""

import math
import os
import time

# One thread; read by the libraries when they are loaded.
os.environ["OMP_NUM_THREADS"] = "1"

import faiss
import numpy as np

try:
    import hnswlib
except ImportError:
    hnswlib = None

faiss.omp_set_num_threads(1)


class Counts:
    """What one search read."""

    def __init__(self, scored, bytes_read):
        self.scored = scored
        self.bytes_read = bytes_read


class Faiss:
    """A faiss index. Subclasses say how it is made, what is swept, and how its reads are counted."""

    def __init__(self, head):
        self.dimension = head.dimension
        self.count = len(head.rows)
        begin = time.perf_counter()
        self.index = self.make(head.rows)
        self.build_seconds = time.perf_counter() - begin
        self.index_bytes = len(faiss.serialize_index(self.index))

    def set_k(self, k):
        self.k = k
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
        self.index.hnsw.efSearch = parameters["ef"]

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

    def __init__(self, head):
        self.dimension = head.dimension
        begin = time.perf_counter()
        self.index = self.make(head.rows)
        self.build_seconds = time.perf_counter() - begin
        self.index_bytes = self.index.index_file_size()
        self.twin = None
        self.head = head
        self.overhead = self.empty_call()

    def set_k(self, k):
        self.k = k
        if self.twin:
            self.twin.set_k(k)

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
        self.index.set_ef(parameters["ef"])
        # hnswlib does not tell from Python what it read. faiss's graph of the same degree and beams does.
        if self.twin is None:
            self.twin = HNSW(self.head)
            self.twin.set_k(self.k)
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


KINDS = [Flat, IVF, HNSW, FastScan] + ([HNSWLib] if hnswlib else [])
VERSION = "faiss " + faiss.__version__ + " " + faiss.get_compile_options().strip()

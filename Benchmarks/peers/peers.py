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
- Keys are f32, the only type that these libraries take; bytes are counted as they read them (see libraries.py).
"""

import argparse
import json
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


class Samples:
    """Of one setting, over all heads."""

    def __init__(self):
        self.errors, self.recalls, self.scored, self.bytes, self.times = [], [], [], [], []
        self.head_errors, self.build_seconds, self.index_bytes = [], [], []


def settings(kind, options):
    """All k with all settings of a kind; a beam is never narrower than k."""
    return [{"k": k, **point} for k in options.k for point in kind.points if point.get("ef", k) >= k]


def measure(kind, head, samples, options, evict):
    index = kind(head)
    count, group = head.queries.shape[:2]
    timed = min(options.timed_queries, count)
    for point, into in zip(settings(kind, options), samples):
        index.set_k(min(point["k"], len(head.rows)))
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
                into.bytes.append(counts.bytes_read + int((found >= 0).sum()) * head.dimension * 2)
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


def summary(name, parameters, samples):
    errors = sorted(samples.errors)
    return {
        "index": name,
        "parameters": parameters,
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
    parser.add_argument("--k", type=numbers, default=[100], help="rows retrieved for a query, several with commas")
    parser.add_argument("--recall-at", type=int, default=100)
    parser.add_argument("--timed-queries", type=int, default=16)
    parser.add_argument("--evict", type=int, help="MiB walked through before each timed group")
    parser.add_argument("--output", type=Path, help="a JSON file (default: standard output)")
    options = parser.parse_args()
    for name in ("recall_at", "timed_queries", "window"):
        if getattr(options, name) <= 0:
            parser.error(f"--{name.replace('_', '-')} must be positive")
    if min(options.k) <= 0:
        parser.error("--k must be positive")

    try:
        capture = json.loads((options.capture / "capture.json").read_text())
    except (OSError, ValueError) as error:
        sys.exit(f"peers: {options.capture} is no capture: {error}")
    layers = options.layers if options.layers is not None else capture["layers"]
    heads = options.heads if options.heads is not None else list(range(capture["kvHeadCount"]))
    evicted = default_evicted_bytes() if options.evict is None else options.evict << 20
    memory = np.zeros(max(8, evicted // 8), np.uint64)

    def evict():
        memory[::8] += np.uint64(1)

    samples = {kind: [Samples() for _ in settings(kind, options)] for kind in libraries.KINDS}
    for number, (layer, head) in enumerate([(layer, head) for layer in layers for head in heads]):
        vectors = Head(options.capture, capture, layer, head, options)
        for kind in libraries.KINDS:
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
            "simd": libraries.VERSION,
            "evictedBytes": evicted,
            "interrupted": False,
        },
        "points": [
            summary(kind.name, point, into)
            for kind in libraries.KINDS
            for point, into in zip(settings(kind, options), samples[kind])
        ],
    }
    text = json.dumps(report, indent=2) + "\n"
    if options.output:
        options.output.write_text(text)
    else:
        sys.stdout.write(text)


if __name__ == "__main__":
    enter_environment()
    # Only in there are they installed.
    import numpy as np

    import libraries

    main()

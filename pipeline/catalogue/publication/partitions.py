"""The HATS catalogue of an edition: only partitions whose galaxies have changed are written."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from pipeline.catalogue.export.answers import ExportedRows
from pipeline.catalogue.export.hats import (
    UNPLACED,
    partition_schema,
    table_properties,
    with_index,
    write_partition,
)
from pipeline.catalogue.export.partitions import COUNTING_ORDER, Spill, partition
from pipeline.catalogue.publication.census import Census, pixel_range
from pipeline.catalogue.publication.editions import Edition
from pipeline.catalogue.region import healpix_pixels, positions
from pipeline.catalogue.snapshot import Progress
from pipeline.digest import digest
from pipeline.errors import RunError

if TYPE_CHECKING:
    from hats.pixel_math import HealpixPixel

FOLDER = "hats"


def publish_partitions(
    source: ExportedRows, census: Census, edition: Edition, most_rows: int, progress: Progress
) -> list[str]:
    """Write the partitions that the edition before doesn't have, and those galaxies that have no position.

    Parameters
    ----------
    most_rows
        Rows of a partition at most.

    Returns
    -------
    list of str
        Paths of all partitions in the edition, in the order of the sky.

    Raises
    ------
    InputError
        If too many galaxies lie in one place.
    """
    schema = partition_schema(source)
    columns = digest(str(schema.to_string(show_schema_metadata=True, truncate_metadata=False)))
    pixels = partition(census.counts, most_rows)
    names = [_name(pixel) for pixel in pixels]
    keys = [digest(columns, *census.of_pixel(pixel.order, pixel.pixel)) for pixel in pixels]
    missing = [
        i for i, (name, key) in enumerate(zip(names, keys, strict=True)) if not edition.take(name, key)
    ]
    unplaced = f"{FOLDER}/{UNPLACED}"
    unplaced_key = digest(columns, census.unplaced, census.unplaced_digest)
    lacks_unplaced = bool(census.unplaced) and not edition.take(unplaced, unplaced_key)
    if missing or lacks_unplaced:
        with tempfile.TemporaryDirectory() as temporary:
            wanted = [pixels[i] for i in missing]
            spill = Spill(Path(temporary) / "rows.arrow", schema, wanted, schema.names[0])
            beside = Path(temporary) / UNPLACED
            _gather(source, spill, _mask(wanted), beside, progress)
            for i, rows in zip(missing, spill.read(), strict=True):
                if len(rows) != census.of_pixel(pixels[i].order, pixels[i].pixel)[0]:
                    raise RunError(f"{names[i]} would have {len(rows):,} rows; run the same command again")
                with edition.make(names[i], keys[i]) as stream:
                    write_partition(rows, stream)
            if lacks_unplaced:
                edition.put(unplaced, beside.read_bytes(), unplaced_key)
    _write_metadata(source, census.placed, edition, pixels, names, most_rows)
    return names


def _name(pixel: HealpixPixel) -> str:
    from hats.io.paths import new_pixel_catalog_file

    return str(new_pixel_catalog_file(FOLDER, pixel).path)


def _mask(pixels: Sequence[HealpixPixel]) -> NDArray[np.bool_]:
    """Which pixels of the counting order lie in some."""
    mask = np.zeros(12 * 4**COUNTING_ORDER, np.bool_)
    for pixel in pixels:
        mask[pixel_range(pixel.order, pixel.pixel, COUNTING_ORDER)] = True
    return mask


def _gather(
    source: ExportedRows, spill: Spill, wanted: NDArray[np.bool_], beside: Path, progress: Progress
) -> None:
    """The rows of the partitions to be written, and in a file of their own those without a position."""
    with pq.ParquetWriter(beside, source.schema, compression="zstd") as rest:
        for batch in source.batches(progress=progress):
            ra, dec, placed = positions(batch)
            keep = ~placed
            keep[placed] = wanted[healpix_pixels(ra[placed], dec[placed], COUNTING_ORDER)]
            rows, others = with_index(batch.filter(pa.array(keep)), spill.schema)
            spill.add(rows)
            if len(others):
                rest.write_batch(others)


def _footer(edition: Edition, name: str) -> pq.FileMetaData:
    with edition.open(name) as stream:
        footer = pq.read_metadata(stream)
    footer.set_file_path(name.removeprefix(f"{FOLDER}/dataset/"))
    return footer


def _write_metadata(
    source: ExportedRows,
    placed: int,
    edition: Edition,
    pixels: Sequence[HealpixPixel],
    names: Sequence[str],
    most_rows: int,
) -> None:
    from hats.catalog import PartitionInfo
    from hats.io import file_io, paths

    size = sum(edition.files[name].size for name in names)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        PartitionInfo.from_healpix(list(pixels)).write_to_file(catalog_path=folder)
        paths.dataset_directory(folder).mkdir()
        schema, footers = partition_schema(source), [_footer(edition, name) for name in names]
        if sum(footer.num_rows for footer in footers) != placed:
            raise RunError(f"the partitions don't hold {placed:,} rows; remove {edition.uri} and run again")
        file_io.write_parquet_metadata(schema, paths.get_common_metadata_pointer(folder))
        file_io.write_parquet_metadata(
            schema,
            paths.get_parquet_metadata_pointer(folder),
            metadata_collector=footers,
            write_statistics=True,
        )
        table_properties(
            source, folder, FOLDER, placed, most_rows, hats_estsize=size // 1024
        ).to_properties_file(folder)
        for file in sorted(path for path in folder.rglob("*") if path.is_file()):
            edition.put(f"{FOLDER}/{file.relative_to(folder).as_posix()}", file.read_bytes())

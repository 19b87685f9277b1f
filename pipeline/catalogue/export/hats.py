"""A HATS catalogue, partitioned by HEALPix, as LSDB reads and crossmatches it."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import IO, TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from pipeline import storage
from pipeline.catalogue.export.answers import ExportedRows
from pipeline.catalogue.export.partitions import COUNTING_ORDER, Spill, partition
from pipeline.catalogue.export.provenance import SOFTWARE, TITLE, by_name
from pipeline.catalogue.export.votable import parquet_metadata
from pipeline.catalogue.region import healpix_pixels, positions
from pipeline.catalogue.snapshot import Progress
from pipeline.errors import InputError, RunError

if TYPE_CHECKING:
    from hats.catalog import TableProperties
    from hats.pixel_math import HealpixPixel

PARTITION_ROWS = 250_000
"""Rows of a partition at most: some 60 MB on disk, 150 MB in memory."""

UNPLACED = "without_position.parquet"
"""File in the catalogue's folder for galaxies that have no place in it."""

INDEX_ORDER = 29
INDEX = pa.field(
    "_healpix_29",
    pa.int64(),
    nullable=False,
    metadata={"description": "HEALPix pixel of order 29, nested", "ucd": "pos.healpix"},
)


def write_hats(source: ExportedRows, out: str, progress: Progress, partition_rows: int) -> list[str]:
    """Every column and ``_healpix_29``, as a folder of Parquet files, one a partition.

    Where the rows come from is in the properties alone, so that a partition whose rows stay is the same file.
    Positions are counted first, then rows are gathered by partition in a temporary file. Galaxies without a
    position go to a file beside the partitions, `UNPLACED`.

    Parameters
    ----------
    partition_rows
        Rows of a partition at most.

    Returns
    -------
    list of str
        What its reader has to know: that some galaxies have no position.

    Raises
    ------
    InputError
        If the package hats is not there, no galaxy has a position, or too many lie in one place.
    """
    check_installed()
    counts = _count_positions(source)
    placed = int(counts.sum())
    if source.rows and not placed:
        raise InputError(
            f"none of the {source.rows:,} galaxies has a position, which HATS is ordered by; use another "
            "--format, or give positions= to ingest and classify again"
        )
    pixels = partition(counts, partition_rows)
    schema = partition_schema(source)
    with storage.new_folder(out, last=("hats.properties", "properties")) as folder:
        spilled = folder / "rows.arrow"
        spill = Spill(spilled, schema, pixels, INDEX.name)
        _gather(source, spill, folder / UNPLACED)
        progress(source.all_rows - placed)
        _write_partitions(folder, spill, pixels, progress)
        spilled.unlink()
        _write_metadata(folder, storage.name(out), source, schema, pixels, placed, partition_rows)
    if placed == source.rows:
        return []
    where = storage.join(out, UNPLACED)
    return [
        f"{source.rows - placed:,} galaxies have no position, so that HATS has no place for them: they are "
        f"in {where}"
    ]


def check_installed() -> None:
    """Make sure that the package hats is there.

    Raises
    ------
    InputError
        If it isn't.
    """
    try:
        import hats  # noqa: F401
    except ImportError as error:
        raise InputError("--format hats needs the package hats: pip install 'tuningfork[hats]'") from error


def _count_positions(source: ExportedRows) -> NDArray[np.int64]:
    counts = np.zeros(12 * 4**COUNTING_ORDER, np.int64)
    for batch in source.batches(["ra", "dec"]):
        ra, dec, placed = positions(batch)
        np.add.at(counts, healpix_pixels(ra[placed], dec[placed], COUNTING_ORDER), 1)
    return counts


def partition_schema(source: ExportedRows) -> pa.Schema:
    """Columns of a partition: its rows' pixels of order 29, and those of the export."""
    fields = pa.schema([INDEX, *source.schema])
    return fields.with_metadata(parquet_metadata(fields))


def with_index(batch: pa.RecordBatch, schema: pa.Schema) -> tuple[pa.RecordBatch, pa.RecordBatch]:
    """The rows that have a position, as rows of a partition, and those that have none."""
    ra, dec, placed = positions(batch)
    index = pa.array(healpix_pixels(ra[placed], dec[placed], INDEX_ORDER))
    rows = batch.filter(pa.array(placed))
    return (
        pa.RecordBatch.from_arrays([index, *rows.columns], schema=schema),
        batch.filter(pa.array(~placed)),
    )


def write_partition(rows: pa.Table, target: str | IO[bytes]) -> None:
    """A partition, by place and then by identifier, so that the same rows make the same file."""
    from hats.io.file_io import get_parquet_write_table_kwargs

    order = [(INDEX.name, "ascending"), ("object_id", "ascending")]
    pq.write_table(rows.sort_by(order), target, **get_parquet_write_table_kwargs(rows.schema))


def _gather(source: ExportedRows, spill: Spill, unplaced: Path) -> None:
    """Rows with a position to the spill file, those without to a file of their own."""
    with contextlib.ExitStack() as stack:
        rest: pq.ParquetWriter | None = None
        for batch in source.batches():
            placed, others = with_index(batch, spill.schema)
            if len(others):
                rest = rest or stack.enter_context(
                    pq.ParquetWriter(unplaced, batch.schema, compression="zstd")
                )
                rest.write_batch(others)
            spill.add(placed)


def _write_partitions(folder: Path, spill: Spill, pixels: list[HealpixPixel], progress: Progress) -> None:
    from hats.io.paths import new_pixel_catalog_file

    for pixel, rows in zip(pixels, spill.read(), strict=True):
        write_partition(rows, new_pixel_catalog_file(folder, pixel).path)
        progress(len(rows))


def _write_metadata(
    folder: Path,
    name: str,
    source: ExportedRows,
    schema: pa.Schema,
    pixels: list[HealpixPixel],
    rows: int,
    most_rows: int,
) -> None:
    from hats.catalog import PartitionInfo
    from hats.io import file_io, paths
    from hats.io.parquet_metadata import write_parquet_metadata

    PartitionInfo.from_healpix(pixels).write_to_file(catalog_path=folder)
    if pixels:
        written = write_parquet_metadata(folder)
        if written != rows:
            raise RunError(f"{written:,} rows were written of {rows:,}; run the same command again")
    else:
        paths.dataset_directory(folder).mkdir()
        file_io.write_parquet_metadata(schema, paths.get_common_metadata_pointer(folder))
    table_properties(source, folder, name, rows, most_rows).to_properties_file(folder)


def table_properties(
    source: ExportedRows, folder: Path, name: str, rows: int, most_rows: int, **others: str | int
) -> TableProperties:
    """What a HATS catalogue says of itself.

    Parameters
    ----------
    rows
        Galaxies in its partitions.
    most_rows
        Galaxies that one of them may have.
    others
        What is said in place of what would be.
    """
    from hats.catalog import TableProperties

    return TableProperties(
        catalog_name=name,
        catalog_type="object",
        total_rows=rows,
        ra_column="ra",
        dec_column="dec",
        healpix_column=INDEX.name,
        healpix_order=INDEX_ORDER,
        hats_max_rows=most_rows,
        **(TableProperties.new_provenance_dict(folder, builder=SOFTWARE) | _properties(source) | others),
    )


def _properties(source: ExportedRows) -> dict[str, str]:
    """Where the rows come from, as HATS and HiPS catalogues name it."""
    names = {"creator": "hats_creator", "rights": "obs_copyright", "article": "bib_reference"}
    origin = by_name(source.origin)
    return {
        "obs_title": TITLE,
        "obs_description": f"Answers to the questions of the decision tree {source.tree.name}",
        **{names.get(name, f"tuningfork_{name}"): value for name, value in origin.items()},
    }

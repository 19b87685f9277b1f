"""A catalogue's clumps as a table of their own: one row a clump, in every form that catalogues have."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline import storage
from pipeline.catalogue.clumps import CLUMP_COUNT, CLUMPS, CRITERIA, unpack_clumps
from pipeline.catalogue.export import Exported, Format, write_rows
from pipeline.catalogue.export.answers import ExportedRows
from pipeline.catalogue.snapshot import Progress, Snapshot, silent
from pipeline.errors import InputError
from pipeline.tree import DecisionTree

_KEPT = ("object_id", "ra", "dec", "run")
"""Columns of the catalogue that a clump's row follows from, or repeats."""


def _field(name: str, kind: pa.DataType, description: str, ucd: str, unit: str = "") -> pa.Field:
    about = {"description": description, "ucd": ucd} | ({"unit": unit} if unit else {})
    return pa.field(name, kind, metadata=about)


CLUMP_SCHEMA = pa.schema(
    [
        _field(
            "object_id", pa.string(), "The clump: its galaxy's identifier and a number", "meta.id;meta.main"
        ),
        _field("galaxy_id", pa.string(), "Identifier of the galaxy", "meta.id.parent"),
        _field("ra", pa.float64(), "Right ascension of the clump", "pos.eq.ra;meta.main", "deg"),
        _field("dec", pa.float64(), "Declination of the clump", "pos.eq.dec;meta.main", "deg"),
        _field("galaxy_ra", pa.float64(), "Right ascension of the galaxy", "pos.eq.ra", "deg"),
        _field("galaxy_dec", pa.float64(), "Declination of the galaxy", "pos.eq.dec", "deg"),
        _field(
            "x",
            pa.float32(),
            "Column of the picture; 0 is the middle of the first",
            "pos.cartesian.x",
            "pixel",
        ),
        _field("y", pa.float32(), "Row of the picture, downwards", "pos.cartesian.y", "pixel"),
        _field("width", pa.float32(), "Width of the clump's box", "phys.angSize", "pixel"),
        _field("probability", pa.float32(), "Probability that it is a clump", "stat.probability"),
        *(
            _field(
                f"flux_ratio_{band}",
                pa.float32(),
                f"Flux of the clump over the galaxy's in the picture's {band}",
                "phot.flux;arith.ratio",
            )
            for band in ("red", "green", "blue")
        ),
        *(
            _field(name, pa.int64(), f"1 if flux_ratio_blue is at least {least:.0%}, else 0", "meta.code")
            for name, least in CRITERIA.items()
        ),
        _field("run", pa.string(), "Run that wrote the row", "meta.id;meta.dataset"),
    ]
)
"""Columns of a table of clumps."""


class ClumpRows(ExportedRows):
    """The clumps of a snapshot's galaxies, with `CLUMP_SCHEMA`; of galaxies that are gone there are none."""

    each = "clump"

    @cached_property
    def rows(self) -> int:
        """How many clumps there are."""
        return sum(len(batch) for batch in self.batches(["object_id"]))

    @property
    def all_rows(self) -> int:
        """The same."""
        return self.rows

    @cached_property
    def schema(self) -> pa.Schema:
        """`CLUMP_SCHEMA`."""
        return CLUMP_SCHEMA

    def batches(
        self, columns: Sequence[str] | None = None, progress: Progress = silent
    ) -> Iterator[pa.RecordBatch]:
        """The clumps, those of some hundreds of galaxies at a time."""
        names = CLUMP_SCHEMA.names if columns is None else list(columns)
        schema = pa.schema([CLUMP_SCHEMA.field(name) for name in names])
        for batch in self.snapshot.batches([*_KEPT, "stale", CLUMPS], progress):
            current = batch.filter(batch["stale"].is_null())
            made = clump_columns(current)
            if made:
                arrays = [made[name].cast(schema.field(name).type) for name in names]
                yield pa.RecordBatch.from_arrays(arrays, schema=schema)


def clump_columns(galaxies: pa.RecordBatch) -> dict[str, pa.Array]:
    """The columns of `CLUMP_SCHEMA` for the clumps of some rows of a catalogue; empty if they have none."""
    clumps = unpack_clumps(galaxies[CLUMPS].to_pylist())
    counts = np.array([len(one) for one in clumps], np.int64)
    if not counts.sum():
        return {}
    every = np.concatenate(clumps)
    owner = pa.array(np.repeat(np.arange(len(clumps)), counts))
    known = {name: galaxies[name].take(owner) for name in _KEPT}
    numbers = np.concatenate([np.arange(1, count + 1) for count in counts])
    ids = [f"{name}#{number}" for name, number in zip(known["object_id"].to_pylist(), numbers, strict=True)]
    measured = {name: _nullable(every[name]) for name in every.dtype.names or ()}
    blue = every["flux_ratio_blue"]
    criteria = {name: pa.array((blue >= least).astype(np.int64)) for name, least in CRITERIA.items()}
    return {
        **measured,
        **criteria,
        "object_id": pa.array(ids, pa.string()),
        "galaxy_id": known["object_id"],
        "galaxy_ra": known["ra"],
        "galaxy_dec": known["dec"],
        "run": known["run"],
    }


def _nullable(values: NDArray[np.floating]) -> pa.Array:
    """An array in which NaN is null."""
    return pa.array(np.ascontiguousarray(values), from_pandas=True)


def clump_rows(snapshot: Snapshot, tree: DecisionTree) -> ClumpRows:
    """The clumps of a snapshot.

    Raises
    ------
    InputError
        If its catalogue has none of its galaxies' clumps.
    """
    if CLUMP_COUNT not in snapshot.schema.names:
        raise InputError(
            "the catalogue doesn't say which clumps its galaxies have; make it with `tuningfork detect`, or "
            "refresh it with clumps=true"
        )
    return ClumpRows(snapshot, tree)


def export_clumps(
    snapshot: Snapshot, out: str, tree: DecisionTree, form: Format, progress: Progress = silent
) -> Exported:
    """Write the clumps of a snapshot, one row a clump, as `export_snapshot` writes its galaxies.

    Raises
    ------
    InputError
        As `clump_rows`; if `out` exists, or the format is ``kaggle``, which has no clumps.
    """
    if form == "kaggle":
        raise InputError("format is kaggle, which has no clumps; use csv, parquet, fits, votable or hats")
    if storage.exists(out):
        raise InputError(f"{out} exists already; name a new one or remove it first")
    rows = clump_rows(snapshot, tree)
    notes = write_rows(rows, out, form, progress)
    return Exported(rows.rows, tuple(notes))

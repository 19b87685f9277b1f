"""The cutouts that a catalogue's rows were read from."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator

import pyarrow as pa
from pydantic import ValidationError

from pipeline import storage
from pipeline.console import say
from pipeline.cutouts import CUTOUT_SCHEMA
from pipeline.cutouts.place import Place
from pipeline.errors import InputError, StorageTrouble
from pipeline.protocol import Plan, RunLayout
from pipeline.protocol.records import read_plans
from pipeline.streaming.reading import Reader, open_inventory
from pipeline.streaming.viewing import Viewer
from pipeline.survey import Inventory, load_survey

_AT_ONCE = 256


def read_cutouts(places: Iterable[str], source: Callable[[str], Inventory]) -> pa.Table:
    """Read cutouts where the catalogue says that they were.

    Parameters
    ----------
    places
        Values of the catalogue's column ``input``, ``<shard>#<row>``.
    source
        What reads a shard, by the shard's URI.

    Returns
    -------
    pyarrow.Table
        Of `CUTOUT_SCHEMA`, shard by shard; those left out whose picture can't be decoded, which a child
        process tries first: see `Viewer`.

    Raises
    ------
    InputError
        If a shard is gone, can't be read or hasn't the row.
    """
    tables = [CUTOUT_SCHEMA.empty_table()]
    with Viewer() as viewer:
        for shard, rows in _by_shard(places).items():
            tables.append(viewer.view(source(shard), shard, rows))
    return pa.concat_tables(tables)


def readable_cutouts(places: Iterable[str], source: Callable[[str], Inventory]) -> pa.Table:
    """The cutouts that can still be read; says which can't, for a catalogue outlives its source."""
    return pa.concat_tables([CUTOUT_SCHEMA.empty_table(), *readable_batches(places, source)])


def readable_batches(places: Iterable[str], source: Callable[[str], Inventory]) -> Iterator[pa.Table]:
    """The same, some hundreds of a shard at a time."""
    with Viewer() as viewer:
        for shard, rows in _by_shard(places).items():
            try:
                for start in range(0, len(rows), _AT_ONCE):
                    yield viewer.view(source(shard), shard, rows[start : start + _AT_ONCE])
            except (InputError, StorageTrouble) as error:
                say(f"No pictures of {len(rows):,} galaxies of {shard}: {error}")


def _by_shard(places: Iterable[str]) -> dict[str, list[int]]:
    """Rows of each shard, ascending."""
    rows = defaultdict(list)
    for place in places:
        shard, row = Place.parse(place)
        rows[shard].append(row)
    return {shard: sorted(inside) for shard, inside in rows.items()}


def reader_of(catalogue: str) -> Callable[[str], Inventory]:
    """What reads an input shard of a catalogue, the folder ``catalogue`` of an output, by the shard's URI."""
    return reader_of_output(storage.absolute(catalogue).rstrip("/").rpartition("/")[0])


def reader_of_output(output: str) -> Callable[[str], Inventory]:
    """What reads an input shard of an output, by the shard's URI: as its run's survey file says, if any."""
    reader = Reader()
    sources: dict[str, Inventory] = {}
    for plan in plans_of(output):
        place = RunLayout(output, plan.run).survey
        if storage.exists(place):
            source = open_inventory(load_survey(place), reader, output)
            sources |= dict.fromkeys((shard.uri for shard in plan.shards), source)
    plain = open_inventory(reader=reader)
    return lambda shard: sources.get(shard, plain)


def plans_of(output: str) -> list[Plan]:
    """The plans of an output; none where one is torn, which is a finding of its own."""
    try:
        return read_plans(output)
    except InputError as error:
        if isinstance(error.__cause__, ValidationError):
            return []
        raise

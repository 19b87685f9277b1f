"""HDF5 files with the fluxes of all galaxies as one array, (galaxies, bands, height, width)."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import h5py
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline import storage
from pipeline.cutouts.contents import contents_of
from pipeline.cutouts.reading import (
    DamagedShard,
    Footer,
    ReadFooter,
    SalvagedRows,
    ShardInfo,
    check_range,
    opened,
)
from pipeline.cutouts.table import CUTOUT_SCHEMA, SIZE
from pipeline.errors import InputError
from pipeline.images import BandImages, mask_bits
from pipeline.survey.formats.suffixes import SUFFIXES, ending
from pipeline.survey.settings import SurveySettings
from pipeline.survey.source import pieces

_BLOCK = 1 << 20
"""Least that is fetched at a time: HDF5 asks for its own bookkeeping in small pieces all over the file."""


@dataclass(frozen=True)
class Hdf5Source:
    """A survey in HDF5 files, one array of fluxes a file (see `pipeline.survey.source.Source`)."""

    survey: SurveySettings

    def list_shards(self, uri: str, read_footer: ReadFooter | None = None) -> list[ShardInfo]:
        """The HDF5 files below a URI, in order; each one's datasets are checked, and no values read."""
        read = read_footer or self.read_footer
        files = [file for file in storage.list_files(uri) if ending(file.uri, SUFFIXES["hdf5"])]
        if not files:
            what = "holds no HDF5 file" if storage.exists(uri) else "doesn't exist"
            raise InputError(f"{uri} {what}; expected files that end in {', '.join(SUFFIXES['hdf5'])}")

        def info(file: storage.FileInfo) -> ShardInfo:
            return ShardInfo(file.uri, file.size, file.etag, read(file.uri).rows)

        return list(storage.read_ahead(info, files))

    def read_footer(self, shard: str) -> Footer:
        """How many galaxies a file holds, once its datasets are checked."""
        with self._opened(shard) as datasets:
            return Footer(len(datasets["flux"]))

    def describe(self, shard: str) -> storage.FileInfo:
        """Size and etag of a file as it is now."""
        return storage.file_info(shard)

    def read_ids(self, shard: str) -> pa.ChunkedArray:
        """The object ids of a file; no other dataset is read."""
        with self._opened(shard) as datasets:
            ids = _texts(datasets["object_id"][:])
        return pa.chunked_array([pa.array(ids, pa.string())])

    def group_ranges(self, shard: str, start: int, stop: int) -> list[tuple[int, int]]:
        """Rows [start, stop) in pieces of some rows each, since the file has no groups of its own."""
        return pieces(start, stop)

    def read_contents(self, shard: str, start: int, stop: int) -> pa.Table:
        """Ids and digests of rows [start, stop), which are read whole for it."""
        return contents_of(self.read_rows(shard, start, stop))

    def read_rows(self, shard: str, start: int, stop: int) -> SalvagedRows:
        """Read the bands in use of rows [start, stop); where bytes are damaged, row by row."""
        try:
            return self._read(shard, start, stop)
        except DamagedShard as damage:
            if stop - start > 1:
                each = [self.read_rows(shard, row, row + 1) for row in range(start, stop)]
                problems = {row: one.problems[0] for row, one in enumerate(each) if one.problems}
                images = [image for one in each for image in one.images or ()]
                return SalvagedRows(pa.concat_tables([one.table for one in each]), problems, images)
            table = pa.Table.from_pylist([{}] * (stop - start), schema=self._schema)
            problem = ("unreadable_rows", f"row {start} lies in a damaged chunk: {damage}")
            return SalvagedRows(table, dict.fromkeys(range(stop - start), problem), [None] * (stop - start))

    def open_image(self, image: Any, sky: bool) -> NDArray[np.uint8] | BandImages:
        """A galaxy's images by band, from its fluxes and masks, (bands, height, width) each."""
        flux, masks = image
        names = self._bands
        bad: dict[str, NDArray[np.bool_]] = {}
        if masks is not None and self.survey.mask is not None:
            bits = [plane for plane in self.survey.mask.planes if isinstance(plane, int)]
            good = self.survey.mask.marks == "good"
            bad = {name: mask_bits(mask, bits, good) for name, mask in zip(names, masks, strict=True)}
        return BandImages(dict(zip(names, flux, strict=True)), bad)

    def save_index(self, folder: str, shards: Iterable[str] | None = None) -> None:
        """Write nothing: HDF5 has an index of its own."""

    @property
    def _schema(self) -> pa.Schema:
        scaled = self.survey.frame is not None and self.survey.frame.column is not None
        return CUTOUT_SCHEMA.append(pa.field(SIZE, pa.float64())) if scaled else CUTOUT_SCHEMA

    @property
    def _bands(self) -> list[str]:
        """The bands that are read, in the array's order."""
        return [band for band in self.survey.planes if band in self.survey.bands]

    def _read(self, shard: str, start: int, stop: int) -> SalvagedRows:
        planes = [self.survey.planes.index(band) for band in self._bands]
        with self._opened(shard) as datasets:
            check_range(shard, len(datasets["flux"]), start, stop)
            flux = datasets["flux"][start:stop, planes].astype(np.float32)
            masks: Any = [None] * (stop - start)
            if "mask" in datasets:
                mask = datasets["mask"]
                masks = mask[start:stop, planes] if mask.ndim == 4 else _repeated(mask[start:stop], planes)
            ids = _texts(datasets["object_id"][start:stop])
            columns = {
                name: np.asarray(datasets[name][start:stop], np.float64)
                for name in ("ra", "dec", SIZE)
                if name in datasets
            }
        arrays = [
            pa.array(ids, pa.string())
            if field.name == "object_id"
            else pa.array(columns[field.name], pa.float64())
            if field.name in columns
            else pa.nulls(stop - start, field.type)
            for field in self._schema
        ]
        return SalvagedRows(
            pa.Table.from_arrays(arrays, schema=self._schema), {}, list(zip(flux, masks, strict=True))
        )

    @contextlib.contextmanager
    def _opened(self, uri: str) -> Iterator[dict[str, h5py.Dataset]]:
        """Open a file and give its datasets, by what they hold: ``flux``, ``object_id``, …."""
        with (
            opened(uri, "HDF5", _DAMAGE, **_CACHE) as stream,
            h5py.File(stream, "r") as file,
        ):
            yield self._datasets(file, uri)

    def _datasets(self, file: h5py.File, uri: str) -> dict[str, h5py.Dataset]:
        survey, columns = self.survey, self.survey.columns
        expected = {
            "flux": (columns.flux, True),
            "object_id": (columns.object_id or "object_id", True),
            "ra": (columns.ra or "ra", columns.ra is not None),
            "dec": (columns.dec or "dec", columns.dec is not None),
        }
        if survey.mask is not None:
            expected["mask"] = (str(survey.mask.name), True)
        if survey.frame is not None and survey.frame.column is not None:
            expected[SIZE] = (survey.frame.column, True)
        datasets = {}
        for what, (name, required) in expected.items():
            dataset = _own_dataset(file, name, uri)
            if dataset is not None:
                datasets[what] = dataset
            elif required:
                raise InputError(
                    f"{uri} has no dataset {name!r} (it has {', '.join(file) or 'none'}); name the survey's "
                    "own in the survey file (columns.flux, columns.object_id, …)"
                )
        _check_shapes(datasets, survey, uri)
        return datasets


_CACHE = {"cache_type": "blockcache", "block_size": _BLOCK}
_DAMAGE = (OSError, KeyError, TypeError, ValueError, RuntimeError)
_MOST_LINKS = 16
"""Soft links that HDF5 follows one after the other."""


def _own_dataset(file: h5py.File, name: str, uri: str) -> h5py.Dataset | None:
    """A dataset whose values lie in the file itself; None if no dataset is called so.

    Of one that refers to other files HDF5 would read whatever lies there on this machine, or crash.
    """
    link = _way_out(file, name)
    dataset = None if link else file.get(name)
    if link:
        elsewhere = f"is a link into another file, {link.filename!r}"
    elif not isinstance(dataset, h5py.Dataset):
        return None
    elif dataset.is_virtual:
        elsewhere = "is virtual: its values lie in other datasets"
    elif dataset.external:
        elsewhere = f"is external: its values lie in another file, {dataset.external[0][0]!r}"
    else:
        return dataset
    raise InputError(
        f"{uri}: dataset {name!r} {elsewhere}; expected values in the file itself: copy them into it as a "
        "plain dataset (h5py: new[name] = old[name][:])"
    )


def _way_out(group: h5py.Group, path: str, links: int = _MOST_LINKS) -> h5py.ExternalLink | None:
    """The link by which a path leaves the file; None if it doesn't, or leads nowhere."""
    here = group.file if path.startswith("/") else group
    for part in path.split("/"):
        if part in ("", "."):
            continue
        link = here.get(part, getlink=True)
        if isinstance(link, h5py.ExternalLink):
            return link
        if isinstance(link, h5py.SoftLink) and links:
            outside = _way_out(here, link.path, links - 1)
            if outside is not None:
                return outside
        here = here.get(part)
        if not isinstance(here, h5py.Group):
            return None
    return None


def _check_shapes(datasets: dict[str, h5py.Dataset], survey: SurveySettings, uri: str) -> None:
    shape = datasets["flux"].shape
    if len(shape) != 4 or datasets["flux"].dtype.kind not in "fiu":
        raise InputError(
            f"{uri}: dataset {survey.columns.flux!r} has the shape {shape} of {datasets['flux'].dtype}; "
            "expected numbers, galaxies × bands × height × width"
        )
    if shape[1] != len(survey.planes):
        raise InputError(
            f"{uri}: dataset {survey.columns.flux!r} has {shape[1]} bands (shape {shape}) and `planes` in "
            f"the survey file names {len(survey.planes)} ({', '.join(survey.planes) or 'none'})"
        )
    for what, dataset in datasets.items():
        expected = [shape, (shape[0], *shape[2:])] if what == "mask" else [shape[:1]]
        if what != "flux" and dataset.shape not in expected:
            raise InputError(
                f"{uri}: dataset {dataset.name.lstrip('/')!r} has the shape {dataset.shape}; expected "
                f"{' or '.join(map(str, expected))}, as {survey.columns.flux!r} has {shape}"
            )


def _repeated(mask: NDArray[Any], planes: list[int]) -> list[list[NDArray[Any]]]:
    """One mask for all bands of a galaxy."""
    return [[one] * len(planes) for one in mask]


def _texts(ids: NDArray[Any]) -> list[str | None]:
    """Ids as strings; bytes that are not UTF-8 are null, since they name nothing."""
    texts: list[str | None] = []
    for value in ids.tolist():
        try:
            texts.append(value.decode() if isinstance(value, bytes) else str(value))
        except UnicodeDecodeError:
            texts.append(None)
    return texts

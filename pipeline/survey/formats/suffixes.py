"""By what names of files a format is known."""

from __future__ import annotations

from pipeline.cutouts.shards import SUFFIX
from pipeline.images.decode import PICTURE_SUFFIXES
from pipeline.survey.settings import Format

SUFFIXES: dict[Format, tuple[str, ...]] = {
    "parquet": (SUFFIX,),
    "webdataset": (".tar",),
    "hdf5": (".h5", ".hdf5", ".hdf"),
    "fits": (".fits", ".fit", ".fts", ".fits.gz", ".fits.bz2", ".fits.fz"),
    "images": PICTURE_SUFFIXES,
}


def ending(name: str, suffixes: tuple[str, ...]) -> str | None:
    """The suffix that a name ends in, in either case, the longest if several do; None if none does."""
    matching = [suffix for suffix in suffixes if name.lower().endswith(suffix)]
    return max(matching, key=len) if matching else None

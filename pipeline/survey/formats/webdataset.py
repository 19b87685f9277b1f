"""WebDataset tars: a galaxy is an image and a JSON member of the same stem, one behind the other.

One pass over the headers, which also reads the small JSON members, makes an index of offsets; images are then
fetched by ranges.
"""

from __future__ import annotations

import json
import math
import tarfile
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Any

from pipeline import storage
from pipeline.cutouts.reading import DamagedShard, opened
from pipeline.errors import InputError
from pipeline.survey.formats.indexed import Galaxy, Part, ShardIndex, index_table
from pipeline.survey.formats.suffixes import SUFFIXES, ending
from pipeline.survey.settings import SurveySettings

_JSON = ".json"
_MOST_JSON = 1 << 20
_FITS = SUFFIXES["fits"]
_IMAGES = (*SUFFIXES["images"], *_FITS)

_WINDOW = 1 << 20
"""Bytes fetched at a time in the pass over headers: of a tar of small images, all; of large ones, few."""


def index_tars(uri: str, survey: SurveySettings) -> Iterator[ShardIndex]:
    """The shards below a folder: its tars.

    Raises
    ------
    InputError
        If there is none, or one isn't sound.
    """
    files = [file for file in storage.list_files(uri) if ending(file.uri, SUFFIXES["webdataset"])]
    if not files:
        what = "holds no .tar file" if storage.exists(uri) else "doesn't exist"
        raise InputError(f"{uri} {what}; expected WebDataset shards, not compressed as a whole")

    def index(file: storage.FileInfo) -> ShardIndex:
        return ShardIndex(file.uri, file.size, file.etag, index_table(read_galaxies(file.uri, survey)))

    yield from storage.read_ahead(index, files)


@dataclass
class _Sample:
    """Members with one stem, as far as they are read."""

    stem: str
    images: dict[str | None, Part] = field(default_factory=dict)
    facts: bytes | None = None
    complaint: str | None = None


def read_galaxies(uri: str, survey: SurveySettings) -> Iterator[Galaxy]:
    """The galaxies of one tar, in order; images are passed over.

    Raises
    ------
    InputError
        If the tar is gone, is compressed, or is cut short or damaged.
    """
    bands = () if survey.color is None else survey.bands
    with opened(
        uri, "tar", (tarfile.TarError, EOFError), cache_type="readahead", block_size=_WINDOW
    ) as stream:
        try:
            with tarfile.open(fileobj=stream, mode="r:") as tar:
                yield from (_galaxy(sample, survey) for sample in _samples(tar, bands))
                _check_end(uri, tar, stream)
        except tarfile.TarError as error:
            raise DamagedShard(
                f"{uri} is not a sound tar ({error}); expected one that is whole and not compressed: "
                "write it anew"
            ) from error


def _samples(tar: tarfile.TarFile, bands: Collection[str]) -> Iterator[_Sample]:
    sample: _Sample | None = None
    for member in tar:
        base = storage.name(member.name)
        suffix = ending(base, (_JSON, *_IMAGES))
        if member.isdir() or suffix is None or base.startswith("."):
            continue
        stem, band = _stem_and_band(member.name[: -len(suffix)], suffix, bands)
        twice = sample is not None and (
            sample.facts is not None if suffix == _JSON else band in sample.images
        )
        if sample is None or sample.stem != stem or twice:
            if sample is not None:
                yield sample
            sample = _Sample(stem)
        if not member.isreg() or member.issparse():
            sample.complaint = f"{member.name} is a link or has holes; expected a plain file"
        if suffix != _JSON:
            sample.images[band] = Part(band, None, member.offset_data, member.size)
        elif member.size > _MOST_JSON:
            sample.complaint = f"{member.name} has {member.size} bytes; at most {_MOST_JSON} are read"
        elif member.isreg():
            content = tar.extractfile(member)
            sample.facts = b"" if content is None else content.read()
    if sample is not None:
        yield sample


def _stem_and_band(stem: str, suffix: str, bands: Collection[str]) -> tuple[str, str | None]:
    """What is before a FITS member's suffix may end in its band: ``galaxy.r.fits``."""
    front, _, last = stem.rpartition(".")
    if suffix in _FITS and front and last in bands:
        return front, last
    return stem, None


def _check_end(uri: str, tar: tarfile.TarFile, stream: Any) -> None:
    """Check that nothing but zeros follows: tarfile takes a damaged header for the end."""
    stream.seek(tar.offset)
    block = stream.read(tarfile.BLOCKSIZE)
    if block.strip(b"\0") or 0 < len(block) < tarfile.BLOCKSIZE:
        raise DamagedShard(
            f"{uri} is not a sound tar: its header at byte {tar.offset} is damaged; write it anew"
        )


def _galaxy(sample: _Sample, survey: SurveySettings) -> Galaxy:
    columns = survey.columns
    name: str | None = storage.name(sample.stem)
    parts = tuple(sample.images.values())
    facts: dict[str, Any] = {}
    problem = (
        None if parts else ("empty", f"{sample.stem} has no image; expected one of {', '.join(_IMAGES)}")
    )
    try:
        facts = _facts(sample)
        name = _text(facts, columns.object_id, "object_id", name)
        ra, dec = _number(facts, columns.ra, "ra"), _number(facts, columns.dec, "dec")
        size = None
        if survey.frame is not None and survey.frame.column is not None:
            size = _number(facts, survey.frame.column, "")
    except ValueError as error:
        if columns.object_id is not None and columns.object_id not in facts:
            name = None  # the stem isn't the id that was asked for
        return Galaxy(name, parts, problem=problem or ("bad_metadata", f"{sample.stem}: {error}"))
    return Galaxy(name, parts, ra, dec, size, problem)


def _facts(sample: _Sample) -> dict[str, Any]:
    if sample.complaint is not None:
        raise ValueError(sample.complaint)
    if sample.facts is None:
        return {}
    try:
        facts = json.loads(sample.facts)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"not JSON ({error})") from error
    if not isinstance(facts, dict):
        raise ValueError(f"holds {type(facts).__name__}; expected an object")
    return facts


def _text(facts: dict[str, Any], key: str | None, usual: str, otherwise: str | None) -> str | None:
    if key is None and usual not in facts:
        return otherwise
    value = _value(facts, key or usual)
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise ValueError(f"{key or usual} is {value!r}; expected a text or an integer")
    text = str(value)
    text.encode()  # lone surrogates are no text
    return text


def _number(facts: dict[str, Any], key: str | None, usual: str) -> float | None:
    if key is None and usual not in facts:
        return None
    value = _value(facts, key or usual)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{key or usual} is {value!r}; expected a number")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    return number


def _value(facts: dict[str, Any], key: str) -> Any:
    if key not in facts:
        raise ValueError(f"there is no {key!r} (there are {', '.join(facts) or 'none'})")
    return facts[key]

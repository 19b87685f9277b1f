"""Galaxies that are files of their own: pictures, or FITS files with all bands or one each."""

from __future__ import annotations

import hashlib
import io
import itertools
import math
import re
from collections.abc import Iterable, Iterator
from typing import Any

import pandas as pd
from pandas.errors import ParserError

from pipeline import storage
from pipeline.cutouts import folder
from pipeline.errors import InputError
from pipeline.storage import FileInfo
from pipeline.survey.formats.indexed import Galaxy, Part, ShardIndex, index_table
from pipeline.survey.formats.suffixes import SUFFIXES, ending
from pipeline.survey.settings import SurveySettings

_GROUP = re.compile(r"#[0-9]+$")

Facts = dict[str, tuple[float | None, float | None, float | None]]
"""ra, dec and size by object id."""


def folder_of(shard: str) -> str:
    """The folder whose files a shard is a group of."""
    return _GROUP.sub("", shard)


def index_images(uri: str, survey: SurveySettings) -> Iterator[ShardIndex]:
    """The shards of a folder of JPEG and PNG files.

    Raises
    ------
    InputError
        If it can't be read or holds no image.
    """
    files = folder.list_images(uri)
    return _grouped(uri, ((folder.stem(file.uri), {None: file}) for file in files), survey)


def index_fits(uri: str, survey: SurveySettings) -> Iterator[ShardIndex]:
    """The shards of a folder of FITS files; a broken link is a row that can't be read, as among pictures.

    Raises
    ------
    InputError
        If it can't be read, or holds no FITS file or none with a name as the survey file gives it.
    """
    files = [
        file for file in storage.list_files(uri, broken_links=True) if ending(file.uri, SUFFIXES["fits"])
    ]
    if not files:
        what = "holds no FITS file" if storage.exists(uri) else "doesn't exist"
        raise InputError(f"{uri} {what}; expected files that end in {', '.join(SUFFIXES['fits'])}")
    return _grouped(uri, _galaxies_of(uri, files, survey), survey)


def _galaxies_of(
    uri: str, files: list[FileInfo], survey: SurveySettings
) -> Iterable[tuple[str, dict[str | None, FileInfo]]]:
    if survey.files is None:
        return ((_fits_stem(file.uri), {None: file}) for file in files)
    pattern = file_pattern(survey.files)
    galaxies: dict[tuple[str, str], dict[str | None, FileInfo]] = {}
    for file in files:
        match = pattern.fullmatch(storage.name(file.uri))
        if match is None:
            continue
        place, name = file.uri.rpartition("/")[0], match["object_id"]
        band = match.groupdict().get("band")
        if "{band}" in survey.files and band not in survey.bands:
            galaxies.setdefault((place, name), {})  # counts, though none of its bands be wanted
        else:
            galaxies.setdefault((place, name), {})[band] = file
    if not galaxies:
        raise InputError(
            f"{uri} has no file called as `files` in the survey file says, {survey.files!r}; it has "
            f"{storage.name(files[0].uri)!r}, for one"
        )
    return ((name, parts) for (_, name), parts in sorted(galaxies.items()))


def file_pattern(template: str) -> re.Pattern[str]:
    """The names that a template such as ``{object_id}-{band}.fits`` stands for."""
    parts = re.split(r"(\{object_id\}|\{band\})", template)
    groups = {"{object_id}": r"(?P<object_id>.+)", "{band}": r"(?P<band>[^-_.]+)"}
    return re.compile("".join(groups.get(part, re.escape(part)) for part in parts))


def _fits_stem(uri: str) -> str:
    name = storage.name(uri)
    return name[: -len(ending(name, SUFFIXES["fits"]) or "")]


def _grouped(
    uri: str, galaxies: Iterable[tuple[str, dict[str | None, FileInfo]]], survey: SurveySettings
) -> Iterator[ShardIndex]:
    """Groups of galaxies as shards, ``URI#0``, ``URI#1``, …, with what the survey's table has on them."""
    facts = None if survey.table is None else read_facts(survey.table, survey)
    remaining, matched, number = iter(galaxies), facts is None, 0
    first: dict[str, str] = {}
    while group := list(itertools.islice(remaining, survey.files_per_shard)):
        matched = matched or any(name in (facts or {}) for name, _ in group)
        table = index_table(_galaxy(name, files, facts, first) for name, files in group)
        files = [file for _, files in group for file in files.values()]
        etag = hashlib.sha256(folder.fingerprint(files).encode())
        for row in table.drop_columns(["parts"]).to_pylist():
            etag.update(repr(row).encode())
        size = sum(file.size for file in files)
        yield ShardIndex(f"{uri.rstrip('/')}#{number}", size, etag.hexdigest()[:32], table)
        number += 1
    if not matched:
        example = next(iter(facts or {}), "nothing")
        raise InputError(f"{survey.table} has none of the galaxies of {uri}; it has {example!r}, for one")


def _galaxy(
    name: str, files: dict[str | None, FileInfo], facts: Facts | None, first: dict[str, str]
) -> Galaxy:
    """A row of the index; `first` gathers which file gave each object_id first."""
    parts = tuple(Part(band, file.uri, None, file.size) for band, file in files.items())
    ra, dec, size = (facts or {}).get(name, (None, None, None))
    own = next((file.uri for file in files.values()), "a band that isn't asked for")
    earlier, problem = first.setdefault(name, own), None
    if name.strip() and earlier != own:
        problem = ("duplicate_object_id", f"{own} has the object_id {name!r} of {earlier}; that one counts")
    elif not parts:
        problem = ("missing_band", "there is a file of this galaxy, but of none of the bands of color.bands")
    return Galaxy(name, parts, ra, dec, size, problem)


def read_facts(uri: str, survey: SurveySettings) -> Facts:
    """Read the survey's table.

    Raises
    ------
    InputError
        If it can't be read, isn't CSV, lacks a column, or a value of one is no number.
    """
    data = storage.read_bytes(uri)
    columns = survey.columns
    names_of = {
        "object_id": (columns.object_id or "object_id", True),
        "ra": (columns.ra or "ra", columns.ra is not None),
        "dec": (columns.dec or "dec", columns.dec is not None),
    }
    if survey.frame is not None and survey.frame.column is not None:
        names_of["size"] = (survey.frame.column, True)
    try:
        table = pd.read_csv(io.BytesIO(data), dtype=str, skipinitialspace=True, encoding="utf-8-sig")
    except (ParserError, UnicodeDecodeError, ValueError) as error:
        raise InputError(f"{uri} is not a CSV file in UTF-8: {error}") from error
    series: dict[str, Any] = {}
    for key, (name, required) in names_of.items():
        if name in table.columns:
            series[key] = table[name]
        elif required:
            raise InputError(
                f"{uri} has no column {name!r} (it has {', '.join(map(str, table.columns)) or 'none'}); name "
                "the table's own columns in the survey file"
            )
    numbers = {}
    for key in ("ra", "dec", "size"):
        texts = series.get(key, pd.Series([None] * len(table), dtype=object))
        values = pd.to_numeric(texts, errors="coerce")
        wrong = texts.notna() & values.isna() & (texts.astype(str).str.lower() != "nan")
        if wrong.any():
            row = int(wrong.to_numpy().argmax())
            raise InputError(
                f"{uri}, row {row + 1}: {names_of[key][0]} is {texts.iloc[row]!r}; expected a number"
            )
        numbers[key] = [None if math.isnan(value) else float(value) for value in values.astype(float)]
    names = [folder.stem(str(name).strip()) for name in series["object_id"]]
    return dict(zip(names, zip(numbers["ra"], numbers["dec"], numbers["size"], strict=True), strict=True))

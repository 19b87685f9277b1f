"""Which format a survey's cutouts are in, and the source that reads it."""

from __future__ import annotations

from collections.abc import Callable

from pipeline import storage
from pipeline.cutouts import shards
from pipeline.errors import InputError
from pipeline.survey.formats.parquet import ParquetSource
from pipeline.survey.formats.suffixes import SUFFIXES, ending
from pipeline.survey.settings import Format, SurveySettings
from pipeline.survey.source import Source

_OF_FLUXES: tuple[Format, ...] = ("multimodal", "hdf5", "fits")


def _indexed(name: str) -> Callable[[SurveySettings, str | None], Source]:
    """A source of galaxies that are files, or members of a tar."""

    def make(survey: SurveySettings, index: str | None) -> Source:
        from pipeline.survey.formats import files, indexed, webdataset

        makers: dict[str, tuple[indexed.MakeIndex, Callable[[str], str]]] = {
            "webdataset": (webdataset.index_tars, str),
            "images": (files.index_images, files.folder_of),
            "fits": (files.index_fits, files.folder_of),
        }
        return indexed.IndexedSource(survey, *makers[name], index)

    return make


def _hdf5(survey: SurveySettings, index: str | None) -> Source:
    from pipeline.survey.formats.hdf5 import Hdf5Source

    return Hdf5Source(survey)


def _parquet(survey: SurveySettings, index: str | None) -> Source:
    return ParquetSource(survey)


_SOURCES: dict[Format, Callable[[SurveySettings, str | None], Source]] = {
    "parquet": _parquet,
    "multimodal": _parquet,
    "hdf5": _hdf5,
    "webdataset": _indexed("webdataset"),
    "images": _indexed("images"),
    "fits": _indexed("fits"),
}
"""Modules of formats are loaded when one is used: astropy and h5py take their time."""


def open_source(survey: SurveySettings | None = None, index: str | None = None) -> Source:
    """The source that reads a survey's format; tiles are opened by `pipeline.streaming.sources` alone.

    Parameters
    ----------
    survey
        With its format (see `recognise`); None for a cutout set of our own.
    index
        Folder in which a run keeps its indexes of rows, so that they are read and not made again; None to
        make them.

    Raises
    ------
    InputError
        If the survey file lacks what the format needs.
    """
    if survey is None:
        return ParquetSource()
    if survey.format is None:
        raise InputError(f"survey {survey.name!r}: the format is not known; give it in the survey file")
    if survey.format in _OF_FLUXES:
        _ = survey.bands
    named = [plane for plane in survey.mask.planes if isinstance(plane, str)] if survey.mask else []
    if named and survey.format in ("hdf5", "multimodal"):
        raise InputError(
            f"survey {survey.name!r}: mask.planes has {named[0]!r}; only FITS headers name planes: expected "
            "the numbers of bits"
        )
    return _SOURCES[survey.format](survey, index)


def recognise(
    survey: SurveySettings, uri: str, holds_bands: Callable[[str, str], bool] = shards.holds_bands
) -> SurveySettings:
    """The survey with its format, which the files below a URI tell if it needs one and has none.

    Parameters
    ----------
    holds_bands
        Looks into a Parquet file; see `shards.holds_bands`.

    Raises
    ------
    InputError
        If there is nothing of a known format, or of several.
    """
    if survey.format is not None or survey.tiles is not None:
        return survey
    examples: dict[Format, str] = {}
    for file in storage.list_files(uri):
        if storage.name(file.uri).startswith((".", "_")) or storage.name(file.uri) in shards.FIELD_NAMES:
            continue
        for form, suffixes in SUFFIXES.items():
            if ending(file.uri, suffixes):
                examples.setdefault(form, file.uri)
    if not examples:
        what = "holds nothing that is read" if storage.exists(uri) else "doesn't exist"
        every = ", ".join(suffix for suffixes in SUFFIXES.values() for suffix in suffixes)
        raise InputError(f"{uri} {what}; expected files that end in {every}")
    if len(examples) > 1:
        formats = " and ".join(f"{form} ({example})" for form, example in examples.items())
        raise InputError(f"{uri} holds {formats}; say which as `format` in the survey file")
    ((format_, example),) = examples.items()
    if format_ == "parquet" and holds_bands(example, survey.columns.image):
        format_ = "multimodal"
    return survey.model_copy(update={"format": format_})

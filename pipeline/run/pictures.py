"""A folder of pictures as the input of a run: read where they lie, as a survey of files."""

from __future__ import annotations

import os

from pipeline import storage
from pipeline.console import say
from pipeline.cutouts import folder
from pipeline.cutouts.manifest import MANIFEST
from pipeline.cutouts.shards import SUFFIX
from pipeline.errors import InputError
from pipeline.run.settings import StreamConfig, SurveyConfig
from pipeline.survey import SurveySettings
from pipeline.survey.formats.suffixes import SUFFIXES, ending
from pipeline.survey.settings import Columns


def pictures_of(config: SurveyConfig) -> SurveySettings | None:
    """The survey file that a folder of JPEG and PNG files needs none of; None if the input is no such folder.

    Parameters
    ----------
    config
        Settings with absolute paths and without a survey file.

    Raises
    ------
    InputError
        If the input holds nothing that is read without a survey file, the output lies among the pictures, the
        table of positions can't be used, or there is one and the input isn't a folder of pictures.
    """
    if not _holds_pictures(config.input):
        refuse_positions(config)
        return None
    refuse_output_among("pictures", config)
    positions = config.positions if isinstance(config, StreamConfig) else None
    if positions is None:
        return SurveySettings(name="Pictures", format="images")
    counts = folder.match_positions(
        folder.list_images(config.input), folder.read_positions(positions), positions
    )
    if lacking := counts["images_without_position"]:
        say(f"Pictures that have no position in {positions}: {lacking:,}")
    columns = Columns(object_id=folder.positions_column(positions), ra="ra", dec="dec")
    return SurveySettings(name="Pictures", format="images", columns=columns, table=positions)


def refuse_output_among(what: str, config: SurveyConfig) -> None:
    """Refuse an output that lies within the input, where what a run makes would be input to the next.

    Raises
    ------
    InputError
        If it does.
    """
    if f"{_real(config.output)}/".startswith(f"{_real(config.input).rstrip('/')}/"):
        raise InputError(
            f"output {config.output} lies in the folder of {what} {config.input}: {what} that are made "
            "there would be taken for input; choose one outside"
        )


def refuse_positions(config: SurveyConfig) -> None:
    """Refuse positions that nothing would read.

    Raises
    ------
    InputError
        If there is a table of positions.
    """
    if isinstance(config, StreamConfig) and config.positions is not None:
        raise InputError(
            f"positions={config.positions} is for a folder of JPEG and PNG files; a cutout set "
            "has positions of its own, and a survey file names them as `columns` or `table`"
        )


def _real(uri: str) -> str:
    """A path without links in it; another URI as it is."""
    return os.path.realpath(uri) if os.path.isabs(uri) else uri


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _holds_pictures(uri: str) -> bool:
    """Whether a folder is one of pictures, rather than a cutout set.

    Raises
    ------
    InputError
        If it is neither, or has other forms of cutouts beside its pictures.
    """
    if uri.endswith(SUFFIX) or storage.exists(storage.join(uri, MANIFEST)):
        return False
    names = [file.uri for file in storage.list_files(uri, broken_links=True)]
    for name in names:
        if not _is_text(name):
            shown = name.encode(errors="backslashreplace").decode()
            raise InputError(f"{shown} has a name that isn't UTF-8; expected one that is: rename the file")
    found = {form: [name for name in names if ending(name, suffixes)] for form, suffixes in SUFFIXES.items()}
    if found["parquet"]:
        return False
    pictures = found.pop("images")
    others = [name for same in found.values() for name in same]
    if pictures and others:
        raise InputError(
            f"{uri} holds {others[0]} among its pictures; expected pictures alone, unless a survey file says "
            "what is read (survey=FILE): take it out of the folder"
        )
    if not pictures:
        state = "is empty" if storage.exists(uri) else "doesn't exist"
        if names:
            state = f"holds no pictures, but {(others + names)[0]}, for one"
        raise InputError(
            f"{uri} {state}; expected pictures ({', '.join(SUFFIXES['images'])}) or a cutout set ({SUFFIX}), "
            "or files that a survey file says how to read (survey=FILE)"
        )
    return True

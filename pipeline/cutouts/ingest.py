"""The verb ``ingest``: make a cutout set from a field picture or a folder of images."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from pydantic import Field

from pipeline import storage
from pipeline.config import StrictModel
from pipeline.cutouts import folder, hubble
from pipeline.cutouts.manifest import MANIFEST, Survey, read_survey
from pipeline.cutouts.writer import ShardWriter
from pipeline.errors import InputError
from pipeline.images.detection import DetectionCriteria
from pipeline.images.encode import encode_png
from pipeline.places import Output

Progress = Callable[[int], None]
"""Called with the number of cutouts written so far."""


class IngestHubbleConfig(StrictModel):
    """What `tuningfork ingest hubble` takes.

    Attributes
    ----------
    output
        Folder or prefix for the cutout set (any fsspec URI).
    criteria
        Which sources in the image count as galaxies.
    """

    output: Output = Field(min_length=1)
    criteria: DetectionCriteria = DetectionCriteria()


class IngestImagesConfig(StrictModel):
    """What `tuningfork ingest images` takes.

    Attributes
    ----------
    input
        Folder of JPEG and PNG images, with one galaxy at the centre of each.
    output
        Folder or prefix for the cutout set (any fsspec URI).
    positions
        CSV with the columns ``name, ra, dec`` (degrees); names are those of the files, without extension.
    """

    input: str = Field(min_length=1)
    output: Output = Field(min_length=1)
    positions: str | None = None


@dataclass(frozen=True)
class IngestResult:
    """What an ingest did.

    Attributes
    ----------
    output : str
        The cutout set.
    cutouts : int
        Rows in it.
    created : bool
        False if the set was there already and nothing was done.
    counts : dict of str to int
        Such as sources dropped by reason, images without a position.
    warnings : tuple of str
        What the user should know though the set is sound.
    """

    output: str
    cutouts: int
    created: bool
    counts: dict[str, int]
    warnings: tuple[str, ...] = ()

    @property
    def summary(self) -> str:
        """What the ingest did, as one line for the user."""
        if not self.created:
            return f"{self.output}: already there, {self.cutouts} cutouts, nothing to do"
        return f"{self.output}: {self.cutouts} cutouts"


def ingest_hubble(config: IngestHubbleConfig, progress: Progress | None = None) -> IngestResult:
    """Cut the galaxies out of the Hubble deep field.

    Raises
    ------
    InputError
        If the output holds something else or can't be written, or no galaxy meets the criteria.
    """
    criteria = config.criteria.model_dump(mode="json")
    existing = already_there(config.output, hubble.SOURCE, criteria)
    if existing:
        return existing
    picture = hubble.hubble_field()
    galaxies, dropped = hubble.hubble_galaxies(picture, config.criteria)
    if not galaxies:
        raise InputError(f"no galaxy meets the criteria (dropped: {dropped}); make them less strict")
    writer = ShardWriter(
        config.output, name="Hubble eXtreme Deep Field", source=hubble.SOURCE, criteria=criteria
    )
    writer.write_field(encode_png(picture))
    _write(writer, hubble.cutout_rows(picture, galaxies), progress)
    return _result(config.output, writer.finish({f"dropped_{key}": n for key, n in dropped.items()}))


def ingest_images(config: IngestImagesConfig, progress: Progress | None = None) -> IngestResult:
    """Gather a folder's JPEG and PNG files, with their positions, into a cutout set.

    Raises
    ------
    InputError
        If the folder or the table of positions is unusable, or the output holds something else or can't be
        written.
    """
    files = folder.list_images(config.input)
    for file in files:
        if not file.size and not storage.exists(file.uri):
            raise InputError(f"{file.uri} is a link to nothing; mend it, or take it out of the folder")
    criteria = {"files": len(files), "fingerprint": folder.fingerprint(files)}
    positions, counts = None, {}
    if config.positions is not None:
        positions = folder.read_positions(config.positions)
        counts = folder.match_positions(files, positions, config.positions)
        criteria["positions"] = folder.fingerprint([storage.file_info(config.positions)])
    source = _absolute(config.input)
    existing = already_there(config.output, source, criteria)
    if existing:
        return existing
    writer = ShardWriter(config.output, name=storage.name(source), source=source, criteria=criteria)
    _write(writer, folder.folder_rows(files, positions), progress)
    return _result(config.output, writer.finish(counts))


def _absolute(uri: str) -> str:
    fs, path = storage.filesystem(uri)
    return str(fs.unstrip_protocol(path))


def already_there(
    output: str, source: str, criteria: dict[str, Any], beside: tuple[str, ...] = ()
) -> IngestResult | None:
    """What is under `output`: the same set, or nothing (None), or what an ingest left that was cut short.

    Parameters
    ----------
    beside
        Names of files and folders that this ingest leaves beside the shards, or how they begin.

    Raises
    ------
    InputError
        If something else is there.
    """
    survey = read_survey(output)
    if survey is not None:
        if survey.source != source:
            raise InputError(
                f"{output} holds a cutout set of {survey.source}; "
                f"choose another output for {source} or remove it"
            )
        changed = sorted(
            key
            for key in survey.criteria.keys() | criteria.keys()
            if survey.criteria.get(key) != criteria.get(key)
        )
        if changed:
            raise InputError(
                f"{output} holds a cutout set of {source} with another {', '.join(changed)}; "
                "choose another output or remove it"
            )
        return _result(output, survey, created=False)
    strangers = [
        file.uri
        for file in storage.list_files(output)
        if not storage.name(file.uri).startswith(
            ("cutouts-", "field.", ".cutouts-", ".field.", f".{MANIFEST}")
        )
        and not any(part.lstrip(".").startswith(beside) for part in file.uri.split("/")[-2:])
    ]
    if strangers:
        raise InputError(
            f"{output} holds other files, such as {strangers[0]}; name an empty or new folder as output"
        )
    return None


def _write(writer: ShardWriter, rows: Iterable[dict[str, Any]], progress: Progress | None) -> None:
    for done, row in enumerate(rows, start=1):
        writer.write(row)
        if progress is not None:
            progress(done)


def _result(output: str, survey: Survey, created: bool = True) -> IngestResult:
    explained = {
        "images_without_position": "images have no position",
        "positions_without_image": "positions name no image",
    }
    warnings = tuple(
        f"{survey.counts[key]} {text}" for key, text in explained.items() if survey.counts.get(key)
    )
    return IngestResult(output, survey.cutouts, created, survey.counts, warnings)

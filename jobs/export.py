"""Export: a catalogue as a file, or as HATS a folder, that other programs read."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator

from pipeline.catalogue.export import (
    Answers,
    Format,
    Region,
    Rights,
    export_snapshot,
    form_by_ending,
    open_snapshot,
    parse_box,
    parse_cone,
    parse_pixels,
)
from pipeline.config import StrictModel
from pipeline.console import progress, say
from pipeline.places import CrosswalkFile, Output, TablePlace, TreeFile
from pipeline.tree import GALAXY_ZOO_2, DecisionTree, conditional_fractions, load_crosswalk, load_tree

_REGIONS: dict[str, Callable[[str], Region]] = {"cone": parse_cone, "box": parse_box, "pixels": parse_pixels}


class ExportConfig(StrictModel):
    """What `tuningfork export` takes.

    Attributes
    ----------
    catalogue
        The folder ``catalogue`` of an output.
    out
        File to write, or folder for ``hats``; it must not exist yet.
    format
        Format of the file; on the command line, the option ``--format``. By default it follows from the
        ending of the file's name: ``.parquet``, ``.fits``, ``.vot`` or ``.xml``, else ``csv``.
    tree
        The decision tree whose answers the catalogue holds.
    as_of
        Version, or date and time, of an older snapshot; the current one if not given.
    cone
        Only galaxies within this cone: ``RA,DEC,RADIUS`` in degrees.
    box
        Only galaxies within this box: ``RA1,RA2,DEC1,DEC2`` in degrees, eastward from RA1.
    pixels
        Only galaxies in these HEALPix pixels: ``ORDER/N,N-M``, nested.
    partition_rows
        At most how many galaxies a partition of ``hats`` has; 250,000 by default.
    columns
        What answers are fractions of: all volunteers (``cumulative``, as in the catalogue), those who would
        be asked (``conditional``, in columns ``…_fraction``), or ``both``. The default is conditional with
        `names`, otherwise cumulative.
    names
        A crosswalk, which gives the fractions another survey's column names, so that the catalogues can be
        combined. Two come with Tuningfork: ``galaxy_zoo_decals`` and ``euclid``.
    least_asked
        Fractions of a question are null where fewer than this fraction of all volunteers would be asked it.
    creator, licence
        Who made the catalogue, and its licence, such as ``CC-BY-4.0``; for the headers of the file.
    """

    catalogue: TablePlace
    out: Output
    format: Format | None = None
    tree: TreeFile = str(GALAXY_ZOO_2)
    as_of: str | None = None
    cone: str | None = None
    box: str | None = None
    pixels: str | None = None
    partition_rows: int | None = Field(default=None, ge=1)
    columns: Literal["cumulative", "conditional", "both"] | None = None
    names: CrosswalkFile = None
    least_asked: float = Field(default=Answers.least_asked, ge=0, le=1)
    creator: str = ""
    licence: str = ""

    @field_validator("cone", "box", "pixels")
    @classmethod
    def _is_region(cls, text: str | None, about: ValidationInfo) -> str | None:
        if text is not None:
            _REGIONS[str(about.field_name)](text)
        return text

    @model_validator(mode="after")
    def _fit_together(self) -> ExportConfig:
        regions = [name for name in _REGIONS if getattr(self, name) is not None]
        if len(regions) > 1:
            raise ValueError(f"{' and '.join(regions)} are given; expected one region at most")
        if self.partition_rows is not None and self.form != "hats":
            raise ValueError(f"partition_rows is of format=hats, and the format is {self.form}; leave it out")
        if self.columns == "cumulative" and self.names is not None:
            raise ValueError("names is for fractions of those asked; expected columns=conditional or both")
        if self.form == "kaggle" and (self.columns or self.names):
            raise ValueError("format=kaggle has columns of its own; leave columns and names out")
        return self

    def answers(self, tree: DecisionTree) -> Answers:
        """The columns of answers that are asked for.

        Raises
        ------
        InputError
            If the crosswalk can't be read, or is for another tree.
        """
        columns = self.columns or ("cumulative" if self.names is None else "conditional")
        if columns == "cumulative":
            return Answers()
        names = self.names
        fractions = conditional_fractions(tree) if names is None else load_crosswalk(names, tree).fractions()
        return Answers(columns == "both", fractions, self.least_asked)

    @property
    def form(self) -> Format:
        """The format, by the file's name where none is given."""
        return self.format or form_by_ending(self.out)

    @property
    def region(self) -> Region | None:
        """The part of the sky that is asked for."""
        for name, parse in _REGIONS.items():
            if (text := getattr(self, name)) is not None:
                return parse(text)
        return None


def run(config: ExportConfig) -> None:
    """Write a snapshot of the catalogue.

    Raises
    ------
    InputError
        If there is no catalogue, the target is there already, or the format can't hold the catalogue.
    """
    tree = load_tree(config.tree)
    answers, rights = config.answers(tree), Rights(config.creator, config.licence)
    rows = config.partition_rows
    snapshot = open_snapshot(config.catalogue, tree, config.region, config.as_of)
    with progress("Exporting", snapshot.all_rows) as advance:
        done = export_snapshot(snapshot, config.out, tree, config.form, advance, rows, answers, rights)
    part = "" if config.region is None else f" of {snapshot.all_rows:,}"
    say(f"{done.rows:,}{part} galaxies written to {config.out} ({config.form})")
    for note in done.notes:
        print(f"tuningfork: note: {note}", file=sys.stderr)

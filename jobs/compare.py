"""Compare: what differs between two catalogues of the same galaxies."""

from __future__ import annotations

from pydantic import Field, model_validator

from pipeline import storage
from pipeline.catalogue.export import open_snapshot
from pipeline.config import StrictModel
from pipeline.console import say
from pipeline.places import Output, TablePlace, TreeFile
from pipeline.run.changes import in_a_line, write_changes
from pipeline.run.cutouts import reader_of
from pipeline.tree import GALAXY_ZOO_2, load_tree


class CompareConfig(StrictModel):
    """What `tuningfork compare` takes.

    Attributes
    ----------
    catalogue, other
        The folders ``catalogue`` of two outputs: the earlier and the later one.
    output
        Where the page, its tables and figures go (any fsspec URI).
    title
        Title of the page.
    tree
        The decision tree whose answers both catalogues hold.
    as_of, other_as_of
        Version, or date and time, of an older snapshot of each; the current one if not given.
    galaxies
        At most how many galaxies that changed class are shown.
    """

    catalogue: TablePlace
    other: TablePlace
    output: Output
    title: str = "Two catalogues of the same galaxies"
    tree: TreeFile = str(GALAXY_ZOO_2)
    as_of: str | None = None
    other_as_of: str | None = None
    galaxies: int = Field(default=48, gt=0, le=2000)

    @model_validator(mode="after")
    def _differ(self) -> CompareConfig:
        same = storage.absolute(self.catalogue) == storage.absolute(self.other)
        if same and self.as_of == self.other_as_of:
            raise ValueError(
                f"{self.catalogue} is compared with itself; name another, or a version of it as as_of=0"
            )
        return self


def run(config: CompareConfig) -> None:
    """Compare two catalogues and write the page.

    Raises
    ------
    InputError
        If a catalogue can't be used, or no galaxy is in both.
    """
    tree = load_tree(config.tree)
    before = open_snapshot(config.catalogue, tree, as_of=config.as_of)
    after = open_snapshot(config.other, tree, as_of=config.other_as_of)
    changes, page = write_changes(
        config.output,
        config.title,
        tree,
        (before, after),
        reader_of(config.other),
        config.galaxies,
        (_named(config.catalogue, config.as_of), _named(config.other, config.other_as_of)),
    )
    say(in_a_line(changes))
    say(f"Report: {page}")


def _named(uri: str, as_of: str | None) -> str:
    return uri if as_of is None else f"{uri} as of {as_of}"

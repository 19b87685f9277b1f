"""Votes: what volunteers answered, from exports of the Zooniverse into one table."""

from __future__ import annotations

from collections.abc import Iterator

from pipeline import storage
from pipeline.config import StrictModel
from pipeline.console import say
from pipeline.places import MappingFile, TablePlace, TreeFile
from pipeline.tree import GALAXY_ZOO_2, DecisionTree, load_tree
from pipeline.volunteers.exports import Piece, export_files, read_export
from pipeline.volunteers.mapping import GALAXY_ZOO_2_TASKS, Mapping, load_mapping
from pipeline.volunteers.store import add_votes, votes_uri


class VotesConfig(StrictModel):
    """What `tuningfork votes` takes.

    Attributes
    ----------
    export
        A classification export of the Zooniverse (CSV or Parquet), a table of votes (Parquet), or a folder of
        such files.
    output
        Where the table of votes and the quarantine go; existing votes are kept.
    tree
        The decision tree whose questions were asked.
    mapping
        File that says which task of the workflow asks which question, and which button stands for which
        answer.
    """

    export: str
    output: TablePlace
    tree: TreeFile = str(GALAXY_ZOO_2)
    mapping: MappingFile = str(GALAXY_ZOO_2_TASKS)


def run(config: VotesConfig) -> None:
    """Add the classifications that are new, all at once, and say what came of the rest.

    Raises
    ------
    InputError
        If the export, the tree or the mapping can't be used.
    HeldError
        If another command added votes meanwhile.
    """
    tree = load_tree(config.tree)
    mapping = load_mapping(config.mapping, tree)
    files = export_files(storage.absolute(config.export))
    output = storage.absolute(config.output)
    added = add_votes(output, _pieces(files, mapping, tree))
    say(
        f"{added.classifications:,} new classifications with {added.votes:,} votes added to "
        f"{votes_uri(output)}; {added.again:,} were there already or came twice"
    )
    if added.quarantined:
        say(f"{added.quarantined:,} rows can't be used; for reasons see {storage.join(output, 'quarantine')}")


def _pieces(files: list[str], mapping: Mapping, tree: DecisionTree) -> Iterator[Piece]:
    """One file is read here, several side by side by Ray."""
    if len(files) == 1:
        return read_export(files[0], mapping, tree)
    from pipeline.streaming.exports import stream_exports

    return stream_exports(files, mapping, tree)

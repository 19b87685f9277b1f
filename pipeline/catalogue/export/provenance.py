"""What an export says of its origin, in the words of each form's standard.

References
----------
FITS standard 4.0, table C.1 (ORIGIN, DATE, AUTHOR, REFERENC); Landais et al. 2024, Data Origin in the Virtual
Observatory, IVOA note (the names of VOTable's INFO).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import pipeline
from pipeline.catalogue.making import Provenance
from pipeline.tree import DecisionTree

SOFTWARE = f"tuningfork {pipeline.__version__}"
METHOD = "2015MNRAS.450.1441D"
"""Bibcode of Dieleman, Willett & Dambre 2015."""

TITLE = "Galaxy morphology"


@dataclass(frozen=True)
class Rights:
    """What only the one who exports can say.

    Attributes
    ----------
    creator
        Whose catalogue it is: a person, or an institution.
    licence
        Under which it may be used, such as ``CC-BY-4.0``.
    """

    creator: str = ""
    licence: str = ""


@dataclass(frozen=True)
class Item:
    """One thing that an export says of its origin.

    Attributes
    ----------
    name
        In VOTable and Parquet.
    keyword
        In FITS.
    """

    name: str
    keyword: str
    value: str | int
    meaning: str


def origin(provenance: Provenance, tree: DecisionTree, rights: Rights) -> list[Item]:
    """All that is known of the origin of an export, but for when it was written: that is the file's."""
    return [item for item in _all(provenance, tree, rights) if item.value != ""]


def _all(provenance: Provenance, tree: DecisionTree, rights: Rights) -> Iterator[Item]:
    making = provenance.making
    yield Item("server_software", "CREATOR", SOFTWARE, "Software that wrote the file")
    yield Item("creator", "AUTHOR", rights.creator, "Whose catalogue it is")
    yield Item("rights", "LICENSE", rights.licence, "Licence of the catalogue")
    yield Item("article", "REFERENC", METHOD, "Bibcode: the method")
    yield Item("article", "TREEREF", tree.reference, "Bibcode: the questions")
    yield Item(
        "resource_version",
        "CATVERS",
        "" if provenance.version is None else provenance.version,
        "Version of the catalogue",
    )
    yield Item("last_update_date", "CATDATE", provenance.written, "When that was written (UTC)")
    yield Item("run", "RUN", provenance.run, "Run that wrote it")
    yield Item("tree", "TREE", tree.name, "Decision tree of the answers")
    yield Item("weights", "WEIGHTS", making.get("weights", ""), "Network: name and version")
    yield Item(
        "weights_sha256", "WSHA256", making.get("weights_sha256", ""), "Network: sha256 of its weights"
    )
    yield Item("numerics", "NUMERICS", making.get("numerics", ""), "Libraries that decide the answers")
    yield Item(
        "transforms", "TRANSFMS", making.get("transforms", ""), "Transforms that answers are a mean of"
    )
    yield Item("precision", "PRECISIO", making.get("precision", ""), "Data type that the network computed in")


def by_name(items: Iterable[Item]) -> dict[str, str]:
    """Each name once, with all that bears it."""
    values: dict[str, list[str]] = {}
    for item in items:
        values.setdefault(item.name, []).append(str(item.value))
    return {name: " ".join(several) for name, several in values.items()}


def now() -> str:
    """The time in UTC, to the second, as FITS and VOTable write it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S")

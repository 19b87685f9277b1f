"""The classes of a tree as the pages show them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.report import wording
from pipeline.tree import DecisionTree

NO_CLASS = "No class"
NO_CLASS_COLOR = "#ffffff"


@dataclass(frozen=True)
class ClassView:
    """A class as the page shows it, with its counts in the catalogue and among the shown galaxies."""

    index: int
    name: str
    code: str
    color: str
    ink: str
    count: int
    share: float
    shown: int


def class_views(tree: DecisionTree, counts: Sequence[int], shown: Sequence[int]) -> list[ClassView]:
    """Every class of the tree as the page shows it, and last the entry for galaxies of no class.

    Parameters
    ----------
    counts
        Galaxies of each class in the catalogue, those without a class last.
    shown
        The class of each shown galaxy, as an index.
    """
    codes = wording.class_codes(tree.classes)
    named = [(c.name, code, c.color) for c, code in zip(tree.classes, codes, strict=True)]
    rows = sum(counts)
    return [
        ClassView(
            index=i,
            name=name,
            code=code,
            color=color,
            ink=wording.ink_on(color),
            count=counts[i],
            share=counts[i] / max(rows, 1),
            shown=shown.count(i),
        )
        for i, (name, code, color) in enumerate([*named, (NO_CLASS, "–", NO_CLASS_COLOR)])
    ]

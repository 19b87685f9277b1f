"""A tile: the files that hold one piece of a survey's sky."""

from __future__ import annotations

import re
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Tile:
    """The files of one tile.

    Attributes
    ----------
    name
        What the survey calls it: a part of its files' names.
    images, masks, variances
        URI of the file of each band; bands without one are absent.
    width
        Pixels a side, if it is of a HiPS.
    """

    name: str
    images: dict[str, str] = field(default_factory=dict)
    masks: dict[str, str] = field(default_factory=dict)
    variances: dict[str, str] = field(default_factory=dict)
    width: int | None = None

    @staticmethod
    def name_of(order: int, number: int) -> str:
        """What a tile of a HiPS is called, by its HEALPix cell in the nested scheme."""
        return f"Norder{order}/Npix{number}"

    @staticmethod
    def cell_of(name: str) -> tuple[int, int] | None:
        """HEALPix order and cell of a tile of a HiPS, by its name or its file's; None if it is none."""
        found = re.search(r"(?:^|/)Norder(\d+)/(?:Dir\d+/)?Npix(\d+)(?:\.fits)?$", name)
        return None if found is None else (int(found[1]), int(found[2]))

    @property
    def cell(self) -> tuple[int, int] | None:
        """HEALPix order and cell, if it is of a HiPS."""
        return Tile.cell_of(self.name)

    @property
    def files(self) -> set[str]:
        """URIs of all its files."""
        return {uri for kind in (self.images, self.masks, self.variances) for uri in kind.values()}

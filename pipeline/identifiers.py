"""Which column of a table has the galaxies' identifiers."""

from __future__ import annotations

from collections.abc import Iterable

ID_COLUMNS = ("GalaxyID", "object_id", "objid", "dr7objid", "dr8objid", "iauname", "id_str")
"""Names of such columns, also in other letter case: the Galaxy Challenge's, ours, SDSS's, Galaxy Zoo's."""


def id_column(columns: Iterable[str], also: str | None = None) -> str | None:
    """The first of `also` and `ID_COLUMNS` that a table has, as it spells it; None if it has none.

    Examples
    --------
    >>> id_column(["ra", "dec", "objID"])
    'objID'
    """
    spelt = {column.lower(): column for column in reversed(list(columns))}
    names = [*([also] if also else []), *ID_COLUMNS]
    return next((spelt[name.lower()] for name in names if name.lower() in spelt), None)

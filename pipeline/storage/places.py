"""Which characters a place to write to may have in its name."""

from __future__ import annotations

import re
import unicodedata

_NOT_IN_A_TABLES_PLACE = re.compile(r"[\[\]\\^|]|%[0-9A-Fa-f]{2}")
"""What the Delta library refuses (deltalake 1.6.6), or reads as something else and so looks elsewhere."""

_NOT_IN_A_TABLES_URL = re.compile(r"[?#]")


def check_place(place: str) -> str:
    """The same place, whose name is fit to be written to.

    Raises
    ------
    ValueError
        If it holds a control character, which object stores and messages of one line can't hold.
    """
    for character in place:
        if unicodedata.category(character) in ("Cc", "Cs"):
            raise ValueError(f"{place!r} holds the control character {character!r}; name a place without it")
    return place


def check_table_place(place: str) -> str:
    """The same place, whose name is fit to hold a Delta table too.

    Parameters
    ----------
    place
        An absolute path or a URI.

    Raises
    ------
    ValueError
        If it holds a character that the Delta library can't use there, or a control character.
    """
    check_place(place)
    unfit = _NOT_IN_A_TABLES_PLACE.search(place)
    if unfit is None and "://" in place:
        unfit = _NOT_IN_A_TABLES_URL.search(place)
    if unfit:
        raise ValueError(
            f"{place!r} holds {unfit[0]!r}, which the Delta library can't use in the place of a catalogue; "
            "name a place without it"
        )
    return place

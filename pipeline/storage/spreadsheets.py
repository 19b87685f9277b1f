"""Text in CSV files, which spreadsheets would take for formulas (OWASP: CSV injection)."""

from __future__ import annotations

import re

_BEGINS_LIKE_A_FORMULA = re.compile(r"'*[=+\-@\t\r\n]")
_NUMBER_OR_NAME = re.compile(r"'*[+-][\w.+-]*", re.ASCII)
"""Such as -1.5 or +J0123-4507: no function and no program can be called without other characters."""


def guarded(text: str) -> str:
    """The text, with an apostrophe before it if a spreadsheet could execute it.

    Text with apostrophes before such a beginning gets one more, so that `unguarded` gives every text back.

    Examples
    --------
    >>> guarded("=1+1"), guarded("-1.5")
    ("'=1+1", '-1.5')
    """
    return f"'{text}" if _is_formula(text) else text


def unguarded(text: str) -> str:
    """The text of which `guarded` made this one."""
    return text[1:] if text.startswith("'") and _is_formula(text[1:]) else text


def _is_formula(text: str) -> bool:
    return _BEGINS_LIKE_A_FORMULA.match(text) is not None and _NUMBER_OR_NAME.fullmatch(text) is None

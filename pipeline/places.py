"""Settings that name a place: refused before any work if what is to be done there would fail."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator

from pipeline import storage


def _fit_for_files(uri: str) -> str:
    storage.check_place(uri)
    return uri


def _fit_for_a_table(uri: str) -> str:
    storage.check_table_place(storage.absolute(uri))
    return uri


Output = Annotated[str, AfterValidator(_fit_for_files)]
"""Where files are to be written (any fsspec URI)."""

TablePlace = Annotated[str, AfterValidator(_fit_for_a_table)]
"""Where a Delta table is, or is to be, or the output that holds it (any fsspec URI)."""
